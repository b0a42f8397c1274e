"""Exact-softmax training of an embedding and a linear layer: `Trainer`."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.trainer.trainer import Trainer

__all__ = ["Trainer"]

__getattr__, __dir__ = lazy_names(__name__, {"trainer": "Trainer"})
