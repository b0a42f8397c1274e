"""Tools that know nothing of embeddings: checks, errors, optional libraries, threads, forks, BLAS, memory, arrays."""
