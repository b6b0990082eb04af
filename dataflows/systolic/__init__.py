"""Compiling for systolic arrays: products lowered, mapped by stationary dataflows, and scheduled.

What cuts tiles for hardware in the loop imports the golden models, which no simulation needs.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
