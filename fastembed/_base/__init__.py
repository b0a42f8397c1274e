"""What knows nothing of embeddings: checks, errors, optional libraries, threads, BLAS, memory, arrays."""
