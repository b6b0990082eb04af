"""Two readers of one program: `events` (SimPy, every command an event) and `maxplus` (jumps over what repeats).

`maxplus` picks the form of the latter: `walk` as Python reads it, or `compiled` by numba, where there is much to do.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
