"""Recommendation: :class:`Recommender` learns who takes what, and answers with items and their probabilities."""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
