"""Held-out items: how well a model predicts items of baskets from the others in the same basket."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import largest
from fastembed._base.estimator import pickled_as
from fastembed._base.validation import check_integer
from fastembed.corpus.corpus import Source, as_corpus
from fastembed.corpus.ledger import Ledger
from fastembed.skipgram.prediction import ContextQuery, context_probabilities
from fastembed.skipgram.skipgram import SkipGram, fitted_model


@pickled_as("evaluation.HeldOutItems")
@dataclass(frozen=True)
class HeldOutItems:
    """How well hidden items of baskets were predicted from the items shown. All scores are means over baskets.

    Attributes
    ----------
    nll : float
        The mean negative log-likelihood of a hidden item, in nats.
    precision : float
        The share of the `topn` most probable items that are hidden ones.
    recall : float
        The share of the hidden items that are among the `topn` most probable. If one item is hidden per basket, this
        is the hit rate.
    topn : int
        How many of the most probable items count.
    baskets, scored : int
        The number of all baskets, and of those with enough known items.

    Examples
    --------
    >>> HeldOutItems(5.0, 0.375, 0.125, topn=10, baskets=360, scored=345).summary()
    'nll per hidden item 5.0000, perplexity 148.4, precision@10 0.3750, recall@10 0.1250 on 345 of 360 baskets'
    """

    nll: float
    precision: float
    recall: float
    topn: int
    baskets: int
    scored: int

    @property
    def perplexity(self) -> float:
        """The number of equally likely items that would be as hard to predict, exp(nll)."""
        return math.exp(self.nll)

    def summary(self) -> str:
        """Return the result in one line."""
        return (
            f"nll per hidden item {self.nll:.4f}, perplexity {self.perplexity:,.1f}, "
            f"precision@{self.topn} {self.precision:.4f}, recall@{self.topn} {self.recall:.4f} "
            f"on {self.scored:,} of {self.baskets:,} baskets"
        )

    def record(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return asdict(self) | {"perplexity": self.perplexity}


def held_out_items(
    model: SkipGram, baskets: Source, *, given: int | None = None, topn: int = 10, seed: int = 0
) -> HeldOutItems:
    """Hide items of baskets, and predict them from the others by :meth:`SkipGram.predict_outputs`.

    Parameters
    ----------
    model : SkipGram
        Fitted, to other baskets than these.
    baskets : path, list of paths, or re-iterable of str or of token lists
        As for `SkipGram.fit`: one basket per line or sequence. An item counts once per basket. Unknown items, and
        hidden ones that are not contexts of the model, are left out.
    given : int, optional
        The number of items that are shown, drawn at random; all others are hidden. By default all but one are shown.
    topn : int
        How many of the most probable items count for precision and recall.
    seed : int
        For the draw.

    Returns
    -------
    HeldOutItems

    Raises
    ------
    AttributeError
        Before `fit`.
    TypeError, ValueError, OSError
        If an argument is not as above, or no basket has enough known items.

    Examples
    --------
    >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "hammer"], ["nails", "saw"]]
    >>> model = SkipGram(dim=2, min_count=1, window=2, sample=None, directed=False).fit(baskets)
    >>> score = held_out_items(model, baskets, topn=2)
    >>> score.scored, score.perplexity < 6
    (4, True)
    """
    if not isinstance(model, SkipGram):
        raise TypeError(f"model must be a SkipGram, got {type(model).__name__}")
    topn = check_integer("topn", topn, low=1)
    shown = None if given is None else check_integer("given", given, low=1)
    rng = np.random.default_rng(check_integer("seed", seed, low=0))
    vocabulary, contexts = model.vocabulary, model.max_contexts_
    ledger = Ledger()
    reading = fitted_model(model).reading_of(baskets, model.reading)
    sequences = as_corpus(baskets, reading, single=True).sequences(ledger)
    hidden: deque[NDArray[np.intp]] = deque()  # of the queries that have been taken and not yet answered

    def questions() -> Iterator[ContextQuery]:
        for items in sequences:
            ids = rng.permutation(np.array(sorted(set(vocabulary.ids(items))), np.intp))
            count = len(ids) - 1 if shown is None else shown
            wanted = ids[count:][ids[count:] < contexts]
            if 0 < count < len(ids) and len(wanted):
                hidden.append(wanted)
                yield ContextQuery(ids[:count], np.ones(count), exclusive=True)

    scores = [_scores(p, hidden.popleft(), topn) for p in context_probabilities(fitted_model(model), questions())]
    if not scores:
        least = 2 if shown is None else shown + 1
        raise ValueError(f"none of the {ledger.lines:,} baskets has {least} known items")
    nll, precision, recall = np.mean(scores, axis=0).tolist()
    return HeldOutItems(nll, precision, recall, topn, ledger.lines, len(scores))


def _scores(p: NDArray[np.float64], hidden: NDArray[np.intp], topn: int) -> tuple[float, float, float]:
    """Return (nll, precision, recall) for the hidden items of one basket."""
    with np.errstate(divide="ignore"):
        nll = -np.log(p[hidden]).mean()
    hits = np.isin(largest(p, topn), hidden).sum()
    return float(nll), hits / topn, hits / len(hidden)
