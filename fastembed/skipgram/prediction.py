"""What a fitted model says of words and documents: the most probable contexts, and the vectors of documents.

The prediction for several words is the mean of the predictions for each word: docs/design.md compares it with others.
The vector of a document is the mean of the vectors of its words, or the vector that predicts the words best: exact
PV-DBOW with the linear layer fixed. `trainer/folding.py` has the objective and its minimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastembed._base.arrays import Float64, largest
from fastembed._base.threads import Pool
from fastembed._base.validation import check_choice, check_flag, check_integer, check_number, token_of, warn_user
from fastembed.corpus.corpus import Corpus, document_tokens
from fastembed.skipgram.model import FittedModel
from fastembed.trainer import folding
from fastembed.trainer.rows import BATCH_LOGITS
from fastembed.vectors.vectors import Token, as_items
from fastembed.vocabulary import Vocabulary

Predicted: TypeAlias = "list[tuple[Any, float]]"
Words: TypeAlias = "Token | Iterable[Token | tuple[Token, float]]"

SIF = 1e-3  # a
RIDGE = 30.0  # chosen by the classification of held-out documents


class ContextQuery:
    """One query: the ids of words (n,), their weights, and the ids that the answer leaves out, with these words.

    Words are distinct: the weights of a repeated word are added. A query may have no words.
    """

    def __init__(self, ids: ArrayLike, weights: ArrayLike, exclude: ArrayLike = (), *, integers: bool = False) -> None:
        self.ids, place = np.unique(np.asarray(ids, np.intp), return_inverse=True)
        amounts = np.asarray(weights, np.float64)
        shares = amounts / amounts.max(initial=np.finfo(float).tiny)  # so that their sum cannot overflow
        self.weights = np.bincount(place, shares, minlength=len(self.ids))
        self.left_out = np.union1d(self.ids, np.asarray(exclude, np.intp))
        self.integers = integers  # whether the answer is to be integers

    @classmethod
    def of(
        cls, words: Words, vocabulary: Vocabulary, *, exclude: Sequence[Token] = (), skip_unknown: bool = False
    ) -> ContextQuery:
        """Check the given words and return the query."""
        listed = [words] if _is_token(words) else as_items("a query", words, "a word or several")
        if not listed:
            raise ValueError("a query must hold at least one word, got none")
        pairs = [item if isinstance(item, tuple) and len(item) == 2 else (item, 1.0) for item in listed]
        names = [word for word, _ in pairs]
        weights = [check_number(f"the weight of {word!r}", weight, above=True) for word, weight in pairs]
        ids = _ids(names, vocabulary, skip_unknown)
        known = [k for k, number in enumerate(ids) if number >= 0]
        left_out = [number for number in _ids(exclude, vocabulary, skip_unknown) if number >= 0]
        integers = not any(isinstance(word, str) for word in exclude or names)
        return cls([ids[k] for k in known], [weights[k] for k in known], left_out, integers=integers)


def predict(
    model: FittedModel,
    queries: Iterable[Words],
    topn: int,
    side: str | None,
    *,
    exclude: Iterable[Any] | None,
    skip_unknown: bool,
) -> list[Predicted]:
    """Return the contexts and their probabilities for each query; see :meth:`SkipGram.predict_outputs`."""
    topn = check_integer("topn", topn, low=1)
    if side not in (None, "before", "after"):
        raise ValueError(f"side must be None, 'before' or 'after', got {side!r}")
    if side is not None and not model.directed:
        raise ValueError(f"side={side!r} needs a model with directed=True and a window on both sides")
    skip = check_flag("skip_unknown", skip_unknown)
    queries = as_items("queries", queries, "several words")
    parsed = [
        ContextQuery.of(words, model.vocabulary, exclude=left_out, skip_unknown=skip)
        for words, left_out in zip(queries, _excluded(exclude, len(queries)), strict=True)
    ]
    tokens, answers = model.vocabulary.tokens, []
    for query, p in zip(parsed, context_probabilities(model, parsed, side), strict=True):
        count = min(topn, len(p) - int((query.left_out < len(p)).sum()))
        best = largest(p, count).tolist() if len(query.ids) else []
        names: list[Any] = [tokens[c] for c in best]
        if query.integers and all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names):
            names = list(map(int, names))
        answers.append(list(zip(names, p[best].tolist(), strict=True)))
    return answers


def _excluded(exclude: Iterable[Any] | None, count: int) -> list[list[Any]]:
    """Return the words to leave out of the answer to each query: the same for all, or a list for each query."""
    if exclude is None:
        return [[]] * count
    listed = as_items("exclude", exclude, "several words")
    if all(map(_is_token, listed)):
        return [listed] * count
    if len(listed) != count:
        raise ValueError(f"exclude must be words, or a list of them for each of {count:,} queries, got {len(listed):,}")
    return [as_items(f"exclude[{k}]", words, "several words") for k, words in enumerate(listed)]


def _is_token(word: Any) -> bool:
    return isinstance(token_of(word), str)


def _ids(words: Iterable[Any], vocabulary: Vocabulary, skip_unknown: bool) -> list[int]:
    """Return the id of each word, as the model reads words; -1 for unknown words if they are skipped."""
    ids = []
    for word in words:
        if isinstance(word, str) and vocabulary.reading is not None:
            word = vocabulary.reading.token(word, vocabulary)
        unknown = skip_unknown and _is_token(word) and token_of(word) not in vocabulary
        ids.append(-1 if unknown else vocabulary[word])
    return ids


def context_probabilities(
    model: FittedModel, queries: Iterable[ContextQuery], side: str | None = None
) -> Iterator[Float64]:
    """Yield the probabilities (K,) of all contexts for each query; they are computed for blocks of queries.

    They sum to 1. Words that a query leaves out have probability zero; if a query has no words, all contexts do.
    """
    contexts = model.max_contexts
    queries = iter(queries)
    while block := list(islice(queries, max(1, BATCH_LOGITS // contexts))):
        for query, p in zip(block, _mixtures(model, block, side), strict=True):
            p[query.left_out[query.left_out < contexts]] = 0
            p /= p.sum() or 1.0
            yield p


def _mixtures(model: FittedModel, queries: Sequence[ContextQuery], side: str | None) -> Float64:
    """Return the weighted sums of the probabilities over the words of each query, (Q, K)."""
    starts = np.cumsum([0, *(len(query.ids) for query in queries)])
    ids, weights = (np.concatenate([getattr(query, name) for query in queries]) for name in ("ids", "weights"))
    words, columns = np.unique(ids, return_inverse=True)
    shares = sparse.csr_array((weights, columns, starts), shape=(len(queries), len(words))).tocsc()
    total = np.zeros((len(queries), model.max_contexts))
    size = max(1, BATCH_LOGITS // model.trainer.linear.shape[1])
    for begin in range(0, len(words), size):
        part = slice(begin, begin + size)
        total += shares[:, part] @ _word_probabilities(model, words[part], side)
    return total


def _word_probabilities(model: FittedModel, ids: NDArray[np.intp], side: str | None) -> Float64:
    """Return the probabilities of the contexts of each word, (N, K)."""
    p: Float64 = model.trainer.forward(ids).astype(np.float64)
    if model.directed:
        before, after = p.reshape(len(ids), 2, -1).swapaxes(0, 1)
        p = before + after if side is None else before if side == "before" else after
    p /= p.sum(axis=1, keepdims=True)
    return p


# ---------------------------------------------------------------- documents


def document_vectors(
    model: FittedModel, documents: Corpus, drops: Callable[[str], bool], method: str, pool: Pool
) -> NDArray[Any]:
    """Return the vectors of documents, (N, D), float32, by a method; see `SkipGram.transform`.

    `drops` tells whether a token was dropped on purpose. Its vector must not be composed.

    Raises
    ------
    ValueError
        If there is no method of this name.
    """
    check_choice("method", method, ("mean", "sif", "fit"))
    counts, matrix = _token_bags(model, documents, drops)
    counts = counts[:, : model.max_contexts] if method == "fit" else counts
    if unknown := int((np.diff(counts.indptr) == 0).sum()):
        warn_user(f"{unknown:,} of {counts.shape[0]:,} documents have no known word: their vectors are zero")
    if method != "fit":
        return _mean_vectors(counts, matrix, model.vocabulary.counts if method == "sif" else None)
    if model.directed:  # each word of the document counts equally as a context before and after
        counts = sparse.hstack([counts, counts], format="csr") * 0.5
    assert model.trainer.bias is not None
    layer = folding.Layer(model.trainer.linear, model.trainer.bias, RIDGE)
    vectors, missed = folding.optimal_rows(counts, layer, pool)
    if missed:
        part = f"{missed:,} of {len(vectors):,} documents"
        warn_user(f"{part} did not converge in {folding.MOST_STEPS} steps: their vectors are approximate")
    return vectors


def _token_bags(model: FittedModel, documents: Corpus, drops: Callable[[str], bool]) -> tuple[Any, NDArray[Any]]:
    """Return the counts (N, M) of each known token in each document, and the vectors (M, D) of these tokens.

    The first V columns are of the vocabulary, the rest of tokens with composed vectors. Other tokens are skipped.
    """
    vocabulary, matrix, composer = model.vocabulary, model.vectors.matrix, model.composer
    tokens = document_tokens(documents)
    if composer is None:
        rows = list(map(vocabulary.ids, tokens))
    else:
        new: dict[str, int] = {}
        rows = [
            [
                vocabulary[token] if token in vocabulary else len(vocabulary) + new.setdefault(token, len(new))
                for token in map(token_of, document)
            ]
            for document in tokens
        ]
        composed, known = composer.compose_all(list(new))
        known &= ~np.array([drops(token) for token in new], bool)
        unknown = set((len(vocabulary) + np.flatnonzero(~known)).tolist())
        rows = [[row for row in document if row not in unknown] for document in rows]
        matrix = np.concatenate([matrix, composed])
    indptr = np.cumsum([0, *map(len, rows)])
    ids = np.fromiter(chain.from_iterable(rows), np.int64, indptr[-1])
    return sparse.csr_array((np.ones(len(ids), matrix.dtype), ids, indptr), shape=(len(rows), len(matrix))), matrix


def _mean_vectors(counts: Any, matrix: NDArray[Any], occurrences: NDArray[Any] | None) -> NDArray[Any]:
    """Return the mean vector of the tokens of each document, (N, D); zero for a document without tokens.

    With the `occurrences` of the first V tokens in the text of the model, it is a mean with less weight for frequent
    tokens, without their common direction (Arora et al. 2017). A token with the share p of the text has the weight
    a / (a + p), a = 0.001; p of the other tokens, which are rare, is taken as 0. The removed direction is the first
    principal component of the tokens, weighted by p times this weight, so that it does not depend on the documents.
    """
    weights = np.ones(len(matrix))
    if occurrences is not None:
        shares = occurrences / occurrences.sum()
        weights[: len(shares)] = SIF / (SIF + shares)
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    per_document = counts.copy()
    lengths = np.repeat(totals, np.diff(counts.indptr)).astype(matrix.dtype)
    per_document.data *= weights.astype(matrix.dtype)[counts.indices] / lengths
    means: NDArray[Any] = per_document @ matrix
    if occurrences is None:
        return means
    known = matrix[: len(shares)].astype(np.float64)
    moments = (known.T * (shares * weights[: len(shares)])) @ known
    direction = np.linalg.eigh(moments)[1][:, -1].astype(matrix.dtype)
    return means - np.outer(means @ direction, direction)
