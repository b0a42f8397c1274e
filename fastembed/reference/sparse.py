"""Positive pointwise mutual information: the twin of ``sparse.pxi``; its products are in NumPy."""

from __future__ import annotations

import numpy as np

from fastembed.reference.arrays import Array, Real


def positive_pmi(counts: Real, exponent: float = 0.75) -> Array:
    """Return max(0, log(N_wc sum_k(n_k^a) / (n_w n_c^a))) where N_wc > 0, and 0 elsewhere, (V_in, V).

    Examples
    --------
    >>> positive_pmi([[4, 0], [0, 4]]).round(4)  # log 2 on the diagonal
    array([[0.6931, 0.    ],
           [0.    , 0.6931]])
    """
    n = np.asarray(counts, np.float64)
    shares = n.sum(axis=0) ** exponent / np.sum(n.sum(axis=0) ** exponent)
    expected = np.outer(n.sum(axis=1), shares)
    return np.log(np.maximum(np.divide(n, expected, out=np.ones_like(n), where=n > 0), 1))
