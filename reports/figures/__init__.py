"""Figures, one function each, one style. They need the extra `report`.

matplotlib is imported with the first figure that is named.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
