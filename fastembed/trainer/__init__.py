"""Exact-softmax training of an embedding and a linear layer: `Trainer`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
