"""Two readers of one program: `events` (SimPy, every command an event) and `maxplus` (jumps over what repeats).

`maxplus` is compiled by numba, which takes a third of a second to import: it comes with the first program that is run.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
