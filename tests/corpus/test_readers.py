"""The readers: every form of corpus, and every way to get one wrong."""

import re

import numpy as np
import pytest

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import FileCorpus, Ledger, Reading
from fastembed.corpus.corpus import as_corpus, corpus_ids, document_tokens


def test_several_files_are_read_in_the_order_given(tmp_path, read):
    for name, text in (("b", b"1 2\n"), ("a", b"3")):
        (tmp_path / name).write_bytes(text)
    sequences, ledger = read([tmp_path / "b", tmp_path / "a"])
    assert sequences == [["1", "2"], ["3"]]
    assert ledger.bytes == 5


def test_only_ascii_white_space_separates_tokens(tmp_path, read):
    path = tmp_path / "spaces"
    path.write_text("a\u00a0b\u3000c\x1cd e\u2028f", encoding="utf-8")
    assert read(path)[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]


def test_an_empty_file_has_no_sequence(tmp_path, read):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == ([], Ledger())


def test_progress_in_memory_is_reported_now_and_then(read):
    seen = []
    read([["a"]] * 3000, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3000), (1024, 3000), (2048, 3000), (3000, 3000)]


def test_sequences_may_be_made_anew_by_each_iteration():
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
def test_what_can_be_read_only_once_is_rejected(once):
    with pytest.raises(TypeError, match=f"a {type(once).__name__} does not allow"):
        as_corpus(once)


@pytest.mark.parametrize("wrong", [7, None, b"text"])
def test_what_is_no_corpus_is_rejected(wrong):
    with pytest.raises(TypeError, match=re.escape(repr(wrong))):
        as_corpus(wrong)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "item 1 of the corpus: 3, where a text or a list of tokens is expected"),
        ({"text": "a"}, "item 1 of the corpus: {'text': 'a'}, .* expected; field=... names that of records"),
        (None, "item 1 of the corpus: null, where a text or a list of tokens is expected: leave out what is missing"),
        (np.nan, "item 1 of the corpus: null, where .*: leave out what is missing"),
        ([True], "item 1 of the corpus: the list holds True, where a token"),
        ([1, True], "item 1 of the corpus: the list holds True, where a token"),
        ([3, "a"], r"item 1 of the corpus: the list mixes strings and integers: \[3, 'a'\]"),
        (["a", np.int64(3)], "item 1 of the corpus: the list mixes strings and integers"),
        ([3, 0.5], "item 1 of the corpus: the list holds 0.5, where a token"),
        (["a", None], "item 1 of the corpus: the list holds None, where a token"),
        ([["a"]], r"item 1 of the corpus: the list holds \['a'\]"),
        (bytearray(b"ab"), "item 1 of the corpus: the list is bytearray"),
    ],
)
def test_an_item_that_is_no_document_is_rejected(item, message, read):
    with pytest.raises(TypeError, match=message):
        read([["fine"], item])


def test_texts_and_lists_are_documents_and_a_text_means_what_a_file_with_that_content_means(read, tmp_path):
    text = "to be\nor\tnot\n\nto be"
    (tmp_path / "text").write_text(text, encoding="utf-8")
    for reading in (None, Reading(lowercase=True), Reading(unit="paragraph"), Reading(token_pattern="[a-z]+")):
        lines = read(as_corpus(tmp_path / "text", reading))[0]
        assert read(as_corpus([text, ["or", "not"], text.encode()], reading))[0] == [*lines, ["or", "not"], *lines]
    assert read([text])[0] == [["to", "be"], ["or", "not"], [], ["to", "be"]]
    assert list(document_tokens(as_corpus([text, ["a b"]]))) == [["to", "be", "or", "not", "to", "be"], ["a b"]]
    assert list(document_tokens(as_corpus(tmp_path / "text"))) == read([text])[0]


def test_strings_of_one_token_need_to_be_allowed(read):
    message = "each of the 2 strings, such as 'b.txt', is a document of one token at most, .* pathlib.Path objects"
    for use in (as_corpus, SkipGram(min_count=1).fit, Vocabulary.from_corpus):
        with pytest.raises(ValueError, match=message):
            use(["a.txt", "b.txt"])
    assert read(as_corpus(["a", "b"], single=True))[0] == [["a"], ["b"]]
    assert read(as_corpus(["a", "b", "c d"]))[0] == [["a"], ["b"], ["c", "d"]]


@pytest.mark.parametrize(("line", "offset"), [(b"ab \xff\n", 3), (b" \xe4\xb8", 1), (b"\xed\xa0\x80", 0)])
def test_invalid_utf8_is_located(tmp_path, line, offset, read):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"first line\n\n" + line)
    with pytest.raises(ValueError, match=rf"latin1\.txt' is not valid UTF-8 at line 3, byte {12 + offset} of"):
        read(path)


def test_a_file_corpus_is_its_own_reader():
    corpus = FileCorpus([__file__])
    assert as_corpus(corpus) is corpus
    assert corpus.names == [__file__]


def test_lowercase_follows_unicode(tmp_path):
    path = tmp_path / "text"
    path.write_text("The CAT\n\u0391Σ ΣA É İ\n", encoding="utf-8")
    assert list(FileCorpus(path, reading=Reading(lowercase=True)).sequences(Ledger())) == [
        ["the", "cat"],
        ["\u03b1ς", "\u03c3a", "é", "i̇"],
    ]


def test_a_tokenizer_gets_lines_without_their_ends(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"The cat,sat\r\n\nX")
    seen = []
    corpus = FileCorpus(
        [path], reading=Reading(lowercase=True, tokenizer=lambda line: seen.append(line) or re.split("[ ,]", line))
    )
    assert list(corpus.sequences(Ledger())) == [["the", "cat", "sat"], [""], ["x"]]
    assert seen == ["the cat,sat", "", "x"]
    with pytest.raises(TypeError, match="what the tokenizer made of 'The cat,sat' is 'The cat,sat', where a list"):
        list(FileCorpus(path, reading=Reading(tokenizer=str)).sequences(Ledger()))


def test_invalid_utf8_can_be_replaced(tmp_path, read):
    path = tmp_path / "text"
    path.write_bytes("a\ufffd b\n".encode() + b"c\xff \xe4\xb8 d\n")
    ledger = Ledger()
    assert list(FileCorpus(path, reading=Reading(errors="replace")).sequences(ledger)) == [
        ["a\ufffd", "b"],
        ["c\ufffd", "\ufffd", "d"],
    ]
    assert ledger.replaced == 2
    assert ledger.summary().endswith("; 2 times U+FFFD for invalid bytes")
    with pytest.raises(ValueError, match=r"line 2, byte 8 of the text: invalid start byte \(b'\\xff'\)"):
        read(path)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"errors": "ignore"}, ValueError, "errors must be one of strict, replace, got 'ignore'"),
        ({"tokenizer": "words"}, TypeError, "tokenizer must be a function .* got 'words'"),
    ],
)
def test_bad_options_are_rejected(option, error, message):
    with pytest.raises(error, match=message):
        Reading(**option)


def test_integers_stand_for_their_digits(read):
    assert read([[3, -1], np.array([7, 3]), range(2), []])[0] == [["3", "-1"], ["7", "3"], ["0", "1"], []]


def test_ids_are_read_and_checked():
    ledger = Ledger()
    ids = list(corpus_ids(as_corpus([[3, 1], np.array([2], np.uint8), range(2), []]), 4, ledger))
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
            list(corpus_ids(as_corpus([[0], item]), 4, Ledger()))


@pytest.mark.parametrize(
    "edge", [(0, 1, 5), ("a", "b", 5), ("a", "b", 0.5), (0, 1, np.float32(2)), ("a", "b", {"w": 1})]
)
@pytest.mark.parametrize(
    "read",
    [
        lambda edges: Vocabulary.from_corpus(edges, 1),
        lambda edges: Counts.from_corpus(edges, 9),
        lambda edges: SkipGram(min_count=1).fit(edges),
    ],
)
def test_an_edge_with_a_weight_is_no_sequence_of_three_tokens(edge, read):
    with pytest.raises(
        TypeError, match=r"may be an edge with a weight: pass Counts\.from_pairs\(sources, targets, wei"
    ):
        read([edge, edge])


def test_other_sequences_of_three_are_corpora():
    for corpus in ([(0, 1), (0, 1, 5)], [[0, 1, 5]], [("a", "b", "c")]):
        assert len(Vocabulary.from_corpus(corpus, 1)) == 3


@pytest.mark.parametrize(("paths", "value"), [(5, "5"), (None, "None"), (b"text", "b'text'"), (["text", 5], "5")])
def test_what_is_no_path_is_named(paths, value):
    with pytest.raises(TypeError, match=f"paths must be a path or several, each a str or a pathlib.Path, got {value}"):
        FileCorpus(paths)
