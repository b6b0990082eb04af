"""Sparse matrices and their products: made, read from files, or taken from a training step.

With them comes scipy, which takes a quarter of a second to import and no step of a network needs.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
