"""The text of files in chunks and in parts: wherever it is cut, in any compression, it is read as the whole is."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed import Vocabulary
from fastembed.corpus import FileCorpus, Ledger, Reading
from fastembed.corpus.chunks import CHUNK_BYTES, _zstd, open_plain
from fastembed.corpus.sources import RegularFile

TEXT = "the cat\nsat\r\n\n on\tthe\v mat \f\nübergroß 猫"
TOKENS = [["the", "cat"], ["sat"], [], ["on", "the", "mat"], ["übergroß", "猫"]]
OPENERS = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
with contextlib.suppress(ImportError):
    OPENERS[".zst"] = _zstd().open
ARCHIVES = [suffix for suffix in OPENERS if suffix]

LONG = (
    b"\xef\xbb\xbfone two\n\nthree four five "
    + b"x y " * 40
    + b"\n\n \nsix. Seven-\neight\n" * 9
    + b"end without newline"
)


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_file_is_read_in_any_compression_and_progress_ends_at_the_bytes_on_disk(tmp_path, suffix, read):
    path, other = tmp_path / f"text.txt{suffix}", tmp_path / "other"
    with OPENERS[suffix](path, "wb") as file:
        file.write(TEXT.encode())
    for source in (path, str(path), [path]):
        sequences, ledger = read(source)
        assert sequences == TOKENS
        assert ledger == Ledger(bytes=len(TEXT.encode()), lines=5, empty_lines=1, tokens_read=8)
    other.write_text("one more\n", encoding="utf-8")
    seen = []
    read([path, other], lambda done, total: seen.append((done, total)))
    size = path.stat().st_size + other.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


WRAPPED = st.one_of(
    st.lists(
        st.sampled_from(
            ["the", "Cat", "exam-", "\n", "\n\n", ". ", '." ', " ", "\t", ",", "\u6f22", "\u00e9", "-", "\u201d", "\0"]
        ),
        max_size=30,
    ).map("".join),
    st.text('aB \n\r.-,"\u201d\u6f22\u0301', max_size=40),
    st.text("ab é\t\r\n\v\u00a0", max_size=60),
)


@pytest.mark.thread_unsafe(reason="sets a size to one value after another")
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("unit", ["line", "paragraph", "sentence", "document"])
@given(text=WRAPPED, size=st.integers(1, 9), tail=st.integers(1, 9))
def test_nothing_depends_on_the_chunks(read, tmp_path_factory, unit, words, suffix, text, size, tail):
    path = tmp_path_factory.mktemp("chunks") / f"text{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix else text.encode())
    corpus = FileCorpus(path, reading=Reading(unit=unit, words=words))
    sequences, ledger = read(corpus)
    assert sequences == corpus.reading.sequences(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastembed.corpus.chunks.CHUNK_BYTES", size)
        patch.setattr("fastembed.corpus.chunks.TAIL_BYTES", tail)
        assert read(corpus) == (sequences, ledger)
        if ledger.tokens_read:
            counted = Vocabulary.from_corpus(corpus, 1, threads=2).ledger
            assert (counted.lines, counted.empty_lines) == (ledger.lines, ledger.empty_lines)
            assert (counted.tokens_read, counted.bytes) == (ledger.tokens_read, ledger.bytes)


def test_a_long_line_without_white_space_is_read_in_chunks(tmp_path):
    path = tmp_path / "long"
    for part in ("\0", "a,", "\u6f22\u5b57", "...a"):
        path.write_text(part * (1 << 20), encoding="utf-8")
        largest = 0
        for unit in ("line", "paragraph") if part != "...a" else ("line",):
            corpus = FileCorpus(path, reading=Reading(words=True, unit=unit))
            largest = max([largest, *(len(chunk.text) for chunk in corpus.chunks(Ledger()))])
        assert largest <= CHUNK_BYTES + 9


@pytest.mark.parametrize(("line", "offset"), [(b"ab \xff\n", 3), (b" \xe4\xb8", 1), (b"\xed\xa0\x80", 0)])
def test_invalid_utf8_is_located_in_any_chunk(tmp_path, line, offset, read, set_constant):
    content = b"first line\n\n" + line
    for name, packed in (("latin1.txt", content), ("latin1.txt.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        for size in (1 << 20, 12):
            set_constant("fastembed.corpus.chunks.CHUNK_BYTES", size)
            with pytest.raises(ValueError, match=rf"{name}' is not valid UTF-8 at line 3, byte {12 + offset} of"):
                read(tmp_path / name)


def test_invalid_utf8_is_an_error_or_replaced_and_ends_a_word(tmp_path, read):
    path = tmp_path / "text"
    path.write_bytes(b"one t\xe9w\xe9o \xef\xbf\xbd\n\nthree \xe2\x80\n")
    for unit in ("line", "paragraph", "document", "sentence"):
        with pytest.raises(ValueError, match=r"text' is not valid UTF-8 at line 1, byte 5 of the text: b'\\xe9'; "):
            read(FileCorpus(path, reading=Reading(words=True, unit=unit)))
        sequences, ledger = read(FileCorpus(path, reading=Reading(words=True, unit=unit, errors="replace")))
        assert [token for sequence in sequences for token in sequence] == ["one", "t", "w", "o", "three"]
        assert ledger.replaced == 3
        assert ledger.summary().endswith("; 3 times U+FFFD for invalid bytes")


def test_a_byte_order_mark_is_no_part_of_a_token(tmp_path, read):
    for name in ("a", "b.gz"):
        content = b"\xef\xbb\xbfone two\none"
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
    sequences, ledger = read(tmp_path)
    assert sequences == [["one", "two"], ["one"]] * 2
    assert ledger.bytes == 28
    assert Vocabulary.from_corpus(tmp_path, 1).tokens == ("one", "two")


@pytest.mark.parametrize("suffix", ARCHIVES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: b"no archive at all",
        lambda data: b"",
        lambda data: data + bytes([data[0] ^ 1]) + data[1:],  # its second stream begins with another magic number
    ],
)
def test_a_damaged_archive_is_named(tmp_path, suffix, damage, read):
    path = tmp_path / f"text{suffix}"
    with OPENERS[suffix](path, "wb") as file:
        file.write(os.urandom(3000).hex().encode())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=rf"cannot read '.*text\{suffix}' beyond byte (0|6,000)"):
        read(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has no /proc")
def test_a_file_of_unknown_size_is_a_stream(read):
    assert open_plain(RegularFile(Path("/proc/self/status"))) is None
    assert read(Path("/proc/self/status"))[0][0][0] == "Name:"


@pytest.mark.parametrize("size", [1, 20, 50, 200, 10_000])
@pytest.mark.parametrize(
    "options",
    [{}, {"words": True}, {"unit": "paragraph"}, {"unit": "sentence", "words": True}, {"unit": "document"}],
    ids=str,
)
def test_parts_read_one_by_one_are_the_whole(tmp_path, read, set_constant, size, options):
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 16)
    (tmp_path / "a.txt").write_bytes(LONG)
    (tmp_path / "b.txt.bz2").write_bytes(bz2.compress(LONG))
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.txt").write_bytes(LONG + b"\n")
    corpus = FileCorpus(tmp_path, reading=Reading(**options))
    sequences, ledger = read(corpus)
    parts, reached = [pickle.loads(pickle.dumps(part)) for part in corpus.parts(size)], []
    found = [read(part, lambda *now: reached.append(now)) for part in parts]
    assert [sequence for part, _ in found for sequence in part] == sequences
    assert sum((part for _, part in found), Ledger()) == ledger
    assert all(0 <= done <= total for done, total in reached)
    if size == 1 and options.get("unit") != "document":
        assert len(parts) > 8
    if size == 10_000:
        assert len(parts) == 1


def test_parts_have_names_that_other_processes_know(tmp_path, read, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"one two")
    monkeypatch.chdir(tmp_path)
    (part,) = FileCorpus("a.txt").parts(100)
    monkeypatch.chdir("/")
    assert read(part)[0] == [["one", "two"]]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b"), encoding="utf-8"))
    with pytest.raises(ValueError, match="standard input cannot be read by other processes"):
        FileCorpus("-").parts(100)
