"""Word vectors from a corpus: `SkipGram`."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed._base.progress import FitProgress
    from fastembed.skipgram.estimate import Estimate
    from fastembed.skipgram.skipgram import SkipGram

__all__ = ["Estimate", "FitProgress", "SkipGram"]

__getattr__, __dir__ = lazy_names(
    __name__, {"estimate": "Estimate", "fastembed._base.progress": "FitProgress", "skipgram": "SkipGram"}
)
