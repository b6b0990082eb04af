"""The sparse systolic array as hardware: Verilog, bitstreams, compiled simulation, and boards behind a link.

Amaranth and its tools are imported when they are needed.
"""

from workloads.door import door_of

__getattr__ = door_of(__name__, __file__)
