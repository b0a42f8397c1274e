"""A corpus in, vectors out: `SkipGram`."""

from fastembed.skipgram.skipgram import SkipGram

__all__ = ["SkipGram"]
