"""Sparse co-occurrence counts of inputs and outputs, from corpora, baskets, pairs or SciPy matrices: `Counts`."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.counts.counts import Counts
    from fastembed.counts.windows import Windows

__all__ = ["Counts", "Windows"]

__getattr__, __dir__ = lazy_names(__name__, {"counts": "Counts", "windows": "Windows"})
