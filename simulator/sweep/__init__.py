"""Sweeps: many jobs, each run once, in a folder that several processes may share."""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
