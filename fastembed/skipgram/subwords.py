"""`Subwords`: what the vector of a word is made of, the rows of its character n-grams and one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.threads import Pool
from fastembed.ngrams import Lengths, common_ngrams, find_ngrams
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.subwords import NgramDictionary

OWN_WEIGHT = 2.0  # of a word's own row, where all its n-grams together have the length 1
LEARNING_RATE = 0.12  # of the rows: each step of a word moves its own row and all its n-grams
RIDGE = 1.0
RIDGE_STEPS = 30  # of conjugate gradients
COLUMNS = 16  # of float32, a cache line, that are fitted at a time


@dataclass(frozen=True, eq=False)
class Subwords:
    """The features of V words: G character n-grams, and V rows of their own behind them.

    Attributes
    ----------
    lengths : (int, int)
        Of the n-grams, in characters.
    ngrams : tuple of str
        Those that at least two of the words have that the model was first fitted to.
    bags : csr_array (V, G + V)
        X, float32: each of the k n-grams that a word has weighs 1/√k, its own row `own_weight`.
    own_weight : float
    """

    lengths: Lengths
    ngrams: tuple[str, ...]
    bags: Any
    own_weight: float = OWN_WEIGHT

    @classmethod
    def of(cls, words: Sequence[str], lengths: Lengths) -> Subwords:
        """Return the features of words, and learn which n-grams there are."""
        ngrams, starts, ids = common_ngrams(words, lengths)
        return cls(lengths, ngrams, _bags(starts, ids, len(ngrams), OWN_WEIGHT))

    @classmethod
    def restored(cls, composer: NgramDictionary, words: Sequence[str], own_weight: float) -> Subwords:
        """Return the features of words, with the n-grams of what composes others."""
        return cls(composer.lengths, composer.ngrams, None, own_weight).with_words(words)

    def composer(self, embedding: NDArray[Any], centre: NDArray[np.float64]) -> NgramDictionary:
        """Return what composes vectors of other words, of the rows of the features (G + V, D) and the centre (D,)."""
        return NgramDictionary(self.ngrams, embedding[: len(self.ngrams)], centre, self.lengths)

    def with_words(self, words: Sequence[str]) -> Subwords:
        """Return the features of other words, with the n-grams of these."""
        starts, ids = find_ngrams(self.ngrams, words, self.lengths)
        return replace(self, bags=_bags(starts, ids, len(self.ngrams), self.own_weight))


def subwords_of(words: Sequence[str], lengths: bool | Lengths, before: Subwords | None) -> Subwords | None:
    """Return the features of the words of a new model, if it has n-grams of some lengths, or of one that goes on.

    Raises
    ------
    ValueError
        As by :func:`check_spelled`.
    """
    if before is not None:
        return before.with_words(words)
    if isinstance(lengths, bool):
        return None
    check_spelled(words)
    return Subwords.of(words, lengths)


def check_spelled(words: Sequence[str]) -> None:
    """Raise ValueError if no token is text, but all are integers: ids, whose digits say nothing."""
    if all(word.isdecimal() for word in words):
        raise ValueError(
            f"subwords need words, whose spelling says something, but all {len(words):,} tokens are integers, such as"
            f" {words[0]!r}: leave subwords=False"
        )


def _bags(starts: NDArray[np.int64], ids: NDArray[np.int32], ngrams: int, own_weight: float) -> Any:
    """Return X for words whose n-grams are ids[starts[w] : starts[w + 1]]."""
    words, lengths = len(starts) - 1, np.diff(starts)
    weights = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    of_ngrams = sparse.csr_array((weights, ids, starts), shape=(words, ngrams))
    own = sparse.diags_array(np.full(words, own_weight, np.float32))
    bags = sparse.hstack([of_ngrams, own], format="csr")
    bags.sum_duplicates()
    return bags


def composed(features: Trainer, subwords: Subwords, centre: NDArray[np.float64]) -> Trainer:
    """Return the trainer of the words, whose rows are X E - centre, with the logits of that of their features."""
    rows = subwords.bags @ features.embedding - centre.astype(np.float32)
    assert features.bias is not None
    bias = features.bias + (centre @ features.linear).astype(np.float32)
    return Trainer(rows, features.linear, bias=bias, threads=features.threads)


def ridge_fit(bags: Any, rows: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return E (F, D) that is least in |X E - rows|² + RIDGE |E|², by conjugate gradients.

    Parameters
    ----------
    bags : csr_array (N, F)
        X, float32.
    rows : ndarray (N, D)
    pool : Pool
        Columns are fitted apart, so that the bits are the same for any number of threads.

    Returns
    -------
    ndarray (F, D), float32
    """
    transposed, fitted = bags.T.tocsr(), np.zeros((bags.shape[1], rows.shape[1]), np.float32)

    def fit(k: int) -> None:
        columns = slice(k * COLUMNS, (k + 1) * COLUMNS)
        fitted[:, columns] = _conjugate_gradients(bags, transposed, np.ascontiguousarray(rows[:, columns]))

    pool.run(fit, -(-rows.shape[1] // COLUMNS))
    return fitted


def _conjugate_gradients(bags: Any, transposed: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the solution of (Xᵀ X + RIDGE) E = Xᵀ rows after RIDGE_STEPS steps from zero, each column apart."""
    residual = transposed @ rows
    solution, direction = np.zeros_like(residual), residual.copy()
    square = np.einsum("fd,fd->d", residual, residual, dtype=np.float64)
    for _ in range(RIDGE_STEPS):
        image = transposed @ (bags @ direction) + np.float32(RIDGE) * direction
        curvature = np.einsum("fd,fd->d", direction, image, dtype=np.float64)
        step = np.divide(square, curvature, out=np.zeros_like(square), where=curvature > 0)
        solution += step.astype(np.float32) * direction
        residual -= step.astype(np.float32) * image
        before, square = square, np.einsum("fd,fd->d", residual, residual, dtype=np.float64)
        ratio = np.divide(square, before, out=np.zeros_like(square), where=before > 0)
        direction = residual + ratio.astype(np.float32) * direction
    return solution
