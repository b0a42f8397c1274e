"""Explanation of the labels of a document: the exact contribution of each feature to each score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import largest
from fastembed._base.estimator import pickled_as
from fastembed._base.validation import shown
from fastembed.classifier.fitted import FittedClassifier

SHOWN = 10  # features per label
BAR = 20  # characters of the longest bar


@pickled_as("classifier.Explanation")
@dataclass(frozen=True)
class Explanation:
    """The contributions of features to the scores of some labels; with the bias they sum to the scores.

    Attributes
    ----------
    labels : list of str or int
    features : list of str
        The known features of the document: words, n-grams of words, n-grams of characters.
    shares : ndarray of float64 (number of features, number of labels)
    bias : ndarray of float64 (number of labels,)
        The scores of a document without a known feature.
    scores, probabilities : ndarray of float64 (number of labels,)

    Examples
    --------
    >>> from fastembed import Classifier
    >>> explanation = Classifier().fit(["a b", "c d"], ["x", "y"]).explain("a")
    >>> bool(np.allclose(explanation.shares.sum(axis=0) + explanation.bias, explanation.scores, atol=1e-6))
    True
    """

    labels: list[Any]
    features: list[str]
    shares: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]

    def __str__(self) -> str:
        """Return a table of the features of each label by the size of their shares, with bars."""
        most = np.abs(self.shares).max(initial=1e-12)
        lines = []
        for column, label in enumerate(self.labels):
            shares = self.shares[:, column]
            lines.append(f"{label}  p {self.probabilities[column]:.4f}  score {self.scores[column]:+.4f}")
            order = np.argsort(-np.abs(shares), kind="stable")
            lines += [self._line(self.features[f], shares[f], most) for f in order[:SHOWN].tolist()]
            if len(order) > SHOWN:
                rest = float(shares[order[SHOWN:]].sum())
                lines.append(f"  {rest:+9.4f}  {len(order) - SHOWN} more features")
            lines.append(f"  {self.bias[column]:+9.4f}  the bias of the label")
        return "\n".join(lines)

    @staticmethod
    def _line(name: str, share: float, most: float) -> str:
        bar = ("+" if share >= 0 else "-") * round(BAR * abs(share) / most)
        return f"  {share:+9.4f}  {name:<24} {bar}".rstrip()


def explain(model: FittedClassifier, bag: Any, labels: Any, k: int) -> Explanation:
    """Return the explanation of a bag (1, F), for some labels or the k most probable ones.

    Parameters
    ----------
    model : FittedClassifier
    bag : csr_array (1, F)
    labels : list of labels or None
    k : int

    Raises
    ------
    TypeError
        If labels are not a list.
    ValueError
        If a label is unknown.
    """
    rows = model.rows(bag.indices).astype(np.float64) * bag.data[:, None]
    if model.linear is not None:
        rows = rows @ model.linear.astype(np.float64)
    bias = model.bias.astype(np.float64)
    scores = rows.sum(axis=0) + bias
    p = model.probabilities(scores[None], np.array([bag.nnz]))[0]
    names = model.classes.tolist()
    if labels is None:
        chosen = largest(scores, k)
    else:
        if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
            raise TypeError(f"labels must be a list of labels, got {shown(labels)}: pass [label]")
        labels = list(labels)
        if unknown := [label for label in labels if label not in names]:
            raise ValueError(f"{unknown[0]!r} is not a label of this classifier")
        chosen = np.array([names.index(label) for label in labels], np.intp)
    return Explanation(
        labels=[names[c] for c in chosen],
        features=[model.features.name(f) for f in bag.indices.tolist()],
        shares=rows[:, chosen],
        bias=bias[chosen],
        scores=scores[chosen],
        probabilities=p[chosen],
    )
