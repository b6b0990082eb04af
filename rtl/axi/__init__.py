"""The array behind AXI: operands and sums over AXI4-Stream, runs and counters over AXI4-Lite."""
