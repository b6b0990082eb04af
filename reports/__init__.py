"""Results as text, tables, figures and pages; studies over many runs, and checks against published numbers.

Nothing heavy is imported until it is used.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
