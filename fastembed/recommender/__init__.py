"""Recommendation: :class:`Recommender` learns who takes what, and answers with items and their probabilities."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.recommender.model import Explanation
    from fastembed.recommender.recommender import Recommender

__all__ = ["Explanation", "Recommender"]

__getattr__, __dir__ = lazy_names(__name__, {"recommender": "Recommender", "model": "Explanation"})
