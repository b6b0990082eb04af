"""Sparse matrices and their products: made, read from files, or taken from a training step."""
