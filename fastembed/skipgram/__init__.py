"""Word vectors from a corpus: `SkipGram`."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.skipgram.estimate import Estimate
    from fastembed.skipgram.skipgram import SkipGram
    from fastembed.trainer.progress import FitProgress

__all__ = ["Estimate", "FitProgress", "SkipGram"]

__getattr__, __dir__ = lazy_names(
    __name__, {"estimate": "Estimate", "fastembed.trainer.progress": "FitProgress", "skipgram": "SkipGram"}
)
