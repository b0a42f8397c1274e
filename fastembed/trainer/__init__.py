"""Exact-softmax training of an embedding and a linear layer: `Trainer`."""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
