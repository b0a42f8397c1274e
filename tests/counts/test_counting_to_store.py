"""Counting directly into a store: the same bytes as storing counts from memory, and no other files left."""

import errno
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, Vocabulary
from fastembed.corpus import LineSplit
from fastembed.counts import CountsStore, folders, store_writer
from fastembed.counts.folders import TemporaryFolder
from fastembed.counts.store_writer import joined_groups
from fastembed.counts.stored_csr import RowBatch


@pytest.fixture
def small_groups(sizes):
    sizes.group_rows = 700


def files_of(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


OPTIONS = [
    {"window": 3, "sample": 0.001, "directed": True, "max_contexts": 900},
    {"window": 4, "weighting": "harmonic"},
    {"window": 2, "lines": LineSplit(0.3, 5, True)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("memory_limit", "threads"), [(1 << 20, 1), (1 << 20, 3), (1 << 30, 2)])
@pytest.mark.usefixtures("small_groups")
def test_counting_into_a_store_has_the_bytes_of_counting_in_memory(zipf, tmp_path, options, memory_limit, threads):
    whole = Counts.from_corpus(*zipf, **options)
    whole.store(tmp_path / "a")
    stored = Counts.from_corpus(*zipf, **options, memory_limit=memory_limit, threads=threads, store=tmp_path / "b")
    assert isinstance(stored, CountsStore)
    assert len(stored.entries) > 3
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert (stored.ledger, stored.path) == (whole.ledger, str(tmp_path / "b"))


@pytest.mark.parametrize("weighting", ["flat", "share"])
@pytest.mark.usefixtures("small_groups")
def test_baskets_are_counted_into_a_store(zipf, tmp_path, weighting):
    Counts.from_baskets(*zipf, weighting=weighting, max_contexts=800).store(tmp_path / "a")
    Counts.from_baskets(*zipf, weighting=weighting, max_contexts=800, memory_limit=10**6, store=tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.usefixtures("small_groups")
def test_ids_are_counted_into_a_store(tmp_path):
    corpus = [np.random.default_rng(0).integers(0, 2000, 5000)]
    Counts.from_corpus(corpus, 2000, window=2, sample=1e-3).store(tmp_path / "a")
    Counts.from_corpus(corpus, 2000, window=2, sample=1e-3, store=tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.usefixtures("small_groups")
def test_counts_in_a_temporary_file_are_those_of_a_folder_and_leave_nothing(zipf, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spooled = Counts.from_corpus(*zipf, window=3, memory_limit=1 << 20, store=TemporaryFolder())
    whole = Counts.from_corpus(*zipf, window=3)
    assert_array_equal(spooled.to_scipy().data, whole.to_scipy().data)
    assert_array_equal(spooled.to_scipy().indices, whole.to_scipy().indices)
    assert spooled.disk == sum(spooled._folder.size(name) for name in spooled._folder.names())
    if folders.os.name == "posix":
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch_rows", [[1] * 10, [10], [4, 3, 3], [2, 0, 5, 3], [3, 7]])
def test_batches_are_joined_and_cut_into_groups(batch_rows, sizes):
    sizes.group_rows = 4  # groups of 4, 3 and 3 of 10 rows
    lengths, edges = np.arange(10) % 3, np.cumsum([0, *batch_rows])
    places = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.arange(places[-1])
    batches = []
    for first, last in pairwise(edges):
        part = entries[places[first] : places[last]]
        batches.append(RowBatch(lengths[first:last], part.astype(np.int32), part * 1.0))
    found = list(joined_groups(batches, 10))
    assert [group.lengths.tolist() for group in found] == [
        lengths[:4].tolist(),
        lengths[4:7].tolist(),
        lengths[7:].tolist(),
    ]
    for name in ("columns", "values"):
        assert_array_equal(np.concatenate([getattr(group, name) for group in found]), entries)


@pytest.mark.usefixtures("small_groups")
def test_what_goes_wrong_while_counting_leaves_the_store_that_was_there(zipf, tmp_path, monkeypatch):
    stored = Counts.from_corpus(*zipf, window=1, store=tmp_path / "a")
    before = files_of(tmp_path / "a")
    with pytest.raises(ValueError, match="no token of the corpus is in the vocabulary"):
        Counts.from_corpus([["never"]], zipf[1], store=tmp_path / "a")
    with pytest.raises(ValueError, match="the corpus gives no pair"):
        Counts.from_corpus([["1"]], zipf[1], store=tmp_path / "a")
    with pytest.raises(ValueError, match="the baskets give no pair"):
        Counts.from_baskets([["1"]], zipf[1], store=tmp_path / "a")
    calls = []

    def full(folder, name, parts, write=folders.LocalFolder.write):
        calls.append(name)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, name, parts)

    monkeypatch.setattr(folders.LocalFolder, "write", full)
    with pytest.raises(OSError, match="No space left"):
        Counts.from_corpus(*zipf, window=2, store=tmp_path / "a")
    assert files_of(tmp_path / "a") == before
    assert Counts.open(tmp_path / "a").sha256() == stored.sha256()


def test_a_store_that_another_process_writes_is_an_error_before_anything_is_read(tmp_path):
    class Unread:
        def __iter__(self):
            raise AssertionError("read")

    vocabulary = Vocabulary(["a", "b"], [2, 1])
    with store_writer.writing(folders.LocalFolder.of(tmp_path / "a")), pytest.raises(BlockingIOError):
        Counts.from_corpus(Unread(), vocabulary, store=tmp_path / "a")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "novel.txt").write_text("a b", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"holds other files, such as 'novel\.txt'"):
        Counts.from_corpus(Unread(), vocabulary, store=tmp_path / "texts")
    with pytest.raises(NotADirectoryError, match="a store is a folder"):
        Counts.from_corpus(Unread(), vocabulary, store=tmp_path / "texts" / "novel.txt")


def test_a_full_disk_is_an_error_that_says_where_temporary_files_are(zipf, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full.open("wb", buffering=buffering))
    with pytest.raises(OSError, match=r"cannot keep counts in a temporary file in .*No space left.*TMPDIR") as caught:
        Counts.from_corpus(*zipf, store=TemporaryFolder())
    assert caught.value.errno == errno.ENOSPC
