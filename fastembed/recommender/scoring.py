"""The model of a recommender: its arrays, and the row, the scores and the reasons that they give a user.

User u has the counts n_uc of items. Two models score item c for a user. Their product, in the exact softmax, is

    log p(c | u) = a b_c + g d_u W_c + h log(1 + max(0, (n_u B)_c) / floor) - log Z_u

b is the logarithm of the shares of the items, and fixed.

1. *Low rank*: W (D, V), and a row d_u that is the minimum of  s_u sum_c n_uc (logsumexp(d W + b) - (d W + b)_c)
   + ridge / 2 |d|^2,  with  s_u = (n_u / m)^-t.  n_u is the sum of the counts of u, m their median, t = 0.5: this is
   the vector of a document (`trainer/folding.py`), except that more items of a user count less each.
2. *Item to item*: B (V, V) has no diagonal, so an item is predicted from the *other* items of a user
   (`item_to_item.py`).

How strong each of them is follows from the data (`strengths.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import Pool, cached_property
from fastembed._kernels import kernels_for
from fastembed.trainer.folding import Origin, optimal_rows

TOLERANCE = 1e-5  # of the rows of users: see `optimal_rows`
EXPONENT, FLOOR = 0.5, 0.1  # t, and of the item-to-item model
NUMBERS = ("ridge", "median", "weight")  # of a model


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
    ridge, median : float
        Of the rows of users; m is the median.
    weight : float
        The median weight in the data; a weight w counts as log2(1 + w / weight), which is 1 where all are the same.
    factors : ndarray (3,), float32
        a, g and h.
    """

    linear: Float32
    bias: Float32
    similar: Any
    ridge: float
    median: float
    weight: float
    factors: Float32

    __getstate__ = fields_alone

    @property
    def popularity(self) -> Float32:
        """What the popularity of the items adds to the logits of a user with items, (V,): a b."""
        return self.factors[0] * self.bias

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
        parts = tuple(np.array(tensors[f"similar.{name}"]) for name in ("data", "indices", "indptr"))
        return cls(
            np.array(tensors["linear"], order="F"),
            np.array(tensors["bias"]),
            sparse.csr_array(parts, shape=2 * tensors["bias"].shape),
            factors=np.array(tensors["factors"], np.float32).reshape(3),
            **{name: float(tensors[name]) for name in NUMBERS},
        )


def fold(x: Any, model: Model, pool: Pool, tolerance: float = TOLERANCE) -> Float32:
    """Return the rows (N, D) of users with the items x, csr (N, V): the unique optimum given W; zero without items."""
    n = damped(counted(x, model.weight), model)
    return optimal_rows(n, model.linear, model.bias, model.ridge, pool, tolerance, origin=model.origin)[0]


def scores(d: Float32, x: Any, model: Model, left_out: Any = None) -> Float32:
    """Return log p(c | u), (N, V), of users with the rows d (N, D) and the items x, csr (N, V); see `normalise`."""
    a, g, h = model.factors
    found: Float32 = (g * d) @ model.linear
    found += a * model.bias
    add_linked(counted(x, model.weight), model, h, found)
    normalise(found, left_out)
    return found


def normalise(logits: Float32, left_out: Any = None) -> None:
    """Let logits (N, V) be log probabilities, in place; -inf where `left_out`, csr (N, V), has an entry.

    A row may be -inf as a whole.
    """
    if left_out is not None:
        logits[np.repeat(np.arange(len(logits)), np.diff(left_out.indptr)), left_out.indices] = -np.inf
    softmax, scratch = kernels_for("float32").softmax, np.empty(logits.shape[1], np.float32)
    for row in logits if len(scratch) else ():  # each stays in the cache
        scratch[:] = row
        if np.isfinite(log_sum := softmax(scratch)):
            row -= log_sum


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
    n, w = counted(x, model.weight), model.linear
    p = d @ w + model.bias
    kernels_for("float32").softmax(p)
    centred = (w[:, n.indices] - (w @ p)[:, None]).astype(np.float64)
    scale = model.factors[1] * damping(n.data.sum(keepdims=True), model) / model.ridge
    found: Float64 = (scale * n.data[:, None]) * (centred.T @ w[:, items])
    linked = n.data[:, None] * model.similar[n.indices][:, items].toarray().astype(np.float64)
    total = linked.sum(axis=0)
    log = model.factors[2] * np.log1p(np.maximum(total, 0) / FLOOR)
    found += linked * np.divide(log, total, out=np.zeros_like(log), where=total > 0)
    return found


def counted(x: Any, weight: float) -> Any:
    """Return the counts n of weights, csr: log2(1 + w / weight). Its indices are those of x where these are int32."""
    data = x.data / np.float32(weight)
    data += 1
    np.log2(data, out=data)
    indices, indptr = (each.astype(np.int32, copy=False) for each in (x.indices, x.indptr))
    return sparse.csr_array((data, indices, indptr), shape=x.shape)


def totals_of(n: Any) -> Float64:
    """Return the sums of the rows, (N,)."""
    return np.asarray(n.sum(axis=1), np.float64).ravel()


def damping(totals: Float64, model: Model) -> Float64:
    """Return s_u of users with these sums of counts; 0 for a user without items."""
    return np.power(totals / model.median, -EXPONENT, out=np.zeros_like(totals), where=totals > 0)


def damped(n: Any, model: Model) -> Any:
    """Return s_u n, csr."""
    return scaled_rows(n, damping(totals_of(n), model))


def scaled_rows(n: Any, factors: Float64) -> Any:
    """Return the rows of n times their factors, csr; its indices are those of n, not a copy."""
    data = np.repeat(factors.astype(np.float32), np.diff(n.indptr))
    data *= n.data
    return sparse.csr_array((data, n.indices, n.indptr), shape=n.shape)


def add_linked(n: Any, model: Model, factor: float, logits: Float32) -> None:
    """Add  factor log(1 + max(0, n B) / floor)  to logits (N, V), in place."""
    b, sums = model.similar, np.empty(logits.shape[1], np.float32)
    kernels_for("float32").add_log_product(
        n.indptr, n.indices, n.data, b.indptr, b.indices, b.data, factor, FLOOR, sums, logits
    )
