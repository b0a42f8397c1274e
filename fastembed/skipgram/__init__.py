"""A corpus in, vectors out: `SkipGram`."""

from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.progress import FitProgress
from fastembed.skipgram.skipgram import SkipGram

__all__ = ["Estimate", "FitProgress", "SkipGram"]
