"""How far a result moves where everything that is assumed moves at once: the band of its speed-up and energy ratio."""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
