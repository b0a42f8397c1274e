"""`Subwords`: the features of which the vector of a word is the sum: its character n-grams and the word itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int32, Int64
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import Pool, cached_property
from fastembed.ngrams import Lengths, NgramFinder, common_ngrams
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.subwords import NgramDictionary

WORD_WEIGHT = 1.3  # the weight of the row of a word; the weights of the n-grams of a rare word have norm 1
# The n-grams of a word with more than FEW_PAIRS counts have less weight: the counts of the word say more
FEW_PAIRS = 100.0
COUNT_EXPONENT = 0.25
LEARNING_RATE = 0.2  # a step of a word changes the row of the word and the rows of all its n-grams
RIDGE = 1.0
RIDGE_STEPS = 8  # steps of conjugate gradients
COLUMNS = 16  # columns that are fitted at a time: a cache line of float32


@dataclass(frozen=True, eq=False)
class Subwords:
    """The features of V words: G character n-grams, then the V words themselves.

    Attributes
    ----------
    lengths : (int, int)
        The lengths of the n-grams, in characters.
    ngrams : tuple of str
        The n-grams that occur in at least two words of the first fit.
    starts, ids : ndarray of int64 (V + 1,), ndarray of int32
        The n-grams of word w are ``ids[starts[w] : starts[w + 1]]``.
    weights : ndarray of float32 (V,)
        The weight of all n-grams of each word together.
    """

    lengths: Lengths
    ngrams: tuple[str, ...]
    starts: Int64
    ids: Int32
    weights: Float32

    @classmethod
    def of(cls, words: Sequence[str], lengths: Lengths) -> Subwords:
        """Return the features of words, with the n-grams that occur in at least two of them.

        Raises
        ------
        ValueError
            If all tokens are integers: ids, whose digits carry no information.
        """
        if all(word.isdecimal() for word in words):
            raise ValueError(f"all {len(words):,} tokens are integers, such as {words[0]!r}: leave subwords=False")
        ngrams, starts, ids = common_ngrams(words, lengths)
        return cls(lengths, ngrams, starts, ids, np.ones(len(words), np.float32))

    @classmethod
    def restored(cls, composer: NgramDictionary, words: Sequence[str]) -> Subwords:
        """Return the features of words with the n-grams and the weights of a composer."""
        assert composer.word_weights is not None
        starts, ids = NgramFinder(composer.ngrams, composer.lengths).find(words)
        return cls(composer.lengths, composer.ngrams, starts, ids, np.array(composer.word_weights))

    def grown(self, words: Sequence[str]) -> Subwords:
        """Return the features of words that extend these words, with the same n-grams."""
        starts, ids = NgramFinder(self.ngrams, self.lengths).find(words)
        more = np.ones(len(words) - len(self.weights), np.float32)
        return replace(self, starts=starts, ids=ids, weights=np.concatenate([self.weights, more]))

    def weighted(self, totals: Float64, first: int = 0) -> Subwords:
        """Return the features with weights computed from the counts (V,) of the words, from word `first` on."""
        weights = self.weights.copy()
        weights[first:] = (np.maximum(totals[first:], FEW_PAIRS) / FEW_PAIRS) ** -COUNT_EXPONENT
        return replace(self, weights=weights)

    @property
    def entries(self) -> int:
        """The number of features of all words together."""
        return len(self.ids) + len(self.weights)

    @cached_property
    def bags(self) -> Any:
        """X, csr_array (V, G + V) of float32: each of the k n-grams of a word has its weight / √k."""
        sizes = np.diff(self.starts)
        weights = np.repeat(self.weights / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
        words = len(sizes)
        ngrams = sparse.csr_array((weights, self.ids, self.starts), shape=(words, len(self.ngrams)), copy=True)
        identity = sparse.diags_array(np.full(words, WORD_WEIGHT, np.float32))
        bags = sparse.hstack([ngrams, identity], format="csr")
        bags.sum_duplicates()
        return bags

    def composer(self, embedding: NDArray[Any], centre: Float64) -> NgramDictionary:
        """Return the composer of unseen words, from the rows of the features (G + V, D) and the centre (D,).

        It weights the n-grams of an unseen word like the n-grams of a rare word.
        """
        rows = embedding[: len(self.ngrams)]
        return NgramDictionary(self.ngrams, rows, centre, self.lengths, word_weights=self.weights)

    __getstate__ = fields_alone


def composed(features: Trainer, subwords: Subwords, centre: Float64) -> Trainer:
    """Return the trainer of the words, with rows X E - centre and the same logits as the trainer of the features."""
    rows: Float32 = subwords.bags @ features.embedding - centre.astype(np.float32)
    assert features.bias is not None
    bias = features.bias + (centre @ features.linear).astype(np.float32)
    return Trainer(rows, features.linear, bias=bias, threads=features.threads)


def ridge_fit(bags: Any, rows: Float32, pool: Pool) -> Float32:
    """Return the E (F, D) that minimises |X E - rows|² + RIDGE |E|², by conjugate gradients.

    Parameters
    ----------
    bags : csr_array (N, F)
        X, float32.
    rows : ndarray (N, D)
    pool : Pool
        Columns are fitted separately, so that the bits are the same for any number of threads.

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


def _conjugate_gradients(bags: Any, transposed: Any, rows: Float32) -> Float32:
    """Return the solution of (Xᵀ X + RIDGE) E = Xᵀ rows after RIDGE_STEPS steps from zero, for each column."""
    residual: Float32 = transposed @ rows
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
