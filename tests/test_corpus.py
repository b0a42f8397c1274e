"""Readers and the ledger: every form of corpus, and every way to get one wrong."""

import bz2
import gzip
import lzma
import os
import re

import pytest

from fastembed.corpus import FileCorpus, Ledger, MemoryCorpus, as_corpus

TEXT = "the cat\nsat\r\n\n on\tthe\v mat \f\nübergroß 猫"
TOKENS = [["the", "cat"], ["sat"], [], ["on", "the", "mat"], ["übergroß", "猫"]]
OPENERS = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


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
    for name, text in (("b", "1 2\n"), ("a", "3")):
        (tmp_path / name).write_text(text)
    sequences, ledger = read([tmp_path / "b", tmp_path / "a"])
    assert sequences == [["1", "2"], ["3"]]
    assert ledger.bytes == 5


def test_only_ascii_white_space_separates(tmp_path):
    path = tmp_path / "spaces"
    path.write_text("a\u00a0b\u3000c\x1cd e\u2028f")
    assert read(path)[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]


def test_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == ([], Ledger())


def test_more_than_one_block_and_a_long_line(tmp_path):
    path = tmp_path / "long"
    path.write_text("a b c\n" * 400_000 + "x " * 1_000_000)
    sequences, ledger = read(path)
    assert len(sequences) == 400_001
    assert len(sequences[-1]) == 1_000_000
    assert ledger.tokens_read == 2_200_000
    assert ledger.bytes == path.stat().st_size


def test_progress_of_files_ends_at_the_bytes_on_disk(compressed, tmp_path):
    other = tmp_path / "other"
    other.write_text("one more\n")
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
        ([3], "item 1 of the corpus begins with 3, where a token"),
        ([["a"]], r"item 1 of the corpus begins with \['a'\]"),
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


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*missing'$"):
        as_corpus(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="missing"):
        FileCorpus([tmp_path / "missing"])
    with pytest.raises(IsADirectoryError, match="is a folder"):
        as_corpus(tmp_path)


def test_unreadable_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("a")
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


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
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
