"""The identity of a corpus."""

import io
import os

import pytest

from fastembed.corpus import DocumentCorpus, FileCorpus, Reading
from fastembed.corpus.corpus import check_same_corpus, corpus_identity
from fastembed.corpus.sources import Spool


@pytest.fixture
def file(tmp_path):
    """A file of two lines."""
    path = tmp_path / "a.txt"
    path.write_text("a b\nb c\n", encoding="utf-8")
    return path


def test_files_are_known_by_name_size_and_time(file):
    identity = corpus_identity(file)
    assert identity == corpus_identity(FileCorpus(file))
    assert identity["files"] == [{"name": str(file), "bytes": 8, "changed": file.stat().st_mtime_ns}]
    os.utime(file, ns=(0, 0))
    assert corpus_identity(file) != identity


@pytest.mark.parametrize(
    "options", [{"reading": Reading(lowercase=True)}, {"reading": Reading(words=True)}, {"skip_bad": True}]
)
def test_files_are_known_by_how_they_are_read(file, options):
    with pytest.raises(ValueError, match="the text is read in another way than when 'x' was counted"):
        check_same_corpus(corpus_identity(file), corpus_identity(FileCorpus(file, **options)), "x")


def test_pipes_are_known_by_their_bytes(file):
    found = []
    for text in (b"a b", b"a b", b"a c"):
        corpus = FileCorpus(file)
        corpus._files = [Spool("standard input", io.BytesIO(text))]
        found.append(corpus_identity(corpus))
    assert found[0] == found[1] != found[2]
    with pytest.raises(ValueError, match="'standard input' has changed since 'x' was counted from it: sha256 was"):
        check_same_corpus(found[0], found[2], "x")


@pytest.mark.parametrize("other", [[["a"], ["b", "c"]], [["a", "b", "c"]], [["a", "b"], ["d"]], [["a b"], ["c"]]])
def test_sequences_are_known_by_their_tokens(other):
    identity = corpus_identity([["a", "b"], ["c"]])
    assert identity == corpus_identity((("a", "b"), iter_again("c")))
    with pytest.raises(ValueError, match="the sequences in memory have changed since 'x' was counted from them"):
        check_same_corpus(identity, corpus_identity(other), "x")


def iter_again(*tokens):
    return list(tokens)


def test_documents_are_known_by_their_tokens_and_how_they_are_read():
    documents = ["A b", "b c"]
    assert corpus_identity(DocumentCorpus(documents)) == corpus_identity(DocumentCorpus(list(documents)))
    assert corpus_identity(DocumentCorpus(documents)) != corpus_identity(
        DocumentCorpus(documents, reading=Reading(lowercase=True))
    )
