"""Counts in a folder: the same counts and models as in memory, nothing left of others, errors that name damage."""

import errno
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, Trainer, Vocabulary
from fastembed._base.threads import Pool
from fastembed.corpus import LineSplit
from fastembed.counts.groups import CSRGroups, RowGroup, Totals
from fastembed.counts.store import MANIFEST, EncodedGroup, LocalFolder, decode_group
from fastembed.formats.atomic import LOCK_NAME, sole_writer
from fastembed.formats.tensors import map_tensors, write_tensors


@pytest.fixture
def small_groups(set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 16)


def files_of(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def random_counts(rows=100, columns=2500):
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((rows, columns), density=0.1, random_state=rng, format="csr")
    matrix.data = np.ceil(matrix.data * 9)
    return matrix


def windows_counts(**options):
    rng = np.random.default_rng(1)
    corpus = [rng.zipf(1.3, size=40) % 60 for _ in range(60)]
    vocabulary = Vocabulary.from_corpus([[str(k) for k in line] for line in corpus], min_count=1)
    return Counts.from_corpus([[str(k) for k in line] for line in corpus], vocabulary, **options)


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
def test_a_store_is_the_counts(tmp_path, counts):
    counts = counts()
    stored = counts.store(tmp_path / "a.counts")
    again = Counts.open(tmp_path / "a.counts")
    memory, found, expected = CSRGroups(counts.to_scipy()), again.to_scipy(), counts.to_scipy()
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
        assert_array_equal(getattr(again, name), getattr(counts, name))
    assert (stored.shape, again.nnz, repr(again)) == (counts.shape, counts.nnz, repr(counts))
    assert again.total == pytest.approx(counts.total, rel=1e-14)
    assert (again.windows, again.ledger, again.directed) == (counts.windows, counts.ledger, counts.directed)
    assert again.groups.sha256() == memory.sha256()
    assert_array_equal(again.groups.entries, memory.entries)
    totals = Totals.of(memory, Pool(2))
    assert_array_equal(again.groups.totals.rows, totals.rows)
    assert_array_equal(again.groups.totals.columns, totals.columns)
    assert again.disk == sum(file.stat().st_size for file in Path(again.path).glob("*.tiles"))
    assert (counts.path, counts.disk) == (None, 0)
    if counts.vocabulary is not None:
        assert again.vocabulary.tokens == counts.vocabulary.tokens
    assert pickle.loads(pickle.dumps(again)).path == again.path
    assert_array_equal((again + counts).data, (counts + counts).data)
    again.save(tmp_path / "file")
    assert_array_equal(Counts.load(tmp_path / "file").data, counts.data)
    again.store(tmp_path / "b.counts")
    assert files_of(tmp_path / "a.counts") == files_of(tmp_path / "b.counts")


@pytest.mark.usefixtures("small_groups")
def test_a_tile_that_is_damaged_or_missing_is_named(tmp_path):
    counts = Counts.from_scipy(random_counts())
    stored = counts.store(tmp_path / "a.counts")
    file = Path(stored.path) / stored.groups._file(2)
    whole = file.read_bytes()
    offset = int(stored.groups._offsets(2)[1])
    file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
    opened = Counts.open(stored.path)
    with pytest.raises(ValueError, match=rf"tile 1 of .*{file.name}.*, of the columns 640 to 1263, is damaged"):
        Trainer.random(100, 2, output_size=2500).fit_counts(opened)
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"{file.name}.* tile 3 is damaged"):
        Counts.open(stored.path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        Counts.open(stored.path)


def test_what_is_no_store_says_what_it_is(tmp_path):
    counts = Counts.from_ids([0, 1], [1, 0])
    with pytest.raises(TypeError, match="a store is the path or the URL of a folder, got 5"):
        Counts.from_ids([0], [1]).store(5)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Counts.open(tmp_path / "missing")
    with pytest.raises(ValueError, match="is not a store of counts"):
        Counts.open(tmp_path)
    counts.save(tmp_path / "file.safetensors")
    with pytest.raises(NotADirectoryError, match=r"open it with Counts.load"):
        Counts.open(tmp_path / "file.safetensors")
    with pytest.raises(FileExistsError, match=r"holds other files, such as 'file\.safetensors'"):
        counts.store(tmp_path)
    assert not (tmp_path / LOCK_NAME).exists()
    with pytest.raises(NotADirectoryError, match=r"file\.safetensors' is a file: a store is a folder"):
        counts.store(tmp_path / "file.safetensors")
    with pytest.raises(IsADirectoryError, match=r"is a folder: open it with Counts\.open"):
        Counts.load(tmp_path)
    path = Path(counts.store(tmp_path / "a").path) / MANIFEST
    with pytest.raises(ValueError, match=r"holds 'fastembed.counts-store'"):
        Counts.load(path)
    tensors, metadata = map_tensors(path)
    write_tensors(path, tensors, metadata | {"version": "2"})
    with pytest.raises(ValueError, match="is of version '2'; this fastembed reads version '1'"):
        Counts.open(tmp_path / "a")
    settings = json.loads(metadata["settings"]) | {"shape": [2, 3]}
    write_tensors(path, tensors, metadata | {"settings": json.dumps(settings)})
    with pytest.raises(ValueError, match="does not hold counts that fit together"):
        Counts.open(tmp_path / "a")


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("placed", [False, True])
def test_an_interrupt_before_or_after_the_manifest_is_in_place_leaves_a_whole_store(tmp_path, monkeypatch, placed):
    counts, other = Counts.from_scipy(random_counts()), Counts.from_scipy(random_counts() * 3)
    stored, new = counts.store(tmp_path / "a.counts"), other.store(tmp_path / "b.counts")

    write = LocalFolder.write

    def interrupted(folder, name, parts):
        if placed or name != MANIFEST:
            write(folder, name, parts)
        if name == MANIFEST:
            raise KeyboardInterrupt

    monkeypatch.setattr(LocalFolder, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.store(stored.path)
    opened, expected = Counts.open(stored.path), new if placed else stored
    assert opened.groups.sha256() == expected.groups.sha256()
    assert_array_equal(opened.to_scipy().data, expected.to_scipy().data)
    assert len(list(Path(opened.path).iterdir())) == len(list(Path(new.path).iterdir()))


def test_a_store_stays_where_it_is_and_what_a_killed_writer_has_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = Counts.from_ids([0, 1], [1, 0])
    stored = counts.store("a.counts")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir("b")
    assert stored.to_scipy().nnz == 2
    files = files_of(stored.path)
    for name in (".manifest.safetensors.0123456789abcdef.tmp", "group-00007-0123456789abcdef.tiles"):
        Path(stored.path, name).write_bytes(b"of a writer that was killed")
    counts.store(stored.path)
    assert files_of(stored.path) == files


def test_one_process_at_a_time_writes_and_a_kill_leaves_no_lock(tmp_path):
    folder = tmp_path / "a.counts"
    folder.mkdir()
    counts = Counts.from_ids([0, 1], [1, 0])
    with sole_writer(folder), pytest.raises(BlockingIOError, match="is being written by another process"):
        counts.store(folder)
    code = (
        "import sys, time, pathlib\nfrom fastembed.formats.atomic import sole_writer\n"
        "with sole_writer(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(BlockingIOError):
                counts.store(folder)
        finally:
            process.kill()
    assert counts.store(folder).nnz == 2


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
@pytest.mark.parametrize(("chunk_ids", "threads"), [(400, 1), (9000, 3), (1 << 20, 2)])
@pytest.mark.usefixtures("larger_groups")
def test_counting_into_a_store_has_the_bytes_of_counting_in_memory(
    zipf, set_constant, tmp_path, options, chunk_ids, threads
):
    whole = Counts.from_corpus(*zipf, **options)
    whole.store(tmp_path / "a")
    set_constant("fastembed.counts.sums.CHUNK_IDS", chunk_ids)
    stored = Counts.from_corpus(*zipf, **options, memory_limit=1 << 20, threads=threads, store=tmp_path / "b")
    assert len(stored.groups.entries) > 3
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert (stored.ledger, stored.path) == (whole.ledger, str(tmp_path / "b"))


@pytest.mark.usefixtures("larger_groups")
def test_what_goes_wrong_while_counting_leaves_the_store_that_was_there(zipf, tmp_path, monkeypatch):
    stored = Counts.from_corpus(*zipf, window=1, store=tmp_path / "a")
    before = files_of(tmp_path / "a")
    with pytest.raises(ValueError, match="no token of the corpus is in the vocabulary"):
        Counts.from_corpus([["never"]], zipf[1], store=tmp_path / "a")
    with pytest.raises(ValueError, match="the corpus gives no pair"):
        Counts.from_corpus([["1"]], zipf[1], store=tmp_path / "a")
    with pytest.raises(ValueError, match="the baskets give no pair"):
        Counts.from_baskets([["1"]], zipf[1], store=tmp_path / "a")
    with pytest.raises(ValueError, match="the corpus gives no pair"):
        Counts.from_corpus([["1"]], zipf[1], store=tmp_path / "new")
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
    assert Counts.open(tmp_path / "a").groups.sha256() == stored.groups.sha256()


def test_tiles_whose_numbers_do_not_fit_together_are_not_followed():
    """Also where their bytes are those that were written: they would be places in memory."""
    bounds = np.array([0, 4, 7])
    rows = RowGroup(np.array([0, 2]), np.array([2, 3]), np.array([0, 6, 5], np.int32), np.ones(3))
    encoded = EncodedGroup([rows], bounds)
    data, tiles = np.concatenate(list(encoded.data())), encoded.tiles
    columns, lengths = (int(tiles.offsets(2)[1]) + place for place in (2 * 4, 2 * (4 + 2)))
    for place, message in (
        (columns, "a tile of the columns 4 to 6 has one of 7"),
        (lengths, "2 entries, and lengths of 4"),
    ):
        wrong = data.copy()
        wrong[place] = 3
        with pytest.raises(ValueError, match=message):
            decode_group(wrong, tiles, 2, bounds)


WRITING = """if True:
    import sys
    from fastembed import Counts, Vocabulary
    peak = lambda: int(open("/proc/self/status", encoding="ascii").read().partition("VmHWM:")[2].split()[0]) * 1024
    vocabulary, before = Vocabulary([str(i) for i in range(3_000)], [1] * 3_000), peak()
    options = {"window": 12, "directed": True, "threads": 2, "memory_limit": 20_000_000}
    print(Counts.from_corpus(sys.argv[1], vocabulary, store=sys.argv[2], **options).nnz, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_a_group_that_is_written_is_in_memory_once(tmp_path):
    """All counts are one group, in which most of the possible pairs occur. A count takes 12 bytes of memory."""
    np.savetxt(tmp_path / "text", np.random.default_rng(0).integers(0, 3_000, (20_000, 50)), "%d")
    command = [sys.executable, "-P", "-c", WRITING, str(tmp_path / "text"), str(tmp_path / "counts")]
    nnz, peak = map(int, subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.split())
    assert nnz > 10_000_000
    assert peak < 20_000_000 + 20 * nnz
