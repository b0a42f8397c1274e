"""The blocks of plain files, which threads read, against those of a stream."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed._base.arrays import RandomAccessFile
from fastembed._base.sizes import SIZES
from fastembed.corpus import blocks as plain
from fastembed.corpus.blocks import PlainFile, open_plain
from fastembed.corpus.sources import RegularFile, find_files


@pytest.fixture
def file(tmp_path):
    """A plain file of three lines."""
    path = tmp_path / "text"
    path.write_bytes(b"a b\nc\nd e f")
    return open_plain(RegularFile(path))


def parts(blocks):
    """The class of blocks, and the position of their text."""
    return [(b.text, b.name, b.line, b.offset, b.size, b.inside) for b in blocks]


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(st.text("ab é\t\r\n\v\u00a0\ufeff", max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_they_hold_what_a_stream_holds(tmp_path_factory, text, size, tail):
    path = tmp_path_factory.mktemp("blocks") / "text"
    path.write_bytes(text.encode())
    (file,) = find_files([path])
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SIZES, "block_bytes", size)
        patch.setattr(plain, "TAIL_BYTES", tail)
        expected = parts(plain.read_blocks(file))
        opened = open_plain(file)
        assert (opened is None) == (not text)
        found = parts(plain.plain_blocks(opened, seen.append)) if opened else []
    if expected and len(found) < len(expected):  # here what follows the last line is no block of its own
        last, rest = expected[-2:]
        expected[-2:] = [(last[0] + rest[0], *last[1:4], last[4] + rest[4], last[5])]
    assert found == expected
    assert seen[-1:] == [len(text.encode())] * bool(text)


def test_blocks_can_be_read_in_any_order_and_after_the_last(file, monkeypatch):
    monkeypatch.setattr(SIZES, "block_bytes", 4)
    blocks = list(plain.plain_blocks(file))
    assert [block.text for block in reversed(blocks)] == [b"d e f\n", b"c\n", b"a b\n"]
    assert [block.line for block in blocks] == [1, 2, 3]


def test_a_file_that_becomes_shorter_is_named(file):
    block = next(plain.plain_blocks(file))
    os.truncate(file.name, 3)
    with pytest.raises(OSError, match=r"cannot read .*text.* beyond byte 3: it has become shorter"):
        _ = block.text


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with (tmp_path / "text").open("wb") as stream:
        stream.write(b"text")
        stream.flush()
        file = PlainFile("text", RandomAccessFile(stream))
        with pytest.raises(OSError, match="cannot read 'text' beyond byte 0"):
            file.read(0, 4)


def test_without_pread_the_threads_take_turns(file, monkeypatch):
    monkeypatch.delattr(os, "pread", raising=False)
    assert file.read(4, 4) == b"c\nd "


def test_a_file_is_closed_when_nothing_refers_to_it(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a b")
    file = open_plain(RegularFile(path))
    stream, block = file._reader._stream, next(plain.plain_blocks(file))
    del file
    assert block.text
    del block
    assert stream.closed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has no /proc")
def test_a_file_of_unknown_size_is_a_stream(read):
    assert open_plain(RegularFile(Path("/proc/self/status"))) is None
    assert read(Path("/proc/self/status"))[0][0][0] == "Name:"
