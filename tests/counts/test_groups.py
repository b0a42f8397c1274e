"""What training reads of counts: groups of rows, in any order, from memory or read meanwhile; shards of the columns."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Trainer
from fastembed._base.threads import Pool
from fastembed.counts.groups import CSRGroups, Totals, group_count

# ---------------------------------------------------------------- groups and shards


@pytest.mark.parametrize("shape", [(5, 7), (9000, 3)])
def test_the_digest_and_the_sums_are_those_of_the_rows_of_each_group(shape):
    counts = sparse.random_array(shape, density=0.5, random_state=np.random.default_rng(0), format="csr")
    digest = hashlib.sha256(np.array(shape, "<i8").tobytes())
    for group in range(group_count(shape[0])):
        part = counts[group :: group_count(shape[0])]
        for array, dtype in ((part.indptr, "<i8"), (part.indices, "<i4"), (part.data, "<f8")):
            digest.update(array.astype(dtype).tobytes())
    groups = CSRGroups(counts)
    assert groups.sha256() == digest.hexdigest()
    assert groups.entries.sum() == counts.nnz
    first, *others = (Totals.of(groups, Pool(threads)) for threads in (1, 2, 5))
    np.testing.assert_allclose(first.rows, counts.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(first.columns, counts.sum(axis=0), rtol=1e-14)
    for other in others:
        assert_array_equal(other.rows, first.rows)
        assert_array_equal(other.columns, first.columns)


# ---------------------------------------------------------------- groups that are read while others are trained on


def test_what_reading_raises_ends_the_fit(tmp_path, set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 16)
    stored = Counts.from_ids(np.arange(160), np.arange(160) % 30).store(tmp_path / "a")
    trainer = Trainer.random(160, 4, output_size=30, threads=2)
    next((tmp_path / "a").glob("group-00007-*")).unlink()
    with pytest.raises(FileNotFoundError, match="the store has lost a file of tiles"):
        trainer.fit_counts(stored, epochs=2, block_size=4)
    assert np.isfinite(trainer.embedding).all()
