"""Documents in memory: texts, lists of tokens, and records and tables that hold them, without loss."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastembed import SkipGram, Vocabulary
from fastembed.corpus import DocumentCorpus, Ledger, Reading
from fastembed.corpus.corpus import as_corpus, document_tokens
from fastembed.vocabulary import encode_corpus

TEXTS = ["The cat", None, "sat\non the mat"]
SEQUENCES = [["The", "cat"], ["sat"], ["on", "the", "mat"]]
LISTS = [["new york", "the"], [], ["cat"]]
TABLES = {
    "DataFrame": lambda columns: pytest.importorskip("pandas").DataFrame(columns),
    "DataFrame of Polars": lambda columns: pytest.importorskip("polars").DataFrame(columns),
    "Table": lambda columns: pytest.importorskip("pyarrow").table(columns),
    "Dataset": lambda columns: pytest.importorskip("datasets").Dataset.from_dict(columns),
}
characters = st.text(st.one_of(st.sampled_from(" \t\n\v\f\ra"), st.characters(exclude_categories=["Cs"])), max_size=4)


def read_all(documents, *, field=None, skip_bad=False, **reading):
    corpus, ledger = DocumentCorpus(documents, reading=Reading(**reading), field=field, skip_bad=skip_bad), Ledger()
    return list(corpus.sequences(ledger)), ledger


@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_a_table_holds_texts_or_lists_and_a_whole_table_names_its_fields(name):
    table, kind = TABLES[name]({"text": TEXTS, "tokens": LISTS}), name.partition(" ")[0]
    for documents, options in ((table, {"field": "text"}), (table["text"], {})):
        sequences, ledger = read_all(documents, skip_bad=True, **options)
        assert (sequences, ledger.skipped) == (SEQUENCES, {"null": 1})
        with pytest.raises(TypeError, match="item 1 of the corpus: null instead of a text or a list of tokens"):
            read_all(documents, **options)
    assert read_all(table, field="tokens")[0] == LISTS
    for use in (DocumentCorpus, SkipGram().fit):
        with pytest.raises(TypeError, match=f"got a whole {kind}: .* 'text', 'tokens'"):
            use(table)
    with pytest.raises(ValueError, match=f"the {kind} has no field 'txt'; its fields are 'text', 'tokens'"):
        DocumentCorpus(table, field="txt")


def test_a_skipgram_takes_a_field_of_files_tables_and_records(tmp_path):
    (tmp_path / "t.csv").write_text("id,text\n1,The cat\n2,the cat\n", encoding="utf-8")
    records = [{"text": "The cat"}, {"text": "the cat"}]
    model = SkipGram(dim=2, min_count=1, epochs=1, reading=Reading(lowercase=True))
    for source in (tmp_path / "t.csv", [str(tmp_path / "t.csv")], records, {"text": ["The cat", "the cat"]}):
        assert set(model.fit(source, field="text").vectors.tokens) == {"the", "cat"}
        texts = ["The cat", "the cat"]
        assert model.count(source, field="text").ledger.tokens_read == 4
        assert_array_equal(model.transform(source, field="text"), model.transform(texts))
        assert_array_equal(model.fit_transform(source, field="text"), model.transform(texts))
        assert model.perplexity(source, field="text") == model.perplexity(texts)
        model.set_params(reading=None)  # the reading of the model stays
        assert_array_equal(model.transform(source, field="text"), model.transform(texts))
        assert model.partial_fit(source, field="text").ledger.tokens_used == 4
        model.set_params(reading=Reading(lowercase=True))
    with pytest.raises(ValueError, match="field='text' is for paths, tables and records: a DocumentCorpus has its own"):
        model.fit(DocumentCorpus(["a b"]), field="text")


def test_records_have_a_field():
    records = [{"id": 1, "text": "the cat"}, {"id": 2, "text": ["sat down"]}]
    assert read_all(records, field="text", lowercase=True)[0] == [["the", "cat"], ["sat down"]]
    bad = [*records, {"id": 3}, "text", {"text": 3}, {"text": b"ok"}, {"text": float("nan")}]
    for place, error, message in (
        (2, ValueError, "item 0 of the corpus: no field 'text' among 'id'"),
        (3, TypeError, "item 0 of the corpus: 'text', where a mapping with the field 'text' is expected"),
        (4, TypeError, "item 0 of the corpus: it is 3"),
        (6, TypeError, "item 0 of the corpus: null instead of"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            read_all(bad[place : place + 1], field="text")
    sequences, ledger = read_all(bad, field="text", skip_bad=True)
    assert sequences == [["the", "cat"], ["sat down"], ["ok"]]
    assert ledger.skipped == {"no field 'text'": 1, "no record": 1, "no text": 1, "null": 1}


@given(st.lists(st.lists(characters, min_size=1), min_size=1))
def test_any_tokens_are_counted_and_encoded(lists):
    vocabulary, expected = (
        Vocabulary.from_corpus(lists, min_count=1),
        Counter(token for item in lists for token in item),
    )
    assert dict(zip(vocabulary.tokens, vocabulary.counts.tolist(), strict=True)) == expected
    assert (vocabulary.ledger.lines, vocabulary.ledger.tokens_read) == (len(lists), expected.total())
    ids = np.concatenate(list(encode_corpus(as_corpus(lists), vocabulary, Ledger(), None, 1)))
    assert ids.tolist() == [index for item in lists for index in (*vocabulary.encode(item), -1)]


def test_a_text_means_what_a_file_with_that_content_means(read, tmp_path):
    text = "\ufeffto be\nor\tnot\n\nto be"
    (tmp_path / "text").write_text(text, encoding="utf-8")
    for reading in (None, Reading(lowercase=True), Reading(unit="paragraph"), Reading(token_pattern="[a-z]+")):
        lines = read(as_corpus(tmp_path / "text", reading))[0]
        assert read(as_corpus([text, ["or", "not"], text.encode()], reading))[0] == [*lines, ["or", "not"], *lines]
    assert read([text])[0] == [["to", "be"], ["or", "not"], [], ["to", "be"]]
    assert list(document_tokens(as_corpus([text, ["a b"]]))) == [["to", "be", "or", "not", "to", "be"], ["a b"]]
    assert list(document_tokens(as_corpus(tmp_path / "text"))) == read([text])[0]
    model, same = (SkipGram(dim=2, min_count=1).fit(corpus) for corpus in ([text] * 2, [*text.split("\n")] * 2))
    assert (model.vectors.matrix == same.vectors.matrix).all()
    assert (model.transform(["to be", text])[1] == model.transform([text.replace("\n", " ")])).all()


def test_a_document_ends_a_sequence_of_any_unit():
    texts = ["One. Two\nlines.\n\nA para-\ngraph", "", "and more", ["as", "it.", "Is"]]
    expected = {
        "line": [["one", "two"], ["lines"], [], ["a", "para"], ["graph"], [], ["and", "more"]],
        "sentence": [["one"], ["two", "lines"], ["a", "paragraph"], ["and", "more"]],
        "paragraph": [["one", "two", "lines"], ["a", "paragraph"], ["and", "more"]],
        "document": [["one", "two", "lines", "a", "paragraph"], ["and", "more"]],
    }
    for unit, sequences in expected.items():
        found, ledger = read_all(texts, words=True, unit=unit)
        assert found == [*sequences, ["as", "it.", "Is"]]
        by_python = read_all(texts, lowercase=True, unit=unit, token_pattern=r"\w+")[0]
        assert [tokens for tokens in by_python if tokens] == [tokens for tokens in found if tokens]
        corpus = DocumentCorpus(texts, reading=Reading(words=True, unit=unit))
        assert Vocabulary.from_corpus(corpus, min_count=1).ledger.lines == ledger.lines == len(found)


def test_surrogates_of_texts_are_rejected_or_replaced():
    with pytest.raises(ValueError, match=r"item 1 of the corpus: not valid UTF-8: '\\ud800'"):
        read_all(["a", "b \ud800"])
    sequences, ledger = read_all(["a\ud800 b", "\udce4\udcb8 c \udcff", ["\ud800"]], errors="replace")
    assert sequences == [["a\ufffd", "b"], ["\ufffd", "c", "\ufffd"], ["\ufffd"]]
    assert ledger.replaced == 4


@pytest.mark.parametrize(
    ("documents", "message"),
    [("a.jsonl", "got 'a.jsonl'"), (iter(["a"]), "list_iterator"), ({"train": ["a"]}, "a whole dict: .* 'train'")],
)
def test_wrong_arguments_are_rejected(documents, message):
    with pytest.raises(TypeError, match=message):
        DocumentCorpus(documents)
    with pytest.raises(TypeError, match=r"reading must be .*Reading or None, got {'words'"):
        DocumentCorpus(["a"], reading={"words": True})


def test_a_column_that_is_one_str_is_refused():
    with pytest.raises(TypeError, match="a column must be a list, got the str 'the cat'"):
        list(DocumentCorpus({"text": "the cat"}, field="text"))
