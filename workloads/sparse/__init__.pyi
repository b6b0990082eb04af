from workloads.sparse.matrix_market import from_matrices as from_matrices
