"""Kernels that multiply sparse matrices on a fabric: what each does with the data, and what that takes."""
