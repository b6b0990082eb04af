"""Hardware in the loop: sampled tiles of a step on the RTL or on a board, held against the models.

With it come the hardware description and the link, which no other run needs.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
