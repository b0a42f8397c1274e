"""Parts of a corpus: read one by one they are the whole, wherever it is cut."""

import bz2
import io
import pickle

import pytest

from fastembed._base.sizes import SIZES
from fastembed.corpus import FileCorpus, Ledger, Reading
from fastembed.corpus.blocks import open_plain, plain_blocks, plain_parts
from fastembed.corpus.sources import FilePart, RegularFile

TEXT = (
    b"\xef\xbb\xbfone two\n\nthree four five "
    + b"x y " * 40
    + b"\n\n \nsix. Seven-\neight\n" * 9
    + b"end without newline"
)


@pytest.fixture
def small_blocks(set_constant):
    set_constant(SIZES, "block_bytes", 16)


def read(corpus):
    ledger = Ledger()
    return list(corpus.sequences(ledger)), ledger


@pytest.mark.parametrize("size", [1, 20, 50, 200, 10_000])
@pytest.mark.parametrize(
    "options",
    [{}, {"words": True}, {"unit": "paragraph"}, {"unit": "sentence", "words": True}, {"unit": "document"}],
    ids=str,
)
@pytest.mark.usefixtures("small_blocks")
def test_parts_read_one_by_one_are_the_whole(tmp_path, size, options):
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.txt.bz2").write_bytes(bz2.compress(TEXT))
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.txt").write_bytes(TEXT + b"\n")
    corpus = FileCorpus(tmp_path, reading=Reading(**options))
    sequences, ledger = read(corpus)
    parts = [pickle.loads(pickle.dumps(part)) for part in corpus.parts(size)]
    found = [read(part) for part in parts]
    assert [sequence for part, _ in found for sequence in part] == sequences
    assert sum((part for _, part in found), Ledger()) == ledger
    if size == 1 and options.get("unit") != "document":
        assert len(parts) > 8
    if size == 10_000:
        assert len(parts) == 1


@pytest.mark.parametrize("size", [1, 30, 100])
@pytest.mark.usefixtures("small_blocks")
def test_the_blocks_of_parts_are_those_of_the_file(tmp_path, size):
    (tmp_path / "a.txt").write_bytes(TEXT)
    file = open_plain(RegularFile(tmp_path / "a.txt"))
    whole = [(block.offset, block.size, block.inside) for block in plain_blocks(file)]
    reached = []
    parts = plain_parts(file, size)
    of_parts = [block for part in parts for block in plain_blocks(file, reached.append, part=part)]
    assert [(block.offset, block.size, block.inside) for block in of_parts] == whole
    assert parts[-1][1] - parts[-1][0] == reached[-1]


@pytest.mark.usefixtures("small_blocks")
def test_an_error_in_a_part_names_the_line_of_the_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one two three four\n" * 5 + b"bad \xff byte\n")
    parts = FileCorpus(tmp_path / "a.txt").parts(20)
    assert len(parts) == 3
    with pytest.raises(ValueError, match="not valid UTF-8 at line 6, byte 99"):
        read(parts[-1])


def test_a_file_has_a_name_that_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"one two")
    monkeypatch.chdir(tmp_path)
    (part,) = FileCorpus("a.txt").parts(100)
    monkeypatch.chdir("/")
    assert read(part)[0] == [["one", "two"]]
    assert not isinstance(part._files[0], FilePart)


def test_standard_input_is_no_file_of_other_processes(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b"), encoding="utf-8"))
    with pytest.raises(ValueError, match="standard input cannot be read by other processes"):
        FileCorpus("-").parts(100)
