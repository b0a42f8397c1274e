"""Readers and the ledger: every form of corpus, and every way to get one wrong."""

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastembed.corpus.blocks
from fastembed import Vocabulary
from fastembed.corpus import FileCorpus, Ledger, MemoryCorpus, as_corpus
from fastembed.corpus.blocks import _zstd, read_blocks
from fastembed.corpus.sources import Spool

TEXT = "the cat\nsat\r\n\n on\tthe\v mat \f\nübergroß 猫"
TOKENS = [["the", "cat"], ["sat"], [], ["on", "the", "mat"], ["übergroß", "猫"]]
OPENERS = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
with contextlib.suppress(ImportError):
    OPENERS[".zst"] = _zstd().open


def read(source, progress=None):
    ledger = Ledger()
    return list(as_corpus(source).sequences(ledger, progress)), ledger


@pytest.fixture(params=OPENERS)
def compressed(request, tmp_path):
    """A text file of each kind."""
    path = tmp_path / f"text.txt{request.param}"
    with OPENERS[request.param](path, "wb") as file:
        file.write(TEXT.encode())
    return path


def test_file_of_any_compression(compressed):
    for source in (compressed, str(compressed), [compressed]):
        sequences, ledger = read(source)
        assert sequences == TOKENS
        assert ledger == Ledger(bytes=len(TEXT.encode()), lines=5, empty_lines=1, tokens_read=8)


def test_several_files_in_their_order(tmp_path):
    for name, text in (("b", b"1 2\n"), ("a", b"3")):
        (tmp_path / name).write_bytes(text)
    sequences, ledger = read([tmp_path / "b", tmp_path / "a"])
    assert sequences == [["1", "2"], ["3"]]
    assert ledger.bytes == 5


def test_only_ascii_white_space_separates(tmp_path):
    path = tmp_path / "spaces"
    path.write_text("a\u00a0b\u3000c\x1cd e\u2028f", encoding="utf-8")
    assert read(path)[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]


def test_a_byte_order_mark_is_no_part_of_a_token(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbfone two\none")
    sequences, ledger = read([tmp_path / "a", tmp_path / "b"])
    assert sequences == [["one", "two"], ["one"]] * 2
    assert ledger.bytes == 28
    assert Vocabulary.from_corpus([tmp_path / "a", tmp_path / "b"], 1).tokens == ("one", "two")


def test_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == ([], Ledger())


def test_more_than_one_block_and_a_long_line(tmp_path):
    path = tmp_path / "long"
    path.write_text("a b c\n" * 400_000 + "x " * 1_000_000, encoding="utf-8")
    sequences, ledger = read(path)
    assert len(sequences) == 400_001
    assert len(sequences[-1]) == 1_000_000
    assert ledger.tokens_read == 2_200_000
    assert ledger.bytes == path.stat().st_size


def test_progress_of_files_ends_at_the_bytes_on_disk(compressed, tmp_path):
    other = tmp_path / "other"
    other.write_text("one more\n", encoding="utf-8")
    seen = []
    read([compressed, other], lambda done, total: seen.append((done, total)))
    size = compressed.stat().st_size + other.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


def test_progress_in_memory():
    seen = []
    read([["a"]] * 3000, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3000), (1024, 3000), (2048, 3000), (3000, 3000)]


def test_sequences_made_anew_on_each_iteration():
    class Anew:
        def __iter__(self):
            yield ("a", "b")
            yield iter("cd")

    corpus = as_corpus(Anew())
    seen = []
    for _ in range(2):
        sequences = list(corpus.sequences(Ledger(), lambda *now: seen.append(now)))
        assert sequences == [["a", "b"], ["c", "d"]]
    assert seen[-1] == (2, None)


@pytest.mark.parametrize("once", [(line for line in [["a"]]), iter([["a"]]), map(list, ["a"])])
def test_what_can_be_read_once_is_refused(once):
    with pytest.raises(TypeError, match=f"a {type(once).__name__} does not allow"):
        as_corpus(once)


@pytest.mark.parametrize("wrong", [7, None, b"text"])
def test_no_corpus_at_all(wrong):
    with pytest.raises(TypeError, match=re.escape(repr(wrong))):
        as_corpus(wrong)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("the cat", "item 1 of the corpus is 'the cat', where a list of tokens"),
        (b"the cat", "item 1 of the corpus is b'the cat', where a list of tokens"),
        (3, "item 1 of the corpus is 3, where a list of tokens"),
        ([True], "item 1 of the corpus holds True, where a token"),
        ([1, True], "item 1 of the corpus holds True, where a token"),
        ([3, "a"], r"item 1 of the corpus mixes strings and integers: \[3, 'a'\]"),
        (["a", np.int64(3)], "item 1 of the corpus mixes strings and integers"),
        ([3, 0.5], "item 1 of the corpus holds 0.5, where a token"),
        (["a", None], "item 1 of the corpus holds None, where a token"),
        ([["a"]], r"item 1 of the corpus holds \['a'\]"),
    ],
)
def test_an_item_that_is_no_list_of_tokens(item, message):
    with pytest.raises(TypeError, match=message):
        read([["fine"], item])


def test_names_of_files_in_a_list_must_be_paths(compressed):
    with pytest.raises(TypeError, match=r"pathlib\.Path"):
        read([str(compressed)])


@pytest.mark.parametrize("text", ["the cat sat", "two\nlines", "long " * 5000, "nul \0"])
def test_a_bare_string(text):
    with pytest.raises(FileNotFoundError, match="a bare string is taken as the name of a file where token lists"):
        as_corpus(text)


def test_missing_file_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for missing in (Path("missing"), Path("long" * 20, "missing")):
        for open_corpus in (as_corpus, lambda path: FileCorpus([path])):
            with pytest.raises(FileNotFoundError, match=f"^no such file: {re.escape(repr(str(missing)))}$"):
                open_corpus(missing)
    Path(".hidden").touch()
    with pytest.raises(FileNotFoundError, match=r"^no file in the folder '\.'$"):
        as_corpus(Path())
    with pytest.raises(FileNotFoundError, match=r"^no file matches '\*\.txt'$"):
        as_corpus(Path("*.txt"))


def test_unreadable_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("a", encoding="utf-8")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(PermissionError, match="secret"):
        read(path)


@pytest.mark.parametrize(("line", "offset"), [(b"ab \xff\n", 3), (b" \xe4\xb8", 1), (b"\xed\xa0\x80", 0)])
def test_invalid_utf8_is_located(tmp_path, line, offset):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"first line\n\n" + line)
    with pytest.raises(ValueError, match=rf"latin1\.txt' is not valid UTF-8 at line 3, byte {12 + offset} of"):
        read(path)


@pytest.mark.parametrize("suffix", [suffix for suffix in OPENERS if suffix])
@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"no archive at all"])
def test_damaged_archive(tmp_path, suffix, damage):
    path = tmp_path / f"text{suffix}"
    with OPENERS[suffix](path, "wb") as file:
        file.write(os.urandom(3000).hex().encode())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=rf"cannot read '.*text\{suffix}' beyond line 0"):
        read(path)


def test_a_corpus_is_its_own_reader(compressed):
    for corpus in (FileCorpus([compressed]), MemoryCorpus([["a"]])):
        assert as_corpus(corpus) is corpus


def test_sum_and_summary_of_ledgers():
    one = Ledger(10, 2, 1, 9, 6, {"rare": 3})
    both = one + Ledger(20, 3, 0, 8, 5, {"rare": 2, "many": 1})
    assert both == Ledger(30, 5, 1, 17, 11, {"rare": 5, "many": 1})
    assert both.summary() == "read 17 tokens in 5 lines (1 empty) (30 bytes); used 11; dropped 6 (5 rare, 1 many)"
    assert one.dropped == {"rare": 3}


# ------------------------------------------------------------------------------------------------ files of all sorts


def test_folders_and_patterns(tmp_path):
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden", "deep/.git/x", "[odd].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    everything = [["[odd].txt"], ["a.txt"], ["b.txt"], ["deep/c.txt"]]
    assert read(tmp_path)[0] == everything
    assert read(f"{tmp_path}/**/*.txt")[0] == everything
    assert read(f"{tmp_path}/[ab].txt")[0] == [["a.txt"], ["b.txt"]]
    assert read(tmp_path / "[odd].txt")[0] == [["[odd].txt"]]
    assert read([tmp_path / "deep", tmp_path / "b.txt"])[0] == [["deep/c.txt"], ["b.txt"]]


def test_standard_input_is_kept_for_a_second_reading(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding="utf-8"))
    for _ in range(2):
        seen = []
        sequences, ledger = read("-", lambda *now, seen=seen: seen.append(now))
        assert sequences == TOKENS
        assert ledger.bytes == len(TEXT.encode())
        assert seen[-1] == (ledger.bytes, ledger.bytes)


def test_standard_input_that_fills_the_disk(monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    monkeypatch.setattr(fastembed.corpus.sources.tempfile, "TemporaryFile", lambda: full.open("wb", buffering=0))
    with pytest.raises(OSError, match=r"cannot keep standard input in a file in .*No space left"):
        Spool("standard input", io.BytesIO(b"text"))


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="standard input is closed"):
        read("-")


def test_an_interrupt_while_standard_input_is_kept_says_how_much_came():
    class Stream(io.RawIOBase):
        parts = iter([b"four"])

        def read(self, size):
            try:
                return next(self.parts)
            except StopIteration:
                raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt) as caught:
        Spool("standard input", Stream())
    assert caught.value.__notes__ == ["interrupted after 4 bytes of standard input"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_is_kept_for_a_second_reading(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a b\nc\n",))
    writer.start()
    corpus = FileCorpus(pipe)
    writer.join()
    for _ in range(2):
        assert list(corpus.sequences(Ledger())) == [["a", "b"], ["c"]]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "open").write_text("a", encoding="utf-8")
    (tmp_path / "secret").mkdir()

    def scandir(path, real=os.scandir):
        if Path(path).name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="secret"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", [suffix for suffix in OPENERS if suffix])
def test_a_file_without_a_byte_is_no_archive(tmp_path, suffix):
    (tmp_path / f"text{suffix}").touch()
    with pytest.raises(OSError, match=rf"cannot read '.*text\{suffix}' beyond line 0"):
        read(tmp_path / f"text{suffix}")
    with OPENERS[suffix](tmp_path / f"text{suffix}", "wb") as file:
        file.write(b"")  # an archive of an empty file, but for .zst, where it has no byte either
    if suffix != ".zst":
        assert read(tmp_path / f"text{suffix}") == ([], Ledger())


def test_missing_library_for_zstandard(tmp_path, monkeypatch):
    (tmp_path / "text.zst").touch()
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"the extra \[zstd\]"):
        read(tmp_path / "text.zst")


@pytest.mark.thread_unsafe(reason="sets a constant to one value after another")
@given(st.text("ab é\t\r\n\v\u00a0", max_size=60), st.integers(1, 9))
def test_blocks_of_any_size_hold_the_same_text(tmp_path_factory, text, size):
    path = tmp_path_factory.mktemp("blocks") / "text"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        whole = read(path)
        patch.setattr(fastembed.corpus.blocks, "BLOCK", size)
        assert read(path) == whole
        blocks = list(read_blocks(FileCorpus(path).files[0]))
    text = text.encode()
    assert b"".join(block.text for block in blocks) == text + b"\n" * bool(text and not text.endswith(b"\n"))
    for block in blocks:
        assert block.text.endswith((b" ", b"\t", b"\r", b"\n", b"\v"))
        begun = text[: block.offset].rpartition(b"\n")[2]
        assert block.line == text[: block.offset].count(b"\n") + 1
        assert block.open_line == bool(begun.split())
        assert text[block.offset : block.offset + block.size] == block.text[: block.size]


# ------------------------------------------------------------------------------------------------ options


def test_lowercase(tmp_path):
    path = tmp_path / "text"
    path.write_text("The CAT\n\u0391Σ ΣA É İ\n", encoding="utf-8")
    assert list(FileCorpus(path, lowercase=True).sequences(Ledger())) == [
        ["the", "cat"],
        ["\u03b1ς", "\u03c3a", "é", "i̇"],
    ]


def test_tokenizer_gets_lines_without_their_ends(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"The cat,sat\r\n\nX")
    seen = []
    corpus = FileCorpus([path], lowercase=True, tokenizer=lambda line: seen.append(line) or re.split("[ ,]", line))
    assert list(corpus.sequences(Ledger())) == [["the", "cat", "sat"], [""], ["x"]]
    assert seen == ["the cat,sat", "", "x"]
    with pytest.raises(TypeError, match="what the tokenizer made of 'The cat,sat' is 'The cat,sat', where a list"):
        list(FileCorpus(path, tokenizer=str).sequences(Ledger()))


def test_invalid_utf8_replaced(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("a\ufffd b\n".encode() + b"c\xff \xe4\xb8 d\n")
    ledger = Ledger()
    assert list(FileCorpus(path, errors="replace").sequences(ledger)) == [["a\ufffd", "b"], ["c\ufffd", "\ufffd", "d"]]
    assert ledger.replaced == 2
    assert ledger.summary().endswith("; 2 times U+FFFD for invalid bytes")
    with pytest.raises(ValueError, match=r"line 2, byte 8 of the text: invalid start byte \(b'\\xff'\)"):
        read(path)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"errors": "ignore"}, ValueError, "errors must be 'strict' or 'replace', got 'ignore'"),
        ({"tokenizer": "words"}, TypeError, "tokenizer must be a function .* got 'words'"),
    ],
)
def test_bad_options(compressed, option, error, message):
    with pytest.raises(error, match=message):
        FileCorpus(compressed, **option)


def test_integers_stand_for_their_digits():
    assert read([[3, -1], np.array([7, 3]), range(2), []])[0] == [["3", "-1"], ["7", "3"], ["0", "1"], []]


def test_ids():
    ledger = Ledger()
    ids = list(MemoryCorpus([[3, 1], np.array([2], np.uint8), range(2), []]).ids(4, ledger))
    assert [i.tolist() for i in ids] == [[3, 1], [2], [0, 1], []]
    assert {i.dtype for i in ids} == {np.dtype(np.int32)}
    assert ledger == Ledger(lines=4, empty_lines=1, tokens_read=5)
    for item, error, message in (
        ([1, 4], ValueError, r"item 1 of the corpus must be ids from 0 to 3, but item 1 of the corpus\[1\] is 4"),
        ([-1], ValueError, "ids from 0 to 3"),
        (["a"], TypeError, "item 1 of the corpus must hold integers"),
        (3, TypeError, "item 1 of the corpus is 3, where a list of ids"),
    ):
        with pytest.raises(error, match=message):
            list(MemoryCorpus([[0], item]).ids(4, Ledger()))
