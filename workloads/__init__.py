"""Training steps as work: matrix products with their patterns and vector work, by name, from a file or recorded.

>>> import workloads
>>> step = workloads.load_workload(workloads.Work(model="resnet18", batch=1))
>>> f"{step.macs:,}"
'5,324,206,080'

Recording and training need PyTorch, which is imported when they are used.
"""

from workloads.door import door_of

__all__ = [
    *("PatternMap", "Work", "Workload", "load_workload", "parse_patterns", "record_module", "with_method"),
    *(
        "Method",
        "advance",
        "finalize",
        "load_masks",
        "record",
        "save_masks",
        "sparsify",
    ),  # a training loop of one's own
]
__getattr__ = door_of(__name__, __file__)
