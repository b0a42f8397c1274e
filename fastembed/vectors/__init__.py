"""Tokens and their vectors; lookup, similarity, neighbours and analogies: `Vectors`."""

from fastembed.vectors.vectors import Vectors

__all__ = ["Vectors"]
