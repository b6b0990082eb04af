"""What the hardware must compute, in numpy and numba: the same parameters, the same bits, no hardware description."""
