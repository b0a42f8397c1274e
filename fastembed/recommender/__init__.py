"""Recommendation: :class:`Recommender` learns who takes what, and answers with items and their probabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
