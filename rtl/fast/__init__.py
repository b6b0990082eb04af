"""The array simulated fast: its netlist as C++, a PE a lane of a vector.

`reading` has a module as Yosys sees it, `cells` C++ of every kind of cell, `blocks` a kind of block with all its
copies, `program` the array they make up. Verilator's simulation of the whole array is what tests hold it against.
"""
