"""Machines for N:M sparse training: what is asked, how it is carried out, and what it gave.

>>> from simulator import simulate
>>> result = simulate("sat", "2:8", "resnet18")
>>> round(result.speedup, 2)
1.73

Nothing heavy is imported until it is used.
"""

from workloads.door import door_of

__all__ = ["Job", "Machine", "Result", "Runs", "UserError", "load_machine", "load_result", "run_job", "simulate"]
__getattr__ = door_of(__name__, __file__)
