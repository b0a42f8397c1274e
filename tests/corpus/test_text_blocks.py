"""The blocks of a text, in any compression."""

import bz2
import contextlib
import gzip
import lzma
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed import Vocabulary
from fastembed._base.sizes import SIZES
from fastembed.corpus import FileCorpus, Ledger, Reading
from fastembed.corpus.blocks import _zstd, read_blocks
from fastembed.corpus.sources import find_files

TEXT = "the cat\nsat\r\n\n on\tthe\v mat \f\nübergroß 猫"
TOKENS = [["the", "cat"], ["sat"], [], ["on", "the", "mat"], ["übergroß", "猫"]]
OPENERS = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
with contextlib.suppress(ImportError):
    OPENERS[".zst"] = _zstd().open


@pytest.fixture(params=OPENERS)
def compressed(request, tmp_path):
    """A text file of each kind."""
    path = tmp_path / f"text.txt{request.param}"
    with OPENERS[request.param](path, "wb") as file:
        file.write(TEXT.encode())
    return path


def test_progress_of_files_ends_at_the_bytes_on_disk(compressed, tmp_path, read):
    other = tmp_path / "other"
    other.write_text("one more\n", encoding="utf-8")
    seen = []
    read([compressed, other], lambda done, total: seen.append((done, total)))
    size = compressed.stat().st_size + other.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(st.text("ab é\t\r\n\v\u00a0", max_size=60), st.integers(1, 9))
def test_blocks_of_any_size_hold_the_same_text(read, tmp_path_factory, text, size):
    path = tmp_path_factory.mktemp("blocks") / "text"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        whole = read(path)
        patch.setattr(SIZES, "block_bytes", size)
        assert read(path) == whole
        blocks = list(read_blocks(find_files([path])[0]))
    text = text.encode()
    assert b"".join(block.text for block in blocks) == text + b"\n" * bool(text and not text.endswith(b"\n"))
    for block in blocks:
        assert block.text.endswith((b" ", b"\t", b"\r", b"\n", b"\v"))
        begun = text[: block.offset].rpartition(b"\n")[2]
        assert block.line == text[: block.offset].count(b"\n") + 1
        assert block.inside == bool(begun.split())
        assert text[block.offset : block.offset + block.size] == block.text[: block.size]


WRAPPED = st.one_of(
    st.lists(
        st.sampled_from(
            ["the", "Cat", "exam-", "\n", "\n\n", ". ", '." ', " ", "\t", ",", "\u6f22", "\u00e9", "-", "\u201d", "\0"]
        ),
        max_size=30,
    ).map("".join),
    st.text('aB \n\r.-,"\u201d\u6f22\u0301', max_size=40),
)


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("unit", ["line", "paragraph", "sentence", "document"])
@given(text=WRAPPED, size=st.integers(1, 9))
def test_sequences_and_words_do_not_depend_on_the_blocks(read, tmp_path_factory, unit, words, text, size):
    path = tmp_path_factory.mktemp("blocks") / "text"
    path.write_bytes(text.encode())
    corpus = FileCorpus(path, reading=Reading(unit=unit, words=words))
    with pytest.MonkeyPatch.context() as patch:
        sequences, ledger = read(corpus)
        patch.setattr(SIZES, "block_bytes", size)
        assert read(corpus) == (sequences, ledger)
        if ledger.tokens_read:
            counted = Vocabulary.from_corpus(corpus, 1, threads=2).ledger
            assert (counted.lines, counted.empty_lines) == (ledger.lines, ledger.empty_lines)
            assert counted.tokens_read == ledger.tokens_read
    assert sequences == corpus.reading.sequences(text)


@pytest.mark.parametrize("unit", ["line", "paragraph", "sentence", "document"])
def test_a_phrase_at_the_end_of_a_file_of_one_sequence_is_joined(read, tmp_path, unit):
    text = b"they live in new york"
    for name, content in (("text", text), ("text.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(content)
        corpus = FileCorpus(tmp_path / name, reading=Reading(unit=unit, phrases=["new york"]))
        assert read(corpus)[0] == [["they", "live", "in", "new_york"]]


def test_a_long_line_without_white_space_is_read_in_blocks(tmp_path):
    path = tmp_path / "long"
    for part in ("\0", "a,", "\u6f22\u5b57", "...a"):
        path.write_text(part * (1 << 20), encoding="utf-8")
        largest = 0
        for unit in ("line", "paragraph") if part != "...a" else ("line",):
            corpus = FileCorpus(path, reading=Reading(words=True, unit=unit))
            largest = max([largest, *(len(block.text) for block in corpus.blocks(Ledger()))])
        assert largest <= SIZES.block_bytes + 9


def test_invalid_utf8_inside_a_word_is_an_error_or_ends_the_word(tmp_path, read):
    path = tmp_path / "text"
    path.write_bytes(b"one t\xe9w\xe9o\n\nthree \xe2\x80\n")
    for unit in ("line", "paragraph", "document", "sentence"):
        with pytest.raises(ValueError, match=r"text' is not valid UTF-8 at line 1, byte 5 of the text"):
            read(FileCorpus(path, reading=Reading(words=True, unit=unit)))
        sequences, ledger = read(FileCorpus(path, reading=Reading(words=True, unit=unit, errors="replace")))
        assert [token for sequence in sequences for token in sequence] == ["one", "t", "w", "o", "three"]
        assert ledger.replaced == 3


def test_a_text_may_have_many_blocks_and_a_long_line(tmp_path, read):
    path = tmp_path / "long"
    path.write_text("a b c\n" * 400_000 + "x " * 1_000_000, encoding="utf-8")
    sequences, ledger = read(path)
    assert len(sequences) == 400_001
    assert len(sequences[-1]) == 1_000_000
    assert ledger.tokens_read == 2_200_000
    assert ledger.bytes == path.stat().st_size


def test_a_byte_order_mark_is_no_part_of_a_token(tmp_path, read):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbfone two\none")
    sequences, ledger = read([tmp_path / "a", tmp_path / "b"])
    assert sequences == [["one", "two"], ["one"]] * 2
    assert ledger.bytes == 28
    assert Vocabulary.from_corpus([tmp_path / "a", tmp_path / "b"], 1).tokens == ("one", "two")


def test_a_file_is_read_in_any_compression(compressed, read):
    for source in (compressed, str(compressed), [compressed]):
        sequences, ledger = read(source)
        assert sequences == TOKENS
        assert ledger == Ledger(bytes=len(TEXT.encode()), lines=5, empty_lines=1, tokens_read=8)


@pytest.mark.parametrize("suffix", [suffix for suffix in OPENERS if suffix])
@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"no archive at all"])
def test_a_damaged_archive_is_named(tmp_path, suffix, damage, read):
    path = tmp_path / f"text{suffix}"
    with OPENERS[suffix](path, "wb") as file:
        file.write(os.urandom(3000).hex().encode())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=rf"cannot read '.*text\{suffix}' beyond line 0"):
        read(path)


@pytest.mark.parametrize("suffix", [suffix for suffix in OPENERS if suffix])
def test_a_file_without_a_byte_is_no_archive(tmp_path, suffix, read):
    (tmp_path / f"text{suffix}").touch()
    with pytest.raises(OSError, match=rf"cannot read '.*text\{suffix}' beyond line 0"):
        read(tmp_path / f"text{suffix}")
    with OPENERS[suffix](tmp_path / f"text{suffix}", "wb") as file:
        file.write(b"")  # an archive of an empty file, but for .zst, where it has no byte either
    if suffix != ".zst":
        assert read(tmp_path / f"text{suffix}") == ([], Ledger())


def test_a_missing_library_for_zstandard_is_named(tmp_path, monkeypatch, read):
    (tmp_path / "text.zst").touch()
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"the extra \[zstd\]"):
        read(tmp_path / "text.zst")
