"""The machines that come with the program."""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
