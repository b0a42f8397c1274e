"""Sparse co-occurrence counts of inputs and outputs, from corpora, baskets, pairs or SciPy matrices: `Counts`."""

from fastembed.counts.counts import Counts

__all__ = ["Counts"]
