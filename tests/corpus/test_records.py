"""Documents in memory: iterables of texts, lists and records, and tables of other libraries."""

import re

import pytest

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import DocumentCorpus, Ledger, Reading
from fastembed.corpus.corpus import as_corpus

TEXTS = ["The cat", None, "sat\non the mat"]
SEQUENCES = [["The", "cat"], ["sat"], ["on", "the", "mat"]]
LISTS = [["new york", "the"], [], ["cat"]]


def pandas_table():
    return pytest.importorskip("pandas").DataFrame({"text": TEXTS, "tokens": LISTS})


def polars_table():
    return pytest.importorskip("polars").DataFrame({"text": TEXTS, "tokens": LISTS})


def arrow_table():
    return pytest.importorskip("pyarrow").table({"text": TEXTS, "tokens": LISTS})


def hugging_face_dataset():
    return pytest.importorskip("datasets").Dataset.from_dict({"text": TEXTS, "tokens": LISTS})


TABLES = [pandas_table, polars_table, arrow_table, hugging_face_dataset]


def read_all(documents, *, field=None, skip_bad=False, **reading):
    ledger = Ledger()
    return list(
        DocumentCorpus(documents, reading=Reading(**reading), field=field, skip_bad=skip_bad).sequences(ledger)
    ), ledger


@pytest.mark.parametrize("make", TABLES)
def test_a_column_of_a_table_holds_texts_or_lists(make):
    table = make()
    for documents, options in ((table, {"field": "text"}), (table["text"], {})):
        sequences, ledger = read_all(documents, skip_bad=True, **options)
        assert (sequences, ledger.skipped) == (SEQUENCES, {"null": 1})
        with pytest.raises(TypeError, match="item 1 of the corpus: null, where a text or a list of tokens is expected"):
            read_all(documents, **options)
    assert read_all(table, field="tokens")[0] == LISTS


def test_two_columns_of_one_name_are_rejected():
    class Table(list):
        columns = ("text", "text")

    with pytest.raises(ValueError, match="the Table has 2 fields 'text'"):
        DocumentCorpus(Table(), field="text")


@pytest.mark.parametrize("make", TABLES)
def test_a_whole_table_is_rejected_and_its_fields_are_named(make):
    table = make()
    kind = type(table).__name__
    with pytest.raises(
        TypeError, match=f"one column of a table, got a whole {kind}: .* takes one of its fields 'text', 'tokens'"
    ):
        DocumentCorpus(table)
    with pytest.raises(TypeError, match=f"got a whole {kind}: .* takes one of its fields 'text', 'tokens'"):
        SkipGram().fit(table)
    with pytest.raises(ValueError, match=f"the {kind} has no field 'txt'; its fields are 'text', 'tokens'"):
        DocumentCorpus(table, field="txt")


def test_a_model_is_fitted_to_columns_as_they_are():
    texts = ["the cat sat", "the dog sat"] * 3
    expected = SkipGram(dim=2, min_count=1).fit(texts)
    for make in (pytest.importorskip("pandas").Series, lambda texts: pytest.importorskip("polars").Series(texts)):
        assert (SkipGram(dim=2, min_count=1).fit(make(texts)).vectors.matrix == expected.vectors.matrix).all()


def test_a_model_is_fitted_to_a_hugging_face_dataset():
    datasets = pytest.importorskip("datasets")
    texts = ["the cat sat", "the dog sat"] * 3
    dataset = datasets.Dataset.from_dict({"text": texts, "id": range(6)})
    expected = SkipGram(dim=2, min_count=1).fit(texts).vectors.matrix
    for documents in (
        dataset["text"],
        DocumentCorpus(dataset, field="text"),
        DocumentCorpus(dataset.to_iterable_dataset(), field="text"),
    ):
        assert (SkipGram(dim=2, min_count=1).fit(documents).vectors.matrix == expected).all()
    with pytest.raises(TypeError, match=r"got a DatasetDict of \['train'\]: pass one of these"):
        DocumentCorpus(datasets.DatasetDict(train=dataset), field="text")
    for documents in (dataset, dataset.to_iterable_dataset()):
        with pytest.raises(TypeError, match=r"one column of a table, .* whole \w*Dataset: .* fields 'text', 'id'"):
            SkipGram().fit(documents)


def test_records_have_a_field():
    records = [{"id": 1, "text": "the cat"}, {"id": 2, "text": ["sat down"]}]
    assert read_all(records, field="text", lowercase=True)[0] == [["the", "cat"], ["sat down"]]
    bad = [*records, {"id": 3}, "text", {"text": 3}, {"text": b"ok"}, {"text": float("nan")}]
    for place, error, message in (
        (2, ValueError, "item 0 of the corpus: no field 'text' among 'id'"),
        (3, TypeError, "item 0 of the corpus: 'text', where a mapping with the field 'text' is expected"),
        (4, TypeError, "item 0 of the corpus: 3, where a text or a list of tokens is expected"),
        (6, TypeError, "item 0 of the corpus: null, where"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            read_all(bad[place : place + 1], field="text")
    sequences, ledger = read_all(bad, field="text", skip_bad=True)
    assert sequences == [["the", "cat"], ["sat down"], ["ok"]]
    assert ledger.skipped == {"no field 'text'": 1, "no record": 1, "no text": 1, "null": 1}


def test_documents_are_read_on_any_number_of_threads_as_a_file_of_them_is(tmp_path):
    texts = [f"The {n} and\n\nthe {n % 7}" for n in range(50_000)]
    (tmp_path / "texts").write_text("\n".join(texts), encoding="utf-8")
    expected = Vocabulary.from_corpus(tmp_path / "texts", min_count=2)
    for threads in (1, 2):
        corpus = DocumentCorpus(texts)
        found = Vocabulary.from_corpus(corpus, min_count=2, threads=threads)
        assert (found.tokens, found.counts.tolist()) == (expected.tokens, expected.counts.tolist())
        counts, same = (Counts.from_corpus(text, found, threads=threads) for text in (corpus, tmp_path / "texts"))
        assert (counts.to_scipy() != same.to_scipy()).nnz == 0
        assert found.ledger.lines == expected.ledger.lines == 150_000


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
        vocabulary = Vocabulary.from_corpus(DocumentCorpus(texts, reading=Reading(words=True, unit=unit)), min_count=1)
        assert vocabulary.ledger.lines == ledger.lines == len(found)


def test_surrogates_are_rejected_or_replaced():
    with pytest.raises(ValueError, match=r"item 1 of the corpus: not valid UTF-8: '\\ud800'"):
        read_all(["a", "b \ud800"])
    sequences, ledger = read_all(["a \ud800", ["\ud800"]], errors="replace")
    assert (sequences, ledger.replaced) == ([["a", "\ufffd"], ["\ufffd"]], 2)


def test_surrogates_are_replaced_alike_in_a_corpus_and_for_a_model():
    texts = ["a\ud800 b", "\udce4\udcb8 c \udcff"]
    found, ledger = read_all(texts, errors="replace")
    assert found == [["a\ufffd", "b"], ["\ufffd", "c", "\ufffd"]]
    assert ledger.replaced == 3
    assert list(as_corpus(texts, Reading(errors="replace")).sequences(Ledger())) == found


def test_any_object_with_columns_is_a_table():
    class Frame:
        columns = ("text", "label")

        def __iter__(self):
            return iter([{"text": "a b"}])

    with pytest.raises(TypeError, match=r"got a whole Frame: .* fields 'text', 'label'"):
        DocumentCorpus(Frame())
    assert read_all(Frame(), field="text")[0] == [["a", "b"]]


def test_progress_is_reported_in_documents():
    seen = []
    list(DocumentCorpus(["a b"] * 3000).sequences(Ledger(), lambda *now: seen.append(now)))
    assert seen == [(0, 3000), (1024, 3000), (2048, 3000), (3000, 3000)]


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [
        ("a.jsonl", {}, "documents in memory are an iterable, got 'a.jsonl'; FileCorpus reads files"),
        (iter(["a"]), {}, "a corpus is read more than once, which a list_iterator does not allow"),
        (7, {}, "a corpus is a path or an iterable of documents, got int: 7"),
        ({"train": ["a"]}, {}, r"documents are an iterable, got a dict of \['train'\]: pass one of these"),
        (["a"], {"field": 3}, "field must be the name of a field, got 3"),
        (["a"], {"skip_bad": 1}, "skip_bad must be True or False, got 1"),
    ],
)
def test_wrong_arguments_are_rejected(documents, options, message):
    with pytest.raises(TypeError, match=message):
        DocumentCorpus(documents, **options)


def test_the_reading_of_documents_is_known():
    assert DocumentCorpus(["a"], reading=Reading(lowercase=True)).reading == Reading(lowercase=True)
