"""Tokens and their vectors; lookup, similarity, neighbours and analogies: `Vectors`."""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
