"""Training with PyTorch. What is named here comes with torch when it is first asked for."""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
