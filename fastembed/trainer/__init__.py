"""Exact-softmax training of an embedding and a linear layer: `Trainer`."""

from fastembed.trainer.trainer import Trainer

__all__ = ["Trainer"]
