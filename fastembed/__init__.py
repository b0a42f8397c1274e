"""Exact-softmax training of embeddings on a CPU."""

from fastembed.trainer import Trainer

__version__ = "0.1.0"

__all__ = ["Trainer"]
