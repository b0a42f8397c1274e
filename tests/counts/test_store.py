"""Stores of counts: the same counts and models as in memory, nothing left of others, errors that name damage."""

import copy
import errno
import hashlib
import json
import os
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram, Trainer, Vocabulary
from fastembed.corpus import LineSplit
from fastembed.counts.buffer import TileBuffer
from fastembed.counts.counts import tiled_counts
from fastembed.counts.folders import LocalFolder
from fastembed.counts.groups import group_count, plain_order, shard_bounds, split_rows
from fastembed.counts.store import MANIFEST, grouped
from fastembed.counts.tiles import check_tiles, digests
from fastembed.formats.tensors import map_tensors, write_tensors
from twins import tiles_of


@pytest.fixture
def small_groups(set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 16)


def files_of(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def saved(counts, path):
    """The counts in a store."""
    counts.save(path)
    return Counts.open(path)


def two_pairs():
    return Counts.from_pairs(["a", "b"], ["b", "a"])


def random_counts(rows=100, columns=2500):
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((rows, columns), density=0.1, random_state=rng, format="csr")
    matrix.data = np.ceil(matrix.data * 9)
    return matrix


def windows_counts(**options):
    rng = np.random.default_rng(1)
    corpus = [(rng.zipf(1.3, size=40) % 60).astype(str).tolist() for _ in range(60)]
    return Counts.from_corpus(corpus, Vocabulary.from_corpus(corpus, min_count=1), **options)


@pytest.mark.parametrize(
    "counts",
    [
        lambda: Counts.from_scipy(random_counts()),
        lambda: Counts.from_scipy(random_counts() * 0.1),
        lambda: Counts.from_scipy(random_counts(5, 3)),
        lambda: windows_counts(window=3, sample=0.01, directed=True, max_contexts=20),
        lambda: windows_counts(window=4, weighting="harmonic"),
    ],
)
@pytest.mark.usefixtures("small_groups")
def test_a_store_is_the_counts(tmp_path, counts, assert_same):
    counts = counts()
    again = saved(counts, tmp_path / "a.counts")
    groups, memory = tiled_counts(again), tiled_counts(counts)
    assert_same(again, counts)
    assert (again.shape, again.nnz, repr(again)) == (counts.shape, counts.nnz, repr(counts))
    assert again.total == pytest.approx(counts.total, rel=1e-14)
    assert (again.windows, again.ledger, again.directed) == (counts.windows, counts.ledger, counts.directed)
    assert groups.sha256() == memory.sha256()
    assert_array_equal(groups.entries, memory.entries)
    np.testing.assert_allclose(groups.totals.rows, counts.to_scipy().sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(groups.totals.columns, counts.to_scipy().sum(axis=0), rtol=1e-14)
    if counts.vocabulary is not None:
        assert again.vocabulary.tokens == counts.vocabulary.tokens
        assert again.vocabulary.ledger == counts.vocabulary.ledger
    for each in (again, counts):
        assert_same(pickle.loads(pickle.dumps(each)), counts)
    assert_same(again + counts, counts + counts)
    again.save(tmp_path / "b.counts")
    assert files_of(tmp_path / "a.counts") == files_of(tmp_path / "b.counts")


VALUES = {
    "float32": lambda rng, n: rng.integers(1, 1 << 20, n) / 16,
    "uint32": lambda rng, n: rng.integers(1 << 24, 1 << 32, n).astype(float),
    "float64": lambda rng, n: rng.gamma(1, size=n),
    "beyond 2^53": lambda rng, n: np.ldexp(1.0 + rng.integers(1 << 52, size=n) / 2**52, 60),
    "some large": lambda rng, n: np.where(rng.random(n) < 0.01, 2.0**32 - 1, 2),
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(
    ("shape", "density"), [((1, 1), 1), ((40, 7), 0.5), ((100, 1025), 0.003), ((50, 2500), 1), ((20, 70_000), 0.01)]
)
@pytest.mark.usefixtures("small_groups")
def test_the_bytes_of_all_groups_are_those_of_the_twin(shape, density, values):
    rng = np.random.default_rng(0)
    counts = sparse.random_array(shape, density=density, random_state=rng, format="csr")
    counts.data[:] = VALUES[values](rng, counts.nnz)
    groups, twin = grouped(counts), tiles_of(counts, shard_bounds(shape[1]), group_rows=16)
    for group, data in enumerate(twin.groups):
        assert groups.read_tiles(group).tobytes() == data.tobytes()
    for found, expected in zip(groups.sizes, (twin.entries, twin.filled, twin.kinds), strict=True):
        assert_array_equal(found, expected)
    np.testing.assert_allclose(groups.totals.rows, counts.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(groups.totals.columns, counts.sum(axis=0), rtol=1e-14)
    again = groups.csr()
    assert_array_equal(again.toarray(), counts.toarray())
    assert again.has_sorted_indices


def test_the_digest_is_that_of_the_shape_the_factors_and_the_tiles():
    counts = windows_counts(window=3, sample=0.01)
    digest, scale = hashlib.sha256(np.array(counts.shape, "<i8").tobytes()), tiled_counts(counts).scale
    for array in (np.array(scale.denominator), scale.rows, scale.columns):
        digest.update(array.astype("<f8").tobytes())
    assert group_count(counts.shape[0]) == len(shard_bounds(counts.shape[1])) - 1 == 1
    digest.update(hashlib.sha256(tiled_counts(counts).read_tiles(0).tobytes()).digest())
    assert tiled_counts(counts).sha256() == digest.hexdigest()


@pytest.mark.usefixtures("small_groups")
def test_a_tile_that_is_damaged_or_missing_is_named(tmp_path):
    stored = saved(Counts.from_scipy(random_counts()), tmp_path / "a")
    saved(Counts.from_scipy(random_counts() * 3), tmp_path / "b")
    file, other = (next((tmp_path / name).glob("group-00002-*")) for name in "ab")
    whole, trainer = file.read_bytes(), Trainer.random(100, 2, output_size=2500, threads=2)
    offsets = tiled_counts(stored).sizes.part(2).offsets().tolist()
    assert len(whole) == offsets[-1]
    for tile, columns in enumerate(("0 to 639", "640 to 1263", "1264 to 1887", "1888 to 2499")):
        for place in (offsets[tile], (offsets[tile] + offsets[tile + 1]) // 2, offsets[tile + 1] - 1):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=rf"{file.name}.* is damaged.*{columns}"):
                trainer.fit_counts(stored)
    file.write_bytes(other.read_bytes())  # those of another store, of the same size
    for read in (stored.to_scipy, lambda: trainer.fit_counts(stored), lambda: stored.save(tmp_path / "c")):
        with pytest.raises(ValueError, match=rf"{file.name}.* is damaged.*0 to 639"):
            read()
    for wrong in (whole[:-1], whole + b"0"):
        file.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"{file.name}.* is damaged"):
            Counts.open(tmp_path / "a")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        Counts.open(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=file.name):
        trainer.fit_counts(stored, epochs=2, block_size=4)
    assert np.isfinite(trainer.embedding).all()


def test_what_is_no_store_says_what_it_is(tmp_path):
    counts = two_pairs()
    with pytest.raises(TypeError, match="a store is the path or the URL of a folder, got 5"):
        counts.save(5)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Counts.open(tmp_path / "missing")
    with pytest.raises(ValueError, match="is not a store of counts"):
        Counts.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"holds other files, such as 'file'"):
        counts.save(tmp_path)
    for call in (Counts.open, counts.save):
        with pytest.raises(NotADirectoryError, match="file' is a file: counts are a folder"):
            call(tmp_path / "file")
    counts.save(tmp_path / "a")
    path = tmp_path / "a" / MANIFEST
    tensors, metadata = map_tensors(path)
    write_tensors(path, tensors, metadata | {"version": "2"})
    with pytest.raises(ValueError, match="is of version '2'; this fastembed reads version '1'"):
        Counts.open(tmp_path / "a")
    settings = json.loads(metadata["settings"]) | {"shape": [2, 3]}
    write_tensors(path, tensors, metadata | {"settings": json.dumps(settings)})
    with pytest.raises(ValueError, match="does not hold counts that fit together"):
        Counts.open(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        # Together they are 2^63 more, and the bytes 3 * 2^64 more: the same in 64 bits
        ("entries filled", lambda sizes: sizes + 2**62),
        ("filled", lambda sizes: sizes + 99),
        ("entries", lambda sizes: sizes.astype(np.int32)),
        ("kinds", lambda kinds: kinds + np.uint8(3)),
        ("kinds", lambda kinds: kinds.astype(np.int64)),
        ("totals.rows", lambda totals: totals * np.nan),
        ("totals.columns", lambda totals: -totals),
        ("totals.rows totals.columns", lambda totals: totals * 0),
        ("keep", lambda keep: keep * np.nan),
        ("keep", lambda keep: keep + 1e308),
        ("keep", lambda keep: keep[:1]),
        ("keep", lambda keep: keep.astype(np.float32)),
    ],
)
def test_numbers_of_a_manifest_that_do_not_fit_together_are_not_followed(tmp_path, name, change):
    vocabulary = Vocabulary(["a", "b"], [3, 2])
    Counts.from_corpus([["a", "b", "a"], ["b", "a"]], vocabulary, sample=0.1).save(tmp_path / "a")
    path = tmp_path / "a" / MANIFEST
    tensors, metadata = map_tensors(path)
    changed = {each: change(np.array(tensors[each])) for each in name.split()}
    write_tensors(path, {each: np.array(array) for each, array in tensors.items()} | changed, metadata)
    with pytest.raises(ValueError, match=rf"{MANIFEST}.* does not hold counts that fit together"):
        Counts.open(tmp_path / "a")


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("placed", [False, True])
def test_an_interrupt_before_or_after_the_manifest_is_in_place_leaves_a_whole_store(
    tmp_path, monkeypatch, placed, assert_same
):
    counts, other = Counts.from_scipy(random_counts()), Counts.from_scipy(random_counts() * 3)
    folder, stored, new = tmp_path / "a", saved(counts, tmp_path / "a"), saved(other, tmp_path / "b")
    write = LocalFolder.write

    def interrupted(folder, name, parts):
        if placed or name != MANIFEST:
            write(folder, name, parts)
        if name == MANIFEST:
            raise KeyboardInterrupt

    monkeypatch.setattr(LocalFolder, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.save(folder)
    opened, expected = Counts.open(folder), new if placed else stored
    assert tiled_counts(opened).sha256() == tiled_counts(expected).sha256()
    assert_same(opened, expected)
    assert len(list(folder.iterdir())) == len(list((tmp_path / "b").iterdir()))


def test_a_store_stays_where_it_is_and_what_a_killed_writer_has_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = two_pairs()
    stored = saved(counts, "a.counts")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir("b")
    assert stored.to_scipy().nnz == 2
    folder = tmp_path / "a.counts"
    files = files_of(folder)
    for name in (".manifest.safetensors.0123456789abcdef.tmp", "group-00007-0123456789abcdef.tiles"):
        Path(folder, name).write_bytes(b"of a writer that was killed")
    counts.save(folder)
    assert files_of(folder) == files


@pytest.mark.usefixtures("small_groups")
def test_reads_have_ended_when_a_fit_does(tmp_path, monkeypatch):
    """A group that is read for later has been read, and no other is."""
    counts, reads = tiled_counts(saved(Counts.from_scipy(random_counts()), tmp_path / "a")), []

    def slowly(self, name, begin=0, end=None, read=LocalFolder.read):
        reads.append("begun")
        time.sleep(0.1 * len(reads))
        reads.append("ended")
        return read(self, name, begin, end)

    monkeypatch.setattr(LocalFolder, "read", slowly)
    rows = split_rows(np.ones(counts.shape[0], bool))
    buffer = TileBuffer(counts, rows, 4)
    with buffer.reading(plain_order(rows)) as hold:
        hold(0)
    assert reads.count("begun") == reads.count("ended") > 1
    assert buffer.bases[:3].tolist() == [buffer.bases[0], 0, 0] != [0, 0, 0]


# ---------------------------------------------------------------- counting into a folder


@pytest.fixture
def larger_groups(set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 700)


OPTIONS = [
    {"window": 3, "sample": 0.001, "directed": True, "max_contexts": 900},
    {"window": 4, "weighting": "harmonic"},
    {"window": 2, "lines": LineSplit(0.3, 5, True)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("passage_ids", "threads"), [(400, 1), (9000, 3), (1 << 20, 2)])
@pytest.mark.usefixtures("larger_groups")
def test_counting_into_a_store_has_the_bytes_of_counting_in_memory(
    zipf, set_constant, tmp_path, options, passage_ids, threads
):
    whole = Counts.from_corpus(*zipf, **options)
    whole.save(tmp_path / "a")
    set_constant("fastembed.counts.windows.PASSAGE_IDS", passage_ids)
    stored = Counts.from_corpus(*zipf, **options, memory_limit=1 << 20, threads=threads, store=tmp_path / "b")
    assert len(tiled_counts(stored).entries) > 3
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert stored.ledger == whole.ledger


def test_a_limit_alone_counts_into_a_temporary_folder_that_is_removed(zipf, tmp_path, monkeypatch, assert_same):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole = Counts.from_corpus(*zipf, directed=True)
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:  # what is in a temporary folder is not checked
        patch.setattr("fastembed.counts.store.digests", None)
        patch.setattr("fastembed.counts.store.check_tiles", None)
        small = Counts.from_corpus(*zipf, directed=True, memory_limit=1 << 20, threads=3)
        assert_same(small, whole)
    assert len(list(tmp_path.iterdir())) == 1
    assert tiled_counts(small).sha256() == tiled_counts(whole).sha256()
    small.save(tmp_path / "kept")
    models = [SkipGram(dim=4, epochs=1).fit(counts).vectors.matrix for counts in (whole, small)]
    assert_array_equal(*models)
    copied, pickled = copy.copy(small), pickle.dumps(small)
    del small
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]
    for counts in (Counts.open(tmp_path / "kept"), copied, pickle.loads(pickled)):
        assert_same(counts, whole)
        assert (counts.windows, counts.ledger) == (whole.windows, whole.ledger)


def test_a_short_temporary_file_is_an_error(zipf, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    counts = Counts.from_corpus(*zipf, memory_limit=1 << 20)
    for file in tmp_path.rglob("*.tiles"):
        os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(OSError, match=r"bytes, but .* are needed"):
        counts.to_scipy()


def test_an_error_while_counting_removes_the_temporary_folder(zipf, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastembed.counts.store.write_tiles", full)
    with pytest.raises(OSError, match="No space left") as caught:
        Counts.from_corpus(*zipf, memory_limit=1 << 20)
    assert list(tmp_path.iterdir()) == []
    assert caught  # whose traceback refers to the folder


def test_counts_beyond_half_of_the_free_memory_are_refused(zipf, monkeypatch):
    monkeypatch.setattr("fastembed.counts.counts.check_memory_limit", lambda limit: 1_000_000)
    with pytest.raises(MemoryError, match="set a memory_limit"):
        Counts.from_corpus(*zipf, window=30)


@pytest.mark.usefixtures("larger_groups")
@pytest.mark.parametrize("passage_ids", [9000, 1 << 20])
def test_what_goes_wrong_while_counting_leaves_the_store_that_was_there(
    zipf, tmp_path, monkeypatch, set_constant, passage_ids
):
    set_constant("fastembed.counts.windows.PASSAGE_IDS", passage_ids)
    Counts.from_corpus(*zipf, window=1, store=tmp_path / "a")
    before = files_of(tmp_path / "a")
    for corpus, name in (([["never"]], "a"), ([["1"]], "a"), ([["1"]], "new")):
        for count in (Counts.from_corpus, Counts.from_baskets):
            with pytest.raises(ValueError, match=r"no token|no pair"):
                count(corpus, zipf[1], store=tmp_path / name)
    assert not (tmp_path / "new").exists()
    calls = []

    def full(folder, name, parts, write=LocalFolder.write):
        calls.append(name)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, name, parts)

    monkeypatch.setattr(LocalFolder, "write", full)
    with pytest.raises(OSError, match="No space left"):
        Counts.from_corpus(*zipf, window=2, store=tmp_path / "a")
    assert files_of(tmp_path / "a") == before


@pytest.mark.parametrize("part", ["ends", "columns", "rows"])
def test_tiles_whose_numbers_do_not_fit_together_are_not_followed(part):
    """Also where their bytes are those that were written: they would be places in memory."""
    counts = sparse.csr_array([[1.0, 0, 0, 0, 0, 2, 3], [0, 0, 0, 0, 0, 0, 1]])
    twin, groups = tiles_of(counts, [0, 4, 7]), grouped(counts)
    tiles, bounds = groups.sizes._replace(**{name: getattr(twin, name) for name in groups.sizes._fields}), [0, 4, 7]
    tiles, data, second = tiles.part(0), twin.groups[0], int(twin.offsets[0, 1])
    check_tiles(data, tiles, digests(data, tiles), np.array(bounds), 2)
    place = {"ends": 3 * 4, "columns": 3 * 4 + 2 * 4, "rows": 3 * 4 + 2 * 4 + 3 * 2}[part]
    for number in (3, 200):
        wrong = data.copy()
        wrong[second + place] = number
        with pytest.raises(ValueError, match="the tile of the columns 4 to 6 is not what was written"):
            check_tiles(wrong, tiles, digests(wrong, tiles), np.array(bounds), 2)
