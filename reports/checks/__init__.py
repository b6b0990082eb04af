"""What `simulate validate` checks: one module a machine, registered as an outsider's would be.

A suite is a `CheckSuite` under the entry point group `sparsehil.checks`. Nothing heavy is imported until it is used.
"""

from workloads.door import door_of

__all__ = ["Check", "CheckSuite", "Request", "Status", "check_report"]
__getattr__ = door_of(__name__, __file__)
