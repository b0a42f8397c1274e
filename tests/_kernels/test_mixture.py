"""The moments and ranks of a mixture of logits, and quadratic forms of sparse rows: against NumPy and SciPy."""

import numpy as np
import pytest
from scipy import sparse, special


@pytest.mark.parametrize(("items", "scale"), [(2, 3), (17, 3), (300, 3), (300, 500)])
def test_mixtures_and_quadratic_forms_are_those_of_numpy(kernels, near, items, scale):
    rng, dtype = np.random.default_rng(0), kernels.dtype
    a, b = rng.normal(0, scale, (2, 5, items)).astype(dtype)
    a[1:] = a[0]
    a[:, -1], b[:, -1] = a[:, 0], b[:, 0]
    kind = rng.integers(3, size=(5, items))
    kind[:, [0, -1]], kind[3] = 2, np.arange(items) % 2 + 1  # two tie; in a row nothing was seen
    seen, hidden = (sparse.csr_array(kind == k) for k in (0, 2))
    x = np.where(kind, 0.4 * a.astype(float) + 0.7 * b, -np.inf)
    p, scratch, first = special.softmax(x, axis=1), np.empty(items, dtype), np.broadcast_to(a[0], a.shape)
    moments, above = np.empty((5, 6)), np.empty(hidden.nnz, np.int32)
    given = first, b, 0.4, 0.7, seen.indptr, seen.indices, scratch
    kernels.mixture_moments(*given, moments)
    means = [(p * each).sum(axis=1) for each in (a, b, a * a, a * b, b * b)]
    near(moments, np.stack([special.logsumexp(x, axis=1), *means], axis=1), times=10)
    kernels.mixture_ranks(*given, hidden.indptr, hidden.indices, above)
    rows, columns = hidden.nonzero()
    assert above.tolist() == (x[rows] > x[rows, columns][:, None]).sum(axis=1).tolist()
    dense, forms = (b[:, :5] @ b[:, :5].T).astype(dtype), np.full(items, np.nan, dtype)
    z = sparse.csr_array(((kind == 2) * a).T)
    kernels.quadratic_forms(z.indptr, z.indices, z.data, dense, forms)
    near(forms, np.einsum("ij,jk,ik->i", z.toarray(), dense.astype(float), z.toarray()), times=10)
