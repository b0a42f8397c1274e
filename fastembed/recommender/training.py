"""Training of a recommender: from the items of users to the arrays that score all items for any user.

User u has the counts n_uc of items. Two models score item c for a user. Their product, in the exact softmax, is

    log p(c | u) = a b_c + g d_u W_c + h log(1 + max(0, (n_u B)_c) / floor) - log Z_u

b is the logarithm of the shares of the items, and fixed.

1. *Low rank*: W (D, V), and a row d_u that is the minimum of  s_u sum_c n_uc (logsumexp(d W + b) - (d W + b)_c)
   + ridge / 2 |d|^2,  with  s_u = (n_u / m)^-t.  n_u is the sum of the counts of u, m their median, t = 0.5: this is
   the vector of a document (`trainer/folding.py`), except that more items of a user count less each. W is trained by
   `Trainer.fit_counts`, with one row of E per user; then E is thrown away, so that a user in the data and a new one
   with the same items have the same row.
2. *Item to item*: column c of B is the ridge regression of item c on the items that are nearest to it by the cosine
   (Ning & Karypis 2011), or on all others (EASE of Steck 2019). B has no diagonal, so an item is predicted from the
   *other* items of a user. It knows the pairs of rare items that few dimensions cannot tell apart.

What the strengths should be follows from the data (`_select`): training keeps some users away, a fifth of their items
is hidden, and what predicts them best is chosen. Then both models are trained anew, with all users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int32, column_blocks
from fastembed._base.estimator import fields_alone
from fastembed._base.progress import bar
from fastembed._base.threads import Pool, cached_property, single_threaded_blas
from fastembed._base.validation import is_true
from fastembed._kernels import kernels_for
from fastembed._kernels.cooccur import regression
from fastembed.trainer.checkpoint import Checkpoint, arrays_digest
from fastembed.trainer.folding import Origin, optimal_rows
from fastembed.trainer.trainer import Trainer

if TYPE_CHECKING:
    from fastembed.trainer.ranks import Communicator

Record: TypeAlias = dict[str, float]

EXPONENT = 0.5  # t
TOLERANCE = 1e-5  # of the rows of users: see `optimal_rows`
ROUGH_TOLERANCE = 1e-4  # of those from which only a recommendation is made
CHOICE_TOLERANCE = 1e-2  # of those by which the strengths are chosen
RATE, LINEAR_RATE, L2, LINEAR_L2 = 1.0, 1.0, 0.3, 0.4  # of `fit_counts`
BLOCK = 256
ROWS = 8192  # of users whose float64 rows are in memory
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 160, 3, 10  # blocks in all epochs together; users who are many need fewer epochs
# The largest number of scores in all epochs together: per entry, or in any case; there is always one epoch
PER_ENTRY, FREE_SCORES = 1400, 1 << 26
LATER_RATE = 0.03  # of W, when training goes on from a model
START_SCALE = 0.1
START_PASSES, EXTRA = 3, 16  # of the randomised SVD
RIDGES = (0.3, 0.75, 2.0, 5.0, 12.0)
FIRST_RIDGE = 1.5
# The largest number of neighbours of an item: times the users of the item, times the root of all users, and in any case
PER_USER, PER_ROOT, NEIGHBOURS = 32, 5, 300
FEW_NEIGHBOURS = 64  # in any case, of the model that is trained again once its strengths are chosen
RIDGE_FACTOR = 16.0
EASE_FACTORS = (1.0, 4.0, 16.0, 64.0)
MOST_EASE, MOST_EASE_ITEMS = 4096, 24576  # users or items, the fewer of both, and items
MOST_PAIRS = 1 << 26  # of items whose counts are in memory
MOST_WEIGHTS = 400  # of a column; usually there are 300 to 350
GROUPS = 1200  # of the weights of a column
ROWS_SORTED = 256  # of G at a time
SOME_ITEMS = 64  # whose pairs say how many there are
COLUMNS, EASE_COLUMNS = 32, 64  # of B per task
HIDDEN_SHARE = 0.2  # of the items of a user
# The largest number of users with hidden items: a quarter of the users, 65,536 / sqrt(items), and 1,500
HIDING_SHARE, HIDING_ROOT, MOST_HIDING = 0.25, 1 << 16, 1500
NEGLIGIBLE = 0.01  # share of users with hidden items below which nothing is trained again with them
HIDDEN_LOGITS = 1 << 24  # of the users with hidden items
LEAST_HIDDEN = 200  # items, from which the strengths can be chosen
FIRST_FACTORS = (1.0, 0.75, 0.75)  # a, g and h, if they cannot
PRIOR = 3.0  # precision of the factors about 1; the weight of a hidden item is 1 at most
DEPTH = 100  # of the NDCG
LEAST_FACTOR = 0.05  # below 0, what nobody takes would be first for users of whose items nothing is known
FLOOR = 0.1
HEAVY, MOST_HEAVY = 4, 400  # times the median sum of counts
FIXED_BYTES, FOLDS = 16 << 20, 36  # of `needed`: what small data takes, too; evaluations of three optima of a row
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.96, 1.0)  # of the item-to-item model in the product
USUAL_SHARE, MARGIN = 0.6, 0.5  # the share where hidden items tell little: less than this many standard errors
POPULARITIES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the factor of the bias that the nll chooses
NEWTON_STEPS = 12
CACHED_LOGITS = 1 << 17  # of a block of users with hidden items


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Parameters
    ----------
    dim : int
        D.
    epochs : int or None
        None: by the size of the data, see `epochs_for`.
    seed : int
        Of the start of W, the users with hidden items, and the order of training.
    """

    dim: int = 128
    epochs: int | None = None
    seed: int = 0


NUMBERS = ("ridge", "exponent", "median", "weight", "floor", "users", "ease")  # of a model


@dataclass(frozen=True)
class Model:
    """The fitted arrays: all that folding in a user, and scoring, need.

    Attributes
    ----------
    linear : ndarray (D, V), float32
        W.
    bias : ndarray (V,), float32
        b.
    similar : csr_array (V, V), float32
        B.
    ridge, exponent, median : float
        Of the rows of users; t is the exponent, m the median.
    weight : float
        The median weight in the data; a weight w counts as log2(1 + w / weight), which is 1 where all are the same.
    factors : ndarray (3,), float32
        a, g and h.
    floor : float
    users : float
        Their number when the strengths were chosen.
    ease : float
        The factor of `Ease` if that was chosen, or 0: then B is of the nearest items.
    """

    linear: Float32
    bias: Float32
    similar: Any
    ridge: float
    exponent: float
    median: float
    weight: float
    factors: Float32
    floor: float
    users: float
    ease: float

    __getstate__ = fields_alone

    @property
    def popularity(self) -> Float32:
        """What the popularity of the items adds to the logits of a user with items, (V,): a b."""
        popularity: Float32 = self.factors[0] * self.bias
        return popularity

    @cached_property
    def origin(self) -> Origin:
        """What all users have in common at d = 0."""
        return Origin.of(self.linear, self.bias)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return everything as a flat dict of arrays."""
        b = self.similar
        numbers = {name: np.array(getattr(self, name)) for name in NUMBERS}
        arrays = {"linear": np.ascontiguousarray(self.linear), "bias": self.bias, "factors": self.factors}
        return arrays | {"similar.indptr": b.indptr, "similar.indices": b.indices, "similar.data": b.data} | numbers

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Model:
        """Return the model of which `tensors` gave the arrays."""
        items = len(tensors["bias"])
        parts = tuple(np.array(tensors[f"similar.{name}"]) for name in ("data", "indices", "indptr"))
        return cls(
            np.array(tensors["linear"], order="F"),
            np.array(tensors["bias"]),
            sparse.csr_array(parts, shape=(items, items)),
            factors=np.array(tensors["factors"], np.float32),
            **{name: float(tensors[name]) for name in NUMBERS},
        )


def epochs_for(users: int, items: int, entries: int) -> int:
    """Return the default number of epochs: few steps in each need more of them; entries that are few, fewer."""
    most = max(1, max(PER_ENTRY * entries, FREE_SCORES) // (users * items))
    return int(min(most, np.clip(-(-STEPS // -(-users // BLOCK)), FEWEST_EPOCHS, MOST_EPOCHS)))


# ---------------------------------------------------------------- a user: the row, the scores, and why


def fold(x: Any, model: Model, pool: Pool, tolerance: float = TOLERANCE) -> Float32:
    """Return the rows (N, D) of users with the items x, csr (N, V): the unique optimum given W; zero without items."""
    n = _damped(_counted(x, model.weight), model)
    return optimal_rows(n, model.linear, model.bias, model.ridge, pool, tolerance, origin=model.origin)[0]


def scores(d: Float32, x: Any, model: Model) -> Float32:
    """Return log p(c | u), (N, V), of users with the rows d (N, D) and the items x, csr (N, V), of all items."""
    a, g, h = model.factors
    found: Float32 = (g * d) @ model.linear
    found += a * model.bias
    _add_linked(_counted(x, model.weight), model, h, found)
    softmax, scratch = kernels_for("float32").softmax, np.empty(len(model.bias), np.float32)
    for row in found:  # each stays in the cache
        scratch[:] = row
        row -= softmax(scratch)
    return found


def contributions(x: Any, d: Float32, items: NDArray[np.intp], model: Model) -> Float64:
    """Return what each item of a user adds to the logits of some items, (nnz, K); `popularity` is the rest of them.

    At its optimum,  d = s_u / ridge · sum_c n_c (w_c - sum_k p_k w_k):  a sum over the items of the user. The logarithm
    of the item-to-item model is divided among them in proportion to n_c B_ci.

    Parameters
    ----------
    x : csr_array (1, V)
        The items.
    d : ndarray (D,)
        The row of the user.
    items : ndarray (K,)
        The items to explain.
    model : Model
    """
    n, w = _counted(x, model.weight), model.linear
    p = d @ w + model.bias
    kernels_for("float32").softmax(p)
    centred = (w[:, n.indices] - (w @ p)[:, None]).astype(np.float64)
    scale = model.factors[1] * _damping(n.data.sum(keepdims=True), model) / model.ridge
    found: Float64 = (scale * n.data[:, None]) * (centred.T @ w[:, items])
    linked = n.data[:, None] * model.similar[n.indices][:, items].toarray().astype(np.float64)
    total = linked.sum(axis=0)
    log = model.factors[2] * np.log1p(np.maximum(total, 0) / model.floor)
    found += linked * np.divide(log, total, out=np.zeros_like(log), where=total > 0)
    return found


def _counted(x: Any, weight: float) -> Any:
    """Return the counts n of weights, csr: log2(1 + w / weight). Its indices are those of x where these are int32."""
    data = x.data / np.float32(weight)
    data += 1
    np.log2(data, out=data)
    kind = np.int32 if max(x.nnz, *x.shape) < 2**31 else np.int64
    return sparse.csr_array(
        (data, x.indices.astype(kind, copy=False), x.indptr.astype(kind, copy=False)), shape=x.shape
    )


def _totals(n: Any) -> Float64:
    totals: Float64 = np.asarray(n.sum(axis=1), np.float64).ravel()
    return totals


def _damping(totals: Float64, model: Model) -> Float64:
    """Return s_u of users with these sums of counts; 0 for a user without items."""
    return np.power(totals / model.median, -model.exponent, out=np.zeros_like(totals), where=totals > 0)


def _damped(n: Any, model: Model) -> Any:
    """Return s_u n, csr."""
    return _scaled_rows(n, _damping(_totals(n), model))


def _scaled_rows(n: Any, factors: Float64) -> Any:
    """Return the rows of n times their factors, csr; its indices are those of n, not a copy."""
    data = np.repeat(factors.astype(np.float32), np.diff(n.indptr))
    data *= n.data
    return sparse.csr_array((data, n.indices, n.indptr), shape=n.shape)


def _add_linked(n: Any, model: Model, factor: float, logits: Float32) -> None:
    """Add  factor log(1 + max(0, n B) / floor)  to logits (N, V), in place."""
    b, sums = model.similar, np.empty(logits.shape[1], np.float32)
    kernels_for("float32").add_log_product(
        n.indptr, n.indices, n.data, b.indptr, b.indices, b.data, factor, model.floor, sums, logits
    )


# ---------------------------------------------------------------- training


def fit(
    x: Any,
    options: Options,
    pool: Pool,
    *,
    start: Model | None = None,
    checkpoint: Checkpoint | None = None,
    comm: Communicator | None = None,
    on_epoch_end: Callable[[Record], object] | None = None,
    keep: Callable[[Model, list[Record]], object] = lambda *_: None,
) -> tuple[Model, list[Record]]:
    """Return the model of users with the items x, and a record per epoch.

    Parameters
    ----------
    x : csr_array (U, V)
        Non-negative weights; at least one is positive. Users and items without any are allowed.
    options : Options
    pool : Pool
    start : Model, optional
        A fitted model of the first items, to go on from; its strengths are kept, until there are twice the users: then
        all is learned anew.
    checkpoint, comm, on_epoch_end
        As in `Trainer.fit_counts`, for the training with all users. The checkpoint holds the strengths, too.
    keep : callable
        Called with the model as it is, and its records, if training ends by an exception. The first call has the best.
    """
    x = sparse.csr_array(x, dtype=np.float32)
    x.eliminate_zeros()
    if start is not None and x.shape[0] >= 2 * start.users:
        start = None
    n = _counted(x, weight := float(np.median(x.data)) if start is None else start.weight)
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    train = _Training(options, pool, checkpoint, comm, on_epoch_end, keep)
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        known = train.claimed(n, start)
        if start is not None:
            return train.further(n, start)
        epochs = epochs_for(n.shape[0], n.shape[1], n.nnz)
        if known is not None:
            return train.first(n, weight, epochs, strengths=known)
        hiding = _hiding(n, options.seed)
        if hiding is None:  # strengths that follow from a few items would be anything
            return train.first(n, weight, epochs)
        shown, seen, hidden = hiding
        again = hidden.shape[0] > NEGLIGIBLE * n.shape[0]
        model, history = train.first(shown, weight, epochs, rough=again)
        try:
            strengths = _select(model, shown, seen, hidden, pool)
            model = strengths.of(model)
            if again:
                return train.first(n, weight, epochs, strengths=strengths)
            return replace(model, similar=_similar(n, model.ease, pool)) if model.ease else model, history
        except BaseException:
            keep(model, [] if again else history)
            raise


@dataclass(frozen=True)
class Strengths:
    """What the hidden items choose; see `Model`."""

    ridge: float
    factors: list[float]
    ease: float

    def of(self, model: Model) -> Model:
        """Return the model with them."""
        return replace(model, ridge=self.ridge, factors=np.array(self.factors, np.float32), ease=self.ease)


@dataclass(frozen=True)
class _Training:
    """How W is trained: what a caller of `fit` gave."""

    options: Options
    pool: Pool
    checkpoint: Checkpoint | None
    comm: Communicator | None
    on_epoch_end: Callable[[Record], object] | None
    keep: Callable[[Model, list[Record]], object]

    def claimed(self, n: Any, start: Model | None) -> Strengths | None:
        """Let the checkpoint belong to this fit, and return the strengths in it, if it has any."""
        known = None
        if self.checkpoint is not None:
            identity: dict[str, Any] = {"dim": self.options.dim, "seed": self.options.seed}
            identity |= {"model": None if start is None else arrays_digest(start.tensors())}
            identity |= {"data": arrays_digest({"data": n.data, "indices": n.indices, "indptr": n.indptr})}
            stored = self.checkpoint.claim(identity)
            known = None if stored is None else stored.identity.get("strengths")
        if self.comm is not None:
            known = self.comm.bcast(known, root=0)
        return None if known is None else Strengths(**known)

    def first(
        self, n: Any, weight: float, epochs: int, *, rough: bool = False, strengths: Strengths | None = None
    ) -> tuple[Model, list[Record]]:
        """Return the model of the counts n, and the records; a rough one serves to find the strengths."""
        if self.checkpoint is not None and strengths is not None:
            self.checkpoint.claim({"strengths": asdict(strengths)})
        return self._trained(n, _first(n, weight, self.options), epochs, LINEAR_RATE, strengths, rough=rough)

    def further(self, n: Any, model: Model) -> tuple[Model, list[Record]]:
        """Return the model after one more epoch, or `options.epochs`, with the counts n, maybe of more users and items.

        B is of the same kind, unless the data has become too large for `Ease`.
        """
        return self._trained(n, _grown(model, n), 1, LATER_RATE)

    def _trained(
        self, n: Any, model: Model, epochs: int, rate: float, strengths: Strengths | None = None, *, rough: bool = False
    ) -> tuple[Model, list[Record]]:
        """Return the model with B anew, and then W trained further; no caller sees a rough training."""
        epochs, start = self.options.epochs or epochs, model if strengths is None else strengths.of(model)
        start, records = replace(start, similar=_similar(n, start.ease, self.pool, few=rough)), []
        trainer = Trainer(
            _newton_rows(n, model), model.linear, bias=model.bias, loss_scale=1.0, threads=self.pool.threads
        )

        def epoch_end(record: Record, _: Trainer) -> bool:
            done.update()
            records.append(record)
            return not rough and self.on_epoch_end is not None and is_true(self.on_epoch_end(record))

        try:
            with bar(desc="first epochs", total=epochs, **({} if rough else {"disable": True})) as done:
                records = trainer.fit_counts(
                    n,
                    epochs=epochs,
                    learning_rate=RATE if epochs > 1 else 0,  # each row is used once then, before its step
                    linear_learning_rate=rate,
                    block_size=BLOCK,
                    l2=L2,
                    linear_l2=LINEAR_L2,
                    input_weights=_totals(n) ** (1 - EXPONENT),
                    seed=self.options.seed,
                    on_epoch_end=epoch_end,
                    checkpoint=None if rough else self.checkpoint,
                    comm=self.comm,
                )
        except BaseException:
            if not rough:
                self.keep(replace(start, linear=np.asfortranarray(trainer.linear)), records)
            raise
        return replace(start, linear=np.asfortranarray(trainer.linear)), records


def _first(n: Any, weight: float, options: Options) -> Model:
    """Return the model before training, with strengths that are a fair guess, and without B.

    W has the first right singular vectors of the rows of n divided by the square roots of their sums.
    """
    users, items = n.shape
    columns = np.asarray(n.sum(axis=0), np.float64).ravel()
    empty = columns == 0
    shares = np.where(empty, columns[~empty].min() / max(1, empty.sum()), columns)
    totals = _totals(n)
    rng = np.random.default_rng(options.seed)
    rank = min(options.dim, users, items)
    vectors = _right_vectors(_scaled_rows(n, np.power(totals, -0.5, where=totals > 0, out=np.zeros(users))), rank, rng)
    linear = 1e-3 * rng.standard_normal((options.dim, items))
    linear[:rank] = START_SCALE * np.sqrt(items / options.dim) * vectors
    return Model(
        linear=linear.astype(np.float32),
        bias=np.log(shares / shares.sum()).astype(np.float32),
        similar=sparse.csr_array((items, items), dtype=np.float32),
        ridge=FIRST_RIDGE,
        exponent=EXPONENT,
        median=float(np.median(totals[totals > 0])),
        weight=weight,
        factors=np.array(FIRST_FACTORS, np.float32),
        floor=FLOOR,
        users=users,
        ease=0.0,
    )


def _grown(start: Model, n: Any) -> Model:
    """Return a fitted model with columns for new items.

    A new column of W is one Newton step from 0 to its optimum, with its own prior and the rows d of all users, as if
    each user had the probability p_c of the item:  (p_c sum_u s_u n_u d_u d_u^T + ridge I) w_c = sum_u s_u (n_uc -
    n_u p_c) d_u.
    """
    dim, known = start.linear.shape
    columns = np.asarray(n.sum(axis=0), np.float64).ravel()
    columns = np.where(columns == 0, columns[columns > 0].min(), columns)
    shares = columns / columns.sum()
    linear = np.zeros((dim, n.shape[1]), np.float32)
    linear[:, :known] = start.linear
    model = replace(start, linear=linear, bias=np.log(shares).astype(np.float32))
    if known < len(shares):
        d, damped, p = _newton_rows(n, model).astype(np.float64), _damped(n, model), shares[known:]
        totals = _totals(damped)
        values, basis = np.linalg.eigh((d.T * totals) @ d)
        slopes = (damped[:, known:].T @ d - np.outer(p, totals @ d)) @ basis
        linear[:, known:] = basis @ (slopes / (np.outer(p, values) + model.ridge)).T
    return model


def _right_vectors(matrix: Any, rank: int, rng: np.random.Generator) -> Float32:
    """Return the first right singular vectors (rank, V), by randomised subspace iteration (Halko et al. 2011)."""
    start = rng.standard_normal((matrix.shape[1], min(rank + EXTRA, *matrix.shape)), np.float32)
    q = _orthonormal(matrix.T @ (matrix @ start))
    for _ in range(START_PASSES):
        q = _orthonormal(matrix.T @ (matrix @ q))
    projected = matrix @ q
    basis = np.linalg.eigh((projected.T @ projected).astype(np.float64))[1]  # by rising eigenvalues
    vectors: Float32 = (q @ basis[:, ::-1][:, :rank].astype(np.float32)).T
    return vectors


def _orthonormal(columns: Float32) -> Float32:
    """Return an orthonormal basis of the columns, by the eigenvectors of their products: faster than LAPACK's QR."""
    exact = columns.astype(np.float64)
    values, basis = np.linalg.eigh(exact.T @ exact)
    found: Float32 = (exact @ (basis / np.sqrt(np.maximum(values, 1e-12 * values[-1])))).astype(np.float32)
    return found


def _newton_rows(n: Any, model: Model) -> Float32:
    """Return the first rows of users, (U, D): one Newton step from 0 to their optimum."""
    damped, w, origin = _damped(n, model), np.ascontiguousarray(model.linear.T), model.origin
    totals, rows = _totals(damped), np.empty((n.shape[0], w.shape[1]), np.float32)
    for first in range(0, len(rows), ROWS):
        part = slice(first, first + ROWS)
        gradient = totals[part, None] * origin.mean - damped[part] @ w
        rows[part] = -origin.newton(gradient, totals[part], model.ridge)
    return rows


# ---------------------------------------------------------------- item to item


def _similar(n: Any, ease: float, pool: Pool, *, few: bool = False) -> Any:
    """Return B, csr (V, V), by `Ease` with a factor; of the nearest items if that is 0, or the data too large."""
    n = _without_heavy(n)
    b = Ease(n, ease).weights(pool) if ease and _ease_fits(*n.shape) else None
    return b if b is not None and b.nnz else item_weights(n, pool, few=few)


def _without_heavy(n: Any) -> Any:
    """Return n with the rows of heavy users times  (n_u / 4 m)^(-t/2),  so that they count less in n^T n, the pairs.

    Users with more than `MOST_HEAVY` m are left out: they may have most pairs.
    """
    totals = _totals(n)
    ratios = totals / np.median(totals[totals > 0])
    kept = ratios <= MOST_HEAVY
    n = n if kept.all() else n[kept]
    return _scaled_rows(n, np.maximum(1, ratios[kept] / HEAVY) ** (-EXPONENT / 2))


def item_weights(n: Any, pool: Pool, *, few: bool = False) -> Any:
    """Return B, csr (V, V): column c solves  (G + Λ) B_c = G_c  for the nearest items of c, with G = n^T n.

    The nearest are those with the highest cosine; fewer for an item of few users. Λ is diagonal,  λ_i = 16 sqrt(f_i),
    f the column sums: the standard error of a count f is sqrt(f). If the counts of all pairs do not fit in memory, only
    the most frequent items have a column. With `few`, an item has 64 neighbours at most: enough to choose strengths.
    """
    items = n.shape[1]
    users = np.bincount(n.indices, minlength=items)
    kept = np.argsort(-users, kind="stable")[: min(np.count_nonzero(users), _most_items(n, users))]
    part = n[:, kept]
    g = part.T.tocsr() @ part
    ids, diagonals = np.asarray(g.indices, np.int32), np.empty(len(kept), np.int32)  # there are at most MOST_PAIRS
    for first in range(0, len(kept), ROWS_SORTED):
        rows = g[first : first + ROWS_SORTED].tocsc().tocsr()  # sorted: in less time than by `sort_indices`
        place = slice(g.indptr[first], g.indptr[first] + rows.nnz)
        ids[place], g.data[place] = rows.indices, rows.data
        owners = np.repeat(np.arange(first, first + rows.shape[0]), np.diff(rows.indptr))
        diagonals[first : first + ROWS_SORTED] = place.start + np.flatnonzero(rows.indices == owners)
    of_g = np.asarray(g.indptr, np.int32), diagonals, ids, g.data
    norms = np.sqrt(g.data[diagonals])
    g.data[diagonals] += RIDGE_FACTOR * np.sqrt(part.sum(axis=0))
    starts = range(0, len(kept), COLUMNS)
    most = min(FEW_NEIGHBOURS if few else NEIGHBOURS, round(PER_ROOT * n.shape[0] ** 0.5))
    neighbours = np.minimum(PER_USER * users[kept], most).tolist()
    found: list[list[tuple[Int32, Float32]]] = [[] for _ in starts]

    def solve(k: int) -> None:
        places, hits = np.full(len(kept), -1, np.int32), np.empty(len(kept), np.int32)
        system, scratch = np.empty(most**2, np.float32), np.empty((3, most), np.float32)
        last = min(starts[k] + COLUMNS, len(kept))
        first_entry = g.indptr[starts[k]]
        part = slice(first_entry, g.indptr[last])
        closeness = g.data[part] / norms[ids[part]]
        closeness[diagonals[starts[k] : last] - first_entry] = 0  # an item is not its own neighbour
        for c in range(starts[k], last):
            row = slice(g.indptr[c], g.indptr[c + 1])
            of_row = closeness[row.start - first_entry : row.stop - first_entry]
            count = min(neighbours[c], len(of_row) - 1)
            chosen = np.argpartition(of_row, -count)[-count:] if count else np.zeros(0, np.intp)
            chosen.sort()
            nearest, counts = ids[row][chosen], g.data[row][chosen]
            if count:
                regression(*of_g, nearest, places, system, scratch, hits, counts)
            found[k].append((nearest, counts))
        done.update(last - starts[k])

    with bar(desc="item to item", total=len(kept), delay=1) as done:
        pool.run(solve, len(starts))
    columns = [column for part in found for column in part]
    lengths = [len(rows) for rows, _ in columns]
    rows, data = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    pairs = kept[rows].astype(np.int32), np.repeat(kept, lengths).astype(np.int32)
    return sparse.csr_array((data, pairs), (items, items))


def _ease_fits(users: int, items: int) -> bool:
    return min(users, items) <= MOST_EASE and items <= MOST_EASE_ITEMS


class Ease:
    """The regression of each item on all others (Steck 2019), with the ridges  λ_i = factor sqrt(f_i).

    With  Z = n Λ^(-1/2)  and  M = I - (Z^T Z + I)^-1 = Z^T (Z Z^T + I)^-1 Z:  B_ic = M_ic sqrt(λ_c / λ_i) / (1 - M_cc).
    The inverse is that of the items or of the users, whichever are fewer. Where rounding lets it fail, B is 0.
    """

    def __init__(self, n: Any, factor: float) -> None:
        from scipy.linalg import lapack  # here, since its import takes half as long as all others together

        frequency = np.asarray(n.sum(axis=0), np.float64).ravel()
        self.roots = np.where(frequency > 0, factor * frequency**0.5, 1).astype(np.float32) ** 0.5
        self.to_z = sparse.diags_array(1 / self.roots)
        z = sparse.csr_array(n[np.diff(n.indptr) > 0] @ self.to_z)
        self.by_users = z.shape[0] < z.shape[1]
        system = (z @ z.T if self.by_users else z.T @ z).toarray()
        system[np.diag_indices(len(system))] += 1
        factors, indefinite = lapack.spotrf(system.T, lower=True, overwrite_a=True)
        inverse, singular = lapack.spotri(factors, lower=True, overwrite_c=True)
        inverse = inverse.T  # its upper triangle
        for first in range(0, len(inverse), BLOCK):
            part, after = slice(first, first + BLOCK), slice(first + BLOCK, None)
            inverse[part, part] = np.triu(inverse[part, part]) + np.triu(inverse[part, part], 1).T
            inverse[after, part] = inverse[part, after].T
        self.z = z.T.tocsr() if self.by_users else sparse.eye_array(len(frequency), dtype=np.float32, format="csr")
        if not self.by_users:
            np.negative(inverse, out=inverse)
            inverse[np.diag_indices(len(inverse))] += 1
        if indefinite or singular:
            inverse[:] = 0
        self.middle = inverse  # M = z middle z^T

    def _parts(self, size: int) -> list[slice]:
        return [slice(first, first + size) for first in range(0, len(self.roots), size)]

    def predicted(self, n: Any) -> Float32:
        """Return n B (N, V) of users with the counts n, csr (N, V): of the items that they do not have."""
        halves = [self.z[part].multiply(self.z[part] @ self.middle).sum(axis=1) for part in self._parts(BLOCK)]
        of_users = (n @ self.to_z @ self.z).toarray() @ self.middle
        found = np.ascontiguousarray((self.z @ np.ascontiguousarray(of_users.T)).T)
        found *= self.roots / (1 - np.concatenate(halves))
        return found

    def weights(self, pool: Pool) -> Any:
        """Return B, csr (V, V): of each column the weights for which |B_ic| sqrt(f_i) is largest.

        They are those that are not below the least of the largest of some groups of them: `MOST_WEIGHTS` at most, or
        `NEIGHBOURS`.
        """
        items, parts = len(self.roots), self._parts(EASE_COLUMNS)
        z = column_blocks(sparse.csr_array(sparse.diags_array(self.roots) @ self.z))
        most, size = min(NEIGHBOURS, items - 1), max(1, items // GROUPS)
        found: list[Any] = [None] * len(parts)

        def solve(k: int) -> None:
            part = parts[k]
            of_users = np.ascontiguousarray((self.z[part] @ self.middle).T)
            b = np.empty((items, of_users.shape[1]), np.float32)  # columns of M, in rows times their roots
            kernels_for("float32").csr_times_dense(*z, of_users, b, 0, items)
            roots, own = self.roots[part], (np.arange(items)[part], np.arange(b.shape[1]))
            scales, b[own] = roots / (1 - b[own] / roots), 0
            magnitudes = np.abs(b)
            maxima = magnitudes[: items // size * size].reshape(size, -1, b.shape[1]).max(axis=0)
            least = np.partition(np.ascontiguousarray(maxima.T), -most, axis=1)[:, -most]
            places = np.flatnonzero(magnitudes >= np.maximum(least, np.finfo(np.float32).tiny))
            rows, columns = np.divmod(places.astype(np.int32), np.int32(b.shape[1]))
            for column in np.flatnonzero(np.bincount(columns) > MOST_WEIGHTS):  # of items that are alike
                alike = np.flatnonzero(columns == column)
                alike = alike[np.argpartition(magnitudes[rows[alike], column], -most)[:-most]]
                places, rows, columns = (np.delete(each, alike) for each in (places, rows, columns))
            weights = b.ravel()[places] * scales[columns] / self.roots[rows] ** 2
            found[k] = weights, rows, columns + np.int32(part.start)
            done.update(b.shape[1])

        with bar(desc="item to item", total=items, delay=1) as done:
            pool.run(solve, len(parts))
        data, rows, columns = map(np.concatenate, zip(*found, strict=True))
        return sparse.csr_array((data, (rows, columns)), (items, items))


def _most_items(n: Any, users: NDArray[np.intp]) -> int:
    """Return how many of the most frequent items have at most `MOST_PAIRS` pairs that occur."""
    rank = np.empty(len(users), np.int32)
    rank[np.argsort(-users, kind="stable")] = np.arange(len(users))
    of_entries = rank[n.indices]
    low, high = 0, len(users)
    while low < high:
        most = (low + high + 1) // 2
        kept = np.diff(_ends(n, of_entries < most)).astype(np.float64)
        low, high = (most, high) if min(most**2, (kept**2).sum()) <= MOST_PAIRS else (low, most - 1)
    return max(low, 1)


# ---------------------------------------------------------------- the strengths, from hidden items


def _hiding(n: Any, seed: int) -> tuple[Any, Any, Any] | None:
    """Return n without the rows of some users, and the seen and the hidden items of these; None if they are too few.

    Training does not see their other items either: W is made to fit those of its users, so that it would not tell how
    much the row of a new user must be held back.
    """
    rng = np.random.default_rng(seed)
    sizes = np.diff(n.indptr)
    able = np.flatnonzero(sizes >= 2)
    most = _most_hiding(len(able), n.shape[1])
    if most < 1:
        return None
    chosen = np.sort(rng.choice(able, most, replace=False))
    part = n[chosen]
    mask = np.zeros(part.nnz, bool)
    for first, last in zip(part.indptr[:-1], part.indptr[1:], strict=True):
        places = np.arange(first, last)
        mask[rng.choice(places, max(1, round(HIDDEN_SHARE * len(places))), replace=False)] = True
    if np.count_nonzero(mask) < LEAST_HIDDEN:
        return None
    others = np.ones(n.shape[0], bool)
    others[chosen] = False
    return _entries(n, np.repeat(others, sizes)), _entries(part, ~mask), _entries(part, mask)


def _most_hiding(users: int, items: int) -> int:
    return min(MOST_HIDING, int(HIDING_ROOT / items**0.5), HIDDEN_LOGITS // items, round(HIDING_SHARE * users))


def _entries(n: Any, mask: NDArray[np.bool_]) -> Any:
    return sparse.csr_array((n.data[mask], n.indices[mask], _ends(n, mask)), shape=n.shape)


def _ends(n: Any, mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return where the rows of n begin and end among the entries in the mask, (N + 1,), of the dtype of `n.indptr`."""
    ends = np.zeros(len(mask) + 1, n.indptr.dtype)
    np.cumsum(mask, out=ends[1:])
    of_rows: NDArray[Any] = ends[n.indptr]
    return of_rows


def _select(model: Model, shown: Any, seen: Any, hidden: Any, pool: Pool) -> Strengths:
    """Return the strengths that predict the hidden items of users best.

    Each of the two models is calibrated by two factors, of the bias and of its own logits: those with the lowest nll.
    The ridge, and the share of each model in their product, are those that rank the hidden items best (NDCG): the nll
    says more of the many items that nobody could have predicted. Of the shares that lose no more than half a standard
    error to the best, the one nearest to `USUAL_SHARE` is taken. The ridges are tried from the middle one on, as long
    as they become better, with shares that are next to the best so far. So are the factors of `Ease`, where users or
    items are few enough; it takes the place of the nearest items if it is better. Then a share of the weight of
    popularity is chosen, which the nll wants for the items that nothing links, and once more that of each model: with
    less popularity, more is left to what links items. At last the product is calibrated, which does not change the
    order, by the hidden items that others, those `shown`, have: once training has all users, hardly any item is without
    one.
    """
    users, n, bias = _Hidden(seen, hidden), _damped(seen, model), model.bias[None]
    rows: Float32 | None = None

    def calibrate(logits: Float32, start: Float64) -> Float64:  # in place
        factors = users.calibrated([bias, logits], start)
        logits *= np.float32(factors[1])
        logits += np.float32(factors[0]) * bias
        return factors

    linked = np.zeros(seen.shape, np.float32)
    _add_linked(seen, model, 1, linked)
    of_linked = calibrate(linked, np.ones(2))

    def near(best: _Tried | None, width: int = 1) -> range:
        return range(len(SHARES))[max(0, best.share - width) if best else 0 : best.share + width + 1 if best else None]

    def with_ridge(ridge: float, best: _Tried | None) -> _Tried:
        nonlocal rows  # those of the ridge before are near
        rows = optimal_rows(n, model.linear, model.bias, ridge, pool, CHOICE_TOLERANCE, rows)[0]
        low_rank = rows @ model.linear
        factors = calibrate(low_rank, np.ones(2) if best is None else best.factors)
        done.update()
        return _Tried(ridge, factors, low_rank, *users.best_share(low_rank, linked, near(best)))

    def with_ease(factor: float, best: _Tried | None) -> _Tried:
        predicted = Ease(others, factor).predicted(seen)
        np.maximum(predicted, 0, out=predicted)
        predicted /= np.float32(model.floor)
        np.log1p(predicted, out=predicted)
        factors = calibrate(predicted, of_linked if best is None else best.factors)
        done.update()
        return _Tried(factor, factors, predicted, *users.best_share(low.logits, predicted, near(best)))

    def with_popularity(popularity: float, best: _Tried | None) -> _Tried:
        less = popularity - 1
        parts = [each.logits + np.float32(less * each.factors[0]) * bias for each in (low, second)]
        number, ndcg = users.best_share(parts[0], parts[1], near(best, 2))
        share = SHARES[number]
        factors = (1 - share) * np.append(low.factors, 0) + share * np.insert(second.factors, 1, 0)
        factors[0] *= popularity
        return _Tried(popularity, factors, _scaled_sum(parts, (1 - share, share)), number, ndcg)

    with bar(desc="strengths tried", unit="", unit_scale=False) as done:
        low = _climbed(RIDGES, with_ridge)
        second, known = _Tried(0.0, of_linked, linked, low.share, low.ndcg), np.unique(shown.indices)
        if _ease_fits(*shown.shape):
            others = _without_heavy(shown)
            second = max(second, _climbed(EASE_FACTORS, with_ease, low.ndcg), key=lambda tried: tried.ndcg)
    best = _climbed(POPULARITIES, with_popularity)
    hidden = _entries(hidden, np.isin(hidden.indices, known))
    asked = np.flatnonzero(np.diff(hidden.indptr))
    scale = _Hidden(seen[asked], hidden[asked]).calibrated([best.logits[asked]], np.ones(1))[0] if len(asked) else 1.0
    return Strengths(low.value, (scale * best.factors).astype(np.float32).tolist(), second.value)


@dataclass(frozen=True)
class _Tried:
    """A strength of a model: the factors that calibrate it, its logits (N, V), and the number of the best share."""

    value: float
    factors: Float64
    logits: Float32
    share: int
    ndcg: float


def _climbed(values: Sequence[float], tried: Callable[[float, _Tried | None], _Tried], least: float = 0) -> _Tried:
    """Return the best of some values, tried from the middle one down, or else up, as long as they become better.

    If the NDCG of the middle one is below the least, no other is tried.
    """
    middle = len(values) // 2
    first = best = tried(values[middle], None)
    for others in (values[:middle][::-1], values[middle + 1 :]):
        for value in others if best is first and best.ndcg >= least else ():
            other = tried(value, best)
            if other.ndcg <= best.ndcg:
                break
            best = other
    return best


def _scaled_sum(parts: list[Float32], factors: Any) -> Float32:
    """Return  sum_k f_k parts_k  of arrays (N, V) or (1, V)."""
    total = np.float32(factors[0]) * parts[0]
    for factor, part in zip(factors[1:], parts[1:], strict=True):
        total = total + np.float32(factor) * part
    return total


class _Hidden:
    """Some users with their seen and their hidden items, csr (N, V): how well logits (N, V) predict the hidden ones.

    Items that a user has seen are not candidates. A hidden item of a user with k of them has the weight k^-t. Blocks of
    users are as small as a cache.
    """

    def __init__(self, seen: Any, hidden: Any) -> None:
        sizes = np.diff(hidden.indptr)
        self._weights = sizes ** (1 - EXPONENT)
        ideal = np.cumsum(1 / np.log2(np.arange(2, DEPTH + 2)))[np.minimum(sizes, DEPTH) - 1]
        size = max(1, CACHED_LOGITS // seen.shape[1])
        self._blocks = []
        for first in range(0, len(sizes), size):
            part = slice(first, min(first + size, len(sizes)))
            entries = [
                (np.repeat(np.arange(len(each)), each), x.indices[x.indptr[part.start] : x.indptr[part.stop]])
                for x in (seen, hidden)
                for each in [np.diff(x.indptr[part.start : part.stop + 1])]
            ]
            self._blocks.append((part, *entries, sizes[part], ideal[part]))

    def calibrated(self, parts: list[Float32], start: Float64) -> Float64:
        """Return the factors f (K,) with the lowest weighted nll of  sum_k f_k parts_k, by projected Newton steps.

        A prior with the mean 1 keeps them near it where hidden items are few. None is below `LEAST_FACTOR`.

        Parameters
        ----------
        parts : list of ndarray (N, V) or (1, V)
        start : ndarray (K,)
            The first factors.
        """
        factors, (nll, gradient, hessian) = start, self._nll(parts, start)
        for _ in range(NEWTON_STEPS):
            free = (factors > LEAST_FACTOR) | (gradient < 0)
            step = np.zeros_like(factors)
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            after = np.maximum(factors - step, LEAST_FACTOR)
            if gradient @ (factors - after) < 2e-5:
                return after
            while (tried := self._nll(parts, after))[0] > nll and np.abs(step).max() >= 1e-6:
                step = step / 2
                after = np.maximum(factors - step, LEAST_FACTOR)
            factors, (nll, gradient, hessian) = after, tried
        return factors

    def _nll(self, parts: list[Float32], factors: Float64) -> tuple[float, Float64, Float64]:
        """Return the nll and that of the prior, per weight, its gradient (K,) and its Hessian (K, K)."""
        softmax, k = kernels_for("float32").softmax, len(parts)
        nll, gradient, hessian = 0.0, np.zeros(k), np.zeros((k, k))
        for block, seen, (rows, items), sizes, _ in self._blocks:
            of_block = [part if len(part) == 1 else part[block] for part in parts]
            p = _scaled_sum(of_block, factors)
            p[seen] = -np.inf
            log_sums = np.array([softmax(row) for row in p])  # in place
            weights = self._weights[block]
            of_hidden = np.stack([np.broadcast_to(part, p.shape)[rows, items] for part in of_block]).astype(np.float64)
            means = np.zeros((k, len(p)))
            of_entries = (weights / sizes)[rows]
            nll += float(weights @ log_sums - of_entries @ (factors @ of_hidden))
            for i in range(k):
                product = p * of_block[i]
                means[i] = product.sum(axis=1)
                for j in range(i + 1):
                    second = np.einsum("ij,ij->i", product, np.broadcast_to(of_block[j], p.shape))
                    hessian[i, j] += weights @ (second - means[i] * means[j])
            gradient += means @ weights - of_hidden @ of_entries
        nll += PRIOR / 2 * float(((factors - 1) ** 2).sum())
        gradient += PRIOR * (factors - 1)
        hessian += np.tril(hessian, -1).T + PRIOR * np.eye(k)
        total = self._weights.sum()
        return nll / total, gradient / total, hessian / total

    def best_share(self, first: Float32, second: Float32, shares: range) -> tuple[int, float]:
        """Return the number of a share of `second`, beside `first`, and the highest NDCG.

        Of the shares that lose no more than half a standard error to that, it is the one nearest to the usual one.
        """
        ndcg = {k: self.ndcg([first, second], (1 - SHARES[k], SHARES[k])) for k in shares}
        best = max(ndcg.values(), key=np.mean)
        losses = {k: best - each for k, each in ndcg.items()}
        near = [k for k, loss in losses.items() if loss.mean() <= MARGIN * loss.std() / len(loss) ** 0.5]
        return min(near, key=lambda k: abs(SHARES[k] - USUAL_SHARE)), float(best.mean())

    def ndcg(self, parts: list[Float32], factors: Any) -> Float64:
        """Return the NDCG at `DEPTH` (N,) of  sum_k f_k parts_k  among the items that a user has not seen."""
        found = []
        for block, seen, (rows, items), sizes, ideal in self._blocks:
            logits = _scaled_sum([part[block] for part in parts], factors)
            logits[seen] = -np.inf
            most = min(DEPTH, logits.shape[1])
            best = np.partition(logits, -most, axis=1)[:, -most:]
            above = (best[rows] > logits[rows, items][:, None]).sum(axis=1)
            gains = np.bincount(rows, (above < DEPTH) / np.log2(above + 2), len(sizes))
            found.append(gains / ideal)
        return np.concatenate(found)


# ---------------------------------------------------------------- what it needs


def pairs_of(n: Any) -> float:
    """Return about how many pairs of items some user has, an item with itself included, from those of a few items."""
    by_users = np.argsort(np.bincount(n.indices, minlength=n.shape[1]))
    some = by_users[len(by_users) // SOME_ITEMS // 2 :: max(1, len(by_users) // SOME_ITEMS)]
    return float((n[:, some].T @ n).nnz) * len(by_users) / len(some)


def needed(users: int, items: int, entries: int, options: Options, pairs: float | None = None) -> tuple[int, float]:
    """Return the bytes that training needs beyond the data, and its floating-point operations.

    `pairs` are those of :func:`pairs_of`; by default as many as there usually are, since few items are popular.
    """
    dim, epochs = options.dim, options.epochs or epochs_for(users, items, entries)
    hidden = max(1, _most_hiding(users, items))
    if pairs is None:
        cells, together = items**2, 3 * entries**2 / users  # of G, and pairs of items of a user
        pairs = 0.5 * cells * -np.expm1(-together / cells)
    pairs = min(MOST_PAIRS, pairs)
    neighbours = min(items * min(NEIGHBOURS, round(PER_ROOT * users**0.5), items), PER_USER * entries, pairs)
    of_start = 4 * entries + 4 * (dim + EXTRA) * (2 * users + 4 * items)
    of_training = 20 * entries + 8 * users * dim + 20 * items * dim + 4 * BLOCK * items + 8 * neighbours
    of_rows = 4 * users * dim + 16 * min(users, ROWS) * dim + 8 * items * dim + 8 * neighbours
    of_items = 20 * entries + 8 * pairs + 30 * neighbours
    of_strengths = 28 * hidden * items + 8 * neighbours  # seven arrays of logits, and B
    fewest = min(users, items)
    if _ease_fits(users, items):
        of_items = max(of_items, 4 * fewest**2 + 30 * items * min(MOST_WEIGHTS, items))
        of_system = 8 * min(pairs, fewest**2) + 16 * entries  # beside three arrays of logits
        of_strengths += 4 * fewest**2 + max(8 * hidden * items, of_system - 16 * hidden * items)
    most = max(of_start, of_rows, of_training, of_items, of_strengths)
    bytes_needed = FIXED_BYTES + 16 * entries + most  # 16: n, twice
    passes = epochs if hidden <= NEGLIGIBLE * users else epochs * (2 - hidden / users)
    other = FOLDS * 4.0 * hidden * items * dim + (6.0 * fewest**3 if _ease_fits(users, items) else 0)
    return int(bytes_needed), passes * 6.0 * users * items * dim + other
