"""Probabilities of labels for logits, and the negative log-likelihood of the labels of documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LOSSES = ("squared", "ova", "softmax")


@dataclass(frozen=True)
class Likelihood:
    """The probabilities and the likelihood for logits x.

    If documents may have several labels, labels are independent: p_l = sigmoid(x_l), and the nll of a document is
    sum_l log(1 + exp(x_l)) - y_l x_l, where y_l is 1 or 0. If each has one label, or with the loss "softmax",
    p = softmax(x), and the nll is -sum_l y_l log p_l, where y_l is the share of each of its labels.

    Attributes
    ----------
    loss : {"squared", "ova", "softmax"}
    several : bool
        Whether documents may have several labels.
    """

    loss: str
    several: bool

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.loss != "softmax" and self.several

    def prior(self, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return the logits (L,) whose probabilities are the shares of the labels, which must be above 0.

        Examples
        --------
        >>> np.exp(Likelihood("ova", True).prior(np.array([0.5, 0.25]))).round(4)
        array([1.    , 0.3333], dtype=float32)
        """
        logits = np.log(shares / (1 - shares)) if self.independent else np.log(shares)
        prior: npt.NDArray[np.float32] = logits.astype(np.float32)
        return prior

    def probabilities(self, logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the probabilities (N, L); the logits are overwritten.

        Examples
        --------
        >>> Likelihood("ova", True).probabilities(np.log([[1.0, 3.0]]))
        array([[0.5 , 0.75]])
        >>> Likelihood("ova", False).probabilities(np.log([[1.0, 3.0]]))
        array([[0.25, 0.75]])
        """
        if self.independent:  # sigmoid(x) = exp(-log(1 + exp(-x)))
            np.logaddexp(0, np.negative(logits, out=logits), out=logits)
            np.exp(np.negative(logits, out=logits), out=logits)
            return logits
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    def nll(self, logits: npt.NDArray[Any], labels: Any) -> npt.NDArray[np.float64]:
        """Return the negative log-likelihood of the labels of each document (N,), in nats.

        Parameters
        ----------
        logits : ndarray (N, L)
        labels : csr_array (N, L)
            1 where a document has a label. Without one the nll is 0 unless labels are independent.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> Likelihood("softmax", True).nll(np.log([[1.0, 2.0, 1.0]]), csr_array([[1, 0, 1]])).round(4)
        array([1.3863])
        """
        x = logits.astype(np.float64)
        sums = np.asarray(labels.multiply(x).sum(axis=1)).ravel()
        if self.independent:
            return np.asarray(np.logaddexp(0, x).sum(axis=1) - sums)
        sizes = np.diff(labels.indptr)
        return np.where(sizes > 0, np.logaddexp.reduce(x, axis=1) - sums / np.maximum(sizes, 1), 0.0)
