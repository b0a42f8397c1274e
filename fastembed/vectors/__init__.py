"""Tokens and their vectors; lookup, similarity, neighbours and analogies: `Vectors`."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.vectors.vectors import Vectors

__all__ = ["Vectors"]

__getattr__, __dir__ = lazy_names(__name__, {"vectors": "Vectors"})
