from workloads.sparse.named import from_matrices as from_matrices
