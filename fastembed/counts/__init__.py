"""Sparse co-occurrence counts of inputs and outputs, from corpora, baskets, pairs or SciPy matrices: `Counts`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
