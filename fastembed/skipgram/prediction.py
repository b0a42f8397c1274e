"""The most probable contexts of a word, by the exact softmax."""

from __future__ import annotations

import numpy as np

from fastembed._base.lookup import check_token
from fastembed._base.validation import check_integer
from fastembed.skipgram.fitted import FittedModel
from fastembed.vectors.queries import Token


def probable_contexts(model: FittedModel, word: Token, topn: int, side: str | None) -> list[tuple[str, float]]:
    """Return contexts of a word and their probabilities; see :meth:`SkipGram.predict_output`."""
    topn = check_integer("topn", topn, low=1)
    if side not in (None, "before", "after"):
        raise ValueError(f"side must be None, 'before' or 'after', got {side!r}")
    if side is not None and not model.directed:
        raise ValueError(f"side={side!r} needs a model with directed=True and a window on both sides")
    tokens = model.vocabulary.tokens
    p = model.trainer.forward(check_token(word, model.vocabulary, tokens)).astype(np.float64)
    if model.directed:
        before, after = p.reshape(2, -1)
        p = before + after if side is None else before if side == "before" else after
    p /= p.sum()
    best = np.argsort(-p, kind="stable")[:topn].tolist()
    return [(tokens[c], float(p[c])) for c in best]
