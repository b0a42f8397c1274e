"""Held-out items: how well a model, and popularity, predict hidden items of baskets from the items shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import largest_of_rows, whole_sparse
from fastembed._base.progress import bar, bars
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_integer, check_number, shown, warn_user
from fastembed.corpus.corpus import Source, as_corpus
from fastembed.corpus.documents import check_field
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.sources import form_of
from fastembed.recommender.data import Interactions, flat_baskets, is_name, matrix_of, read_interactions
from fastembed.recommender.model import FittedRecommender, Query, fold, normalise
from fastembed.recommender.recommender import Recommender
from fastembed.skipgram.model import FittedModel
from fastembed.skipgram.prediction import ContextQuery, context_probabilities
from fastembed.skipgram.skipgram import SkipGram

Ids = NDArray[np.intp]
ITEM = 4  # bytes of the number of an item
LARGE = 5  # items; baskets with as many are seldom equal by chance
CHANCE = 0.05  # if this share of the large baskets of training occurs several times, equal baskets prove nothing
MEANS = ("nll", "precision", "recall", "ndcg", "hit_rate", "mrr")  # over baskets, each with a standard error


@dataclass(frozen=True)
class HeldOutItems:
    """How well hidden items of baskets were predicted from the items shown.

    Scores are means over baskets, except the coverage. "The best" are the `topn` most probable items that are not
    shown.

    Attributes
    ----------
    nll : float
        Negative log-likelihood of a hidden item, in nats.
    precision : float
        The share of the best that are hidden items.
    recall : float
        The share of the hidden items that are among the best.
    ndcg : float
        The sum of 1 / log2(1 + place) over the hidden items among the best, as a share of the largest possible sum.
    hit_rate : float
        The share of baskets with a hidden item among the best.
    mrr : float
        1 / place of the first hidden item among the best, 0 if there is none.
    coverage : float
        The share of all items that are among the best of some basket.
    errors : dict of str to float
        The standard errors of the means; 0 for a single basket.
    popularity : dict of str to float
        The same scores for the most popular items that are not shown.
    topn : int
        How many items "the best" are.
    baskets, scored : int
        The number of all baskets, and of the baskets with enough known items.
    unknown : int
        The number of items that the model does not know, which are left out.

    Examples
    --------
    >>> scores = {"precision": 0.25, "recall": 0.5, "ndcg": 0.4, "hit_rate": 0.5, "mrr": 0.3, "coverage": 0.9}
    >>> errors = dict.fromkeys(("nll", *scores), 0.01)
    >>> popularity = {"nll": 6.0, **dict.fromkeys(scores, 0.1)}
    >>> print(HeldOutItems(5.0, **scores, errors=errors, popularity=popularity, topn=10, baskets=9, scored=8).summary())
    8 of 9 baskets     score  error  popular
    perplexity         148.4           403.4
    nll               5.0000 0.0100   6.0000
    precision@10      0.2500 0.0100   0.1000
    recall@10         0.5000 0.0100   0.1000
    ndcg@10           0.4000 0.0100   0.1000
    hit rate@10       0.5000 0.0100   0.1000
    mrr@10            0.3000 0.0100   0.1000
    coverage@10       0.9000          0.1000
    """

    nll: float
    precision: float
    recall: float
    ndcg: float
    hit_rate: float
    mrr: float
    coverage: float
    errors: dict[str, float]
    popularity: dict[str, float]
    topn: int
    baskets: int
    scored: int
    unknown: int = 0

    @property
    def perplexity(self) -> float:
        """The number of equally likely items that would be as hard to predict, exp(nll).

        The nll is a mean over baskets; `Recommender.perplexity` has a mean over hidden items by their weights.
        """
        return math.exp(self.nll)

    def summary(self) -> str:
        """Return a line per score, with its standard error and the score of the most popular items."""
        lines = [f"{f'{self.scored:,} of {self.baskets:,} baskets':<16}{'score':>8}{'error':>7}{'popular':>9}"]
        lines.append(f"{'perplexity':<16}{self.perplexity:8,.1f}{'':7}{math.exp(self.popularity['nll']):9,.1f}")
        for name in (*MEANS, "coverage"):
            label = name if name == "nll" else f"{name.replace('_', ' ')}@{self.topn}"
            error = f"{self.errors[name]:7.4f}" if name in MEANS else " " * 7
            lines.append(f"{label:<16}{getattr(self, name):8.4f}{error}{self.popularity[name]:9.4f}")
        if self.unknown:
            lines.append(f"items that the model does not know, left out: {self.unknown:,}")
        return "\n".join(lines)

    __repr__ = summary

    def record(self) -> dict[str, Any]:
        """Return the result as a dict that JSON can hold."""
        return asdict(self) | {"perplexity": self.perplexity}


def held_out_items(
    model: SkipGram | Recommender,
    baskets: Any,
    *,
    given: int | None = None,
    hidden: Any = None,
    topn: int = 10,
    seed: int = 0,
    user: str | int | None = None,
    item: str | int | None = None,
    weight: str | int | None = None,
    header: bool = True,
    progress: bool = False,
) -> HeldOutItems:
    """Hide items of baskets, and predict them from the other items.

    The baskets should be of users from whom the model has not learned: `split_users` divides users.

    Parameters
    ----------
    model : SkipGram or Recommender
        Fitted to other baskets. A SkipGram answers by :meth:`SkipGram.predict_outputs`.
    baskets : object
        As for `Recommender.fit` or `SkipGram.fit`; the items of a user are a basket. Unknown items are left out. Hidden
        items that are no contexts of a SkipGram are left out too.
    given : int, optional
        The number of items that are shown, chosen at random: *given n* of Breese et al. (1998). By default all but one
        are shown.
    hidden : float, or matrix or baskets, optional
        The share of items to hide. Or, for a Recommender, the hidden items of the users of `baskets`, as rows or
        baskets. Then `baskets` has the items shown, as for :meth:`Recommender.perplexity`.
    topn : int
        How many of the most probable items are scored.
    seed : int
        Seed of the random choice. Models that know the same items get the same questions.
    user, item, weight, header
        As for `Recommender.fit`.
    progress : bool
        Whether a bar is drawn.

    Returns
    -------
    HeldOutItems

    Examples
    --------
    >>> baskets = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "hammer"], ["nails", "saw"]]
    >>> model = SkipGram(dim=2, min_count=1, window=2, sample=None, directed=False).fit(baskets)
    >>> score = held_out_items(model, baskets, topn=2)
    >>> score.scored, score.perplexity < 6
    (4, True)
    """
    if not isinstance(model, SkipGram | Recommender):
        raise TypeError(f"model must be a SkipGram or a Recommender, got {type(model).__name__}")
    if given is not None and hidden is not None:
        raise ValueError(f"give either given={given} or hidden={shown(hidden)}, not both")
    share = hidden if isinstance(model, SkipGram) or isinstance(hidden, float | int | np.number) else None
    split = _Split(
        None if given is None else check_integer("given", given, low=1),
        None if share is None else check_number("hidden", share, high=1, above=True),
        check_integer("seed", seed, low=0),
    )
    topn, fields, named = check_integer("topn", topn, low=1), (user, item, weight), hidden is not share
    if (named or isinstance(model, SkipGram)) and fields != (None, None, None):
        raise ValueError("baskets have no user, item and weight: table.groupby(user)[item].agg(list) makes them")
    with bars(progress):
        if isinstance(model, SkipGram):
            questions = _of_sequences(model, baskets, split)
        elif named:
            questions = _of_hidden(model, baskets, hidden)
        else:
            questions = _of_users(model, *_known_part(model._fitted, baskets, fields, header), split)
        if not questions.seen.shape[0]:
            needed = "a hidden item" if named else f"{2 if split.given is None else split.given + 1} items"
            raise ValueError(f"none of the {questions.baskets:,} baskets has {needed} that the model knows")
        return _scored(questions, topn)


class _Questions(NamedTuple):
    """Baskets with enough known items, which are divided into items shown and items hidden.

    Attributes
    ----------
    seen, hidden : csr_array (N, V)
        The items shown, and the items hidden.
    answers : iterator of (slice, ndarray of float32 (n, V))
        Numbers of baskets, and the log probabilities of the model for them; -inf for the items shown.
    popularity : ndarray of float32 (V,)
        The logarithms of the frequencies of the items, up to a constant.
    baskets, unknown : int
        The number of all baskets, and of the items that the model does not know.
    """

    seen: Any
    hidden: Any
    answers: Iterator[tuple[slice, Any]]
    popularity: NDArray[np.float32]
    baskets: int
    unknown: int


@dataclass
class _Split:
    """How many items of a basket are shown."""

    given: int | None
    share: float | None
    seed: int

    def __call__(self, user: Any, names: list[Any], items: Ids) -> tuple[Ids, Ids] | None:
        """Return the items shown and the items hidden, ascending; None if there are too few.

        Items are in the order of hashes of the seed, the user and the item: what else a model knows has no effect.
        """
        count = len(items) - 1 if self.given is None else self.given
        if self.share is not None:
            count = len(items) - max(1, min(round(self.share * len(items)), len(items) - 1))
        if not 0 < count < len(items):
            return None
        keys = [blake2b(f"{self.seed} {user} {name}".encode(errors="replace")).digest() for name in names]
        drawn = items[sorted(range(len(names)), key=keys.__getitem__)]
        return np.sort(drawn[:count]), np.sort(drawn[count:])


def _scored(questions: _Questions, topn: int) -> HeldOutItems:
    """Return the scores of the answers to questions, by the model and by popularity."""
    by_model, by_popularity = [], []
    with bar(desc="baskets", total=questions.seen.shape[0]) as done:
        for part, log_p in questions.answers:
            popular = np.tile(questions.popularity, (len(log_p), 1))
            normalise(popular, questions.seen[part])
            by_model.append(basket_scores(log_p, questions.hidden[part], topn))
            by_popularity.append(basket_scores(popular, questions.hidden[part], topn))
            done.update(len(log_p))
    scores, best = map(np.concatenate, zip(*by_model, strict=True))
    popular_scores, popular_best = map(np.concatenate, zip(*by_popularity, strict=True))
    errors = scores.std(axis=0, ddof=1) / math.sqrt(len(scores)) if len(scores) > 1 else np.zeros(len(MEANS))
    coverage, popular_coverage = (len(np.unique(items)) / len(questions.popularity) for items in (best, popular_best))
    return HeldOutItems(
        **dict(zip(MEANS, scores.mean(axis=0).tolist(), strict=True)),
        coverage=coverage,
        errors=dict(zip(MEANS, errors.tolist(), strict=True)),
        popularity=dict(zip(MEANS, popular_scores.mean(axis=0).tolist(), strict=True)) | {"coverage": popular_coverage},
        topn=topn,
        baskets=questions.baskets,
        scored=len(scores),
        unknown=questions.unknown,
    )


def basket_scores(log_p: NDArray[np.float32], hidden: Any, topn: int) -> tuple[NDArray[np.float64], Ids]:
    """Return the scores (n, 6) of baskets, in the order of `MEANS`, and their best items (n, topn).

    Parameters
    ----------
    log_p : ndarray of float32 (n, V)
        Log probabilities; -inf for the items shown.
    hidden : csr_array (n, V)
        With an entry for each hidden item, at least one per basket.
    """
    best = largest_of_rows(log_p, topn)
    numbers = np.arange(len(log_p))
    counts = np.diff(hidden.indptr)
    owners = np.repeat(numbers, counts)
    nll = np.bincount(owners, -log_p[owners, hidden.indices].astype(np.float64), minlength=len(log_p)) / counts
    places = numbers[:, None] * log_p.shape[1]
    hits = np.isin(best + places, hidden.indices + places[owners, 0]) & np.isfinite(np.take_along_axis(log_p, best, 1))
    gains = 1 / np.log2(np.arange(2, best.shape[1] + 2))
    most = np.cumsum(gains)[np.minimum(counts, len(gains)) - 1]
    hit_counts = hits.sum(axis=1)
    first = np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0)
    scores = (nll, hit_counts / topn, hit_counts / counts, hits @ gains / most, hit_counts > 0, first)
    return np.stack(scores, axis=1).astype(np.float64), best


def _indicators(ids: Iterable[Ids], items: int) -> Any:
    """Return the sparse matrix with a 1 for each of the ids in each row."""
    listed = list(ids)
    indices = np.concatenate([*listed, np.empty(0, np.intp)])
    starts = np.cumsum([0, *map(len, listed)])
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, starts), shape=(len(listed), items))


def _drawn(matrix: Any, users: Iterable[Any], names: NDArray[Any], split: _Split) -> tuple[Ids, Any, Any]:
    """Return which baskets (N, V) have enough items, and the items shown and hidden of these baskets, (n, V)."""
    rows = (matrix.indices[a:b].astype(np.intp) for a, b in pairwise(matrix.indptr))
    parts = [split(user, names[ids].tolist(), ids) for user, ids in zip(users, rows, strict=True)]
    taken = np.array([k for k, part in enumerate(parts) if part is not None], np.intp)
    seen, hidden = (_indicators((part[k] for part in parts if part is not None), len(names)) for k in (0, 1))
    return taken, seen, hidden


# ---------------------------------------------------------------- questions to a SkipGram


def _of_sequences(model: SkipGram, source: Source, split: _Split) -> _Questions:
    """Return the questions of a corpus, of which hidden items are contexts."""
    fitted, vocabulary, contexts = model._fitted, model.vocabulary, model.max_contexts_
    ledger, known, unknown = Ledger(), [], 0
    for items in as_corpus(source, fitted.reading_of(source, model.reading)).sequences(ledger):
        different = set(items)
        ids = vocabulary.ids(different)
        unknown += len(different) - len(ids)
        known.append(np.unique(np.array(ids, np.intp)))
    baskets = _indicators(known, len(vocabulary))
    _, seen, hidden = _drawn(baskets, range(len(known)), np.array(vocabulary.tokens, object), split)
    hidden = hidden[:, :contexts]
    taken = np.flatnonzero(np.diff(hidden.indptr))
    seen, hidden = seen[taken], hidden[taken]
    with np.errstate(divide="ignore"):
        popularity = np.log(vocabulary.counts[:contexts]).astype(np.float32)
    return _Questions(seen[:, :contexts], hidden, _answers(fitted, seen), popularity, ledger.lines, unknown)


def _answers(fitted: FittedModel, seen: Any) -> Iterator[tuple[slice, Any]]:
    """Yield the number of each basket and the log probabilities (1, K) of contexts."""
    shown = (seen.indices[a:b].astype(np.intp) for a, b in pairwise(seen.indptr))
    queries = (ContextQuery(ids, np.ones(len(ids))) for ids in shown)
    for number, p in enumerate(context_probabilities(fitted, queries)):
        with np.errstate(divide="ignore"):
            yield slice(number, number + 1), np.log(p).astype(np.float32)[None]


# ---------------------------------------------------------------- questions to a Recommender


def _to_recommender(model: Recommender, query: Query, hidden: Any, users: int, unknown: int) -> _Questions:
    """Return the questions about users with hidden items (N, V); `users` is the number of all users."""
    fitted = model._fitted
    answers = fitted.answers(query, check_threads(model.threads), lambda part, log_p: (part, log_p))
    return _Questions(query.matrix, hidden, answers, fitted.model.bias, users, unknown)


def _of_hidden(model: Recommender, source: Any, hidden: Any) -> _Questions:
    """Return the questions about users whose hidden items are given; users without any are left out."""
    if hasattr(source, "iloc") and hasattr(hidden, "iloc") and not source.index.equals(hidden.index):
        raise ValueError("baskets and hidden must have the same index, in the same order")
    fitted, several, unknown = model._fitted, form_of(source) == "items", 0
    who = list(source) if several else source
    named = several and all(map(is_name, who))
    pool = Pool(check_threads(model.threads))
    everyone = fitted.query(None, who, False, pool) if named else fitted.query(who, None, True, pool)
    targets = fitted.hidden(everyone.matrix, hidden, True)
    for baskets in (hidden, who if several and not named else []):
        if form_of(baskets) != "matrix":
            ids = fitted.data.items.find(flat_baskets(baskets, 0, 1.0)[0], skip_unknown=True)
            unknown += int(np.count_nonzero(ids < 0))
    taken = np.flatnonzero(np.diff(targets.indptr))
    query = Query(everyone.matrix[taken], everyone.rows[taken])
    return _to_recommender(model, query, targets[taken], targets.shape[0], unknown)


def _of_users(model: Recommender, matrix: Any, users: list[Any], unknown: int, split: _Split) -> _Questions:
    """Return the questions of users with known items, csr (N, V)."""
    fitted = model._fitted
    _warn_of_learned(fitted.data, matrix, users)
    taken, seen, hidden = _drawn(matrix, users, fitted.data.items.names, split)
    seen = sparse.csr_array(matrix[taken].multiply(seen))  # with the weights of the items
    seen.sort_indices()
    query = Query(seen, fold(seen, fitted.model, Pool(check_threads(model.threads))))
    return _to_recommender(model, query, hidden, len(users), unknown)


def _warn_of_learned(data: Interactions, matrix: Any, users: list[Any]) -> None:
    """Warn if the model knows most of the named users, or learned from most of the baskets, or of the large ones."""
    named = users != list(range(len(users)))  # baskets and the rows of a matrix are users 0, 1, ...
    learned, given = _baskets(data.matrix), _baskets(matrix)
    numbers = data.users.find(users, skip_unknown=True).tolist()
    same = sum(k >= 0 and (named or learned[k] == basket) for k, basket in zip(numbers, given, strict=True))
    large = Counter(basket for basket in learned if len(basket) >= LARGE * ITEM)
    repeated = sum(count for count in large.values() if count > 1)
    equal = [basket in large for basket in given if len(basket) >= LARGE * ITEM]
    if same > len(given) / 2 or (repeated < CHANCE * large.total() and sum(equal) > len(equal) / 2):
        warn_user("the model knows most of these users: split them by split_users, or pass hidden= (--hidden all)")


def _baskets(matrix: Any) -> list[bytes]:
    """Return the items of each user as bytes, `ITEM` for each item."""
    ends, ids = matrix.indptr.tolist(), matrix.indices.astype(np.int32)
    return [ids[first:last].tobytes() for first, last in pairwise(ends)]


def _known_part(
    fitted: FittedRecommender, source: Any, fields: tuple[Any, Any, Any], header: bool
) -> tuple[Any, list[Any], int]:
    """Return the known items of each user, sparse (N, V), the users, and the number of unknown items."""
    if form_of(source) == "matrix":
        return fitted.rows_of(source, False), list(range(source.shape[0])), 0
    data = read_interactions(source, *fields, header=header, default_weight=fitted.default_weight)
    entries, ids = data.matrix.tocoo(), fitted.data.items.find(data.items.names, skip_unknown=True)
    columns, shape = ids[entries.col], (len(data.users), len(fitted.data.items))
    known = columns >= 0
    matrix = matrix_of(entries.data[known], (entries.row[known], columns[known]), shape)
    return matrix, data.users.names.tolist(), data.matrix.nnz - matrix.nnz


def split_users(X: Any, share: float = 0.2, *, user: str | None = None, seed: int = 0) -> tuple[Any, Any]:
    """Divide users into users to learn from and users to evaluate on.

    Parameters
    ----------
    X : sparse matrix, array, table or list
        As for `Recommender.fit`, in memory.
    share : float
        The share of the users to evaluate on; at least one user.
    user : str, optional
        The column of the users of a table of pairs.
    seed : int
        Seed of the random choice.

    Returns
    -------
    train : object
        The part of X to learn from, of the type and in the order of X.
    test : object
        The part of X to evaluate on, likewise.

    Examples
    --------
    >>> split_users([["bread"], ["nails", "saw"], ["jam", "bread"]], 1 / 3)
    ([['bread'], ['nails', 'saw']], [['jam', 'bread']])
    """
    share = check_number("share", share, high=1, above=True)
    rng = np.random.default_rng(check_integer("seed", seed, low=0))
    X, is_table = whole_sparse(X) if sparse.issparse(X) else X, form_of(X) == "table"
    if is_table != (user is not None):
        raise ValueError(f"user must name a field of a table of pairs, got user={user!r} and {type(X).__name__}")
    if is_table:
        check_field(X, user)
        users = np.unique(np.asarray(X[user]), return_inverse=True)[1]
        number = int(users.max(initial=-1)) + 1
    else:
        number = X.shape[0] if hasattr(X, "shape") else len(X)
    if number < 2:
        raise ValueError(f"there must be at least two users, got {number}")
    is_test = np.zeros(number, bool)
    is_test[rng.permutation(number)[: min(max(1, round(share * number)), number - 1)]] = True
    if is_table:
        is_test = is_test[users]
    return _taken(X, ~is_test), _taken(X, is_test)


def _taken(X: Any, chosen: NDArray[np.bool_]) -> Any:
    """Return the rows of a matrix, a table or a list that are chosen."""
    if isinstance(X, list | tuple):
        return [X[k] for k in np.flatnonzero(chosen).tolist()]
    if hasattr(X, "tocsr"):
        return X.tocsr()[chosen]
    if isinstance(X, Mapping):
        return {name: np.asarray(values)[chosen] for name, values in X.items()}
    if hasattr(X, "columns") and not hasattr(X, "loc"):  # Polars, Arrow
        return X.filter(chosen)
    return X[chosen]
