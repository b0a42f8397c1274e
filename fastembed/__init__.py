"""Exact-softmax training of embeddings on a CPU."""

__version__ = "0.1.0"
