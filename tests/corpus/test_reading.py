"""`Reading`: the same text becomes the same tokens in files and in memory."""

import json
import re

import pytest

from fastembed import SkipGram
from fastembed.corpus import DocumentCorpus, FileCorpus, Phrases, Reading
from fastembed.corpus.corpus import as_corpus, document_tokens
from fastembed.vocabulary import Vocabulary

TEXT = "The cat's CAT,\r\n\nÉtienne sat\u00a0down.\nend"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": True},
        {"words": True},
        {"words": True, "keep_case": True, "digits": "shape", "unit": "paragraph"},
        {"unit": "document", "lowercase": True},
        {"unit": "sentence", "token_pattern": r"\w+"},
        {"token_pattern": r"\w+"},
        {"lowercase": True, "token_pattern": "'(s)"},
        {"tokenizer": re.compile(r"\S+").findall},
    ],
)
def test_files_and_documents_are_read_alike(tmp_path, read, options):
    path, reading = tmp_path / "text", Reading(**options)
    path.write_bytes(TEXT.encode())
    corpus = FileCorpus(path, reading=reading)
    assert corpus.reading == reading
    sequences = read(corpus)[0]
    assert sequences == reading.sequences(TEXT)
    documents = as_corpus([TEXT, "a b"], reading, single=True)
    assert read(documents)[0] == [*sequences, *reading.sequences("a b")]
    assert read(as_corpus(str(path), reading))[0] == sequences
    whole = [token for sequence in sequences for token in sequence]
    assert list(document_tokens(as_corpus([TEXT], reading, single=True))) == [whole]


def test_a_text_without_utf8_form_is_an_error_or_replaced():
    with pytest.raises(ValueError, match=r"the text 'a\\ud800 b' has no UTF-8 form"):
        Reading(lowercase=True).sequences("a\ud800 b")
    assert Reading(errors="replace").sequences("a\ud800 b")[0][1] == "b"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lowercase": 1}, TypeError, "lowercase must be True or False, got 1"),
        ({"unit": "page"}, ValueError, "unit must be one of line, paragraph, sentence, document, got 'page'"),
        ({"words": True, "digits": "none"}, ValueError, "digits must be one of keep, shape, drop, got 'none'"),
        ({"digits": "drop"}, ValueError, "digits='drop' is an option of words, so it needs words=True"),
        ({"keep_case": True}, ValueError, "keep_case=True is an option of words"),
        ({"words": True, "tokenizer": str.split}, ValueError, "excludes tokenizer and token_pattern"),
        (
            {"words": True, "keep_case": True, "lowercase": True},
            ValueError,
            "keep_case=True contradicts lowercase=True",
        ),
        ({"token_pattern": re.compile("a")}, TypeError, "token_pattern must be a regular expression as a str"),
        ({"token_pattern": "("}, ValueError, r"token_pattern '\(' is not a regular expression"),
        ({"token_pattern": r"\w*"}, ValueError, "token_pattern .* matches the empty string"),
        ({"token_pattern": "a", "tokenizer": str.split}, ValueError, "give token_pattern='a' or tokenizer, not both"),
    ],
)
def test_a_bad_reading_is_rejected(options, error, message):
    with pytest.raises(error, match=message):
        Reading(**options)


@pytest.mark.parametrize("options", [{"words": True}, {"unit": "sentence"}, {"lowercase": True}, {}])
def test_bytes_that_are_not_utf8_are_rejected_before_they_are_read(options):
    for text in (b"\xf7\xbf\xbf\xbf", b"a-\n\xf0"):
        with pytest.raises(ValueError, match=r"the text b'.*' is not valid UTF-8"):
            Reading(**options).apply(text)


def test_a_document_that_is_no_str_is_rejected():
    with pytest.raises(TypeError, match="a document must be a str, got b'a'"):
        Reading().sequences(b"a")


def test_a_last_line_without_a_token_is_a_sequence_in_files_and_documents(tmp_path, read):
    options = {"words": True, "digits": "drop"}
    (tmp_path / "text").write_bytes(b"\n7")
    assert Reading(**options).apply(b"\n7") == b"\n\n"
    assert Reading(**options).sequences("\n7") == [[], []]
    assert read(FileCorpus(tmp_path / "text", reading=Reading(**options)))[0] == [[], []]


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_an_empty_document_is_the_same_for_a_model_and_a_corpus(read, unit):
    documents = ["a b", "", "c d"]
    options = {"words": True, "unit": unit}
    assert read(as_corpus(documents, Reading(**options)))[0] == [["a", "b"], [], ["c", "d"]][
        : 3 if unit == "line" else 1
    ] + [["c", "d"]] * (unit != "line")


def test_a_model_reads_documents_and_files_by_its_reading(tmp_path):
    path, documents = tmp_path / "text", ["The Cat sat", "the cat RAN"]
    path.write_text("\n".join(documents), encoding="utf-8")
    model = SkipGram(dim=2, min_count=1, reading=Reading(lowercase=True))
    for source in (documents, path, FileCorpus(path, reading=Reading(lowercase=True))):
        assert sorted(model.fit(source).vectors.tokens) == ["cat", "ran", "sat", "the"]
        assert (model.transform(["THE"]) == model.vectors["the"]).all()
        assert model.perplexity(documents) == model.perplexity(path)
    model.save(tmp_path / "m.safetensors")
    assert SkipGram.load(tmp_path / "m.safetensors").reading == Reading(lowercase=True)
    with pytest.raises(TypeError, match=r"reading must be a fastembed\.corpus\.Reading or None, got 'words'"):
        SkipGram(reading="words").fit(documents)


@pytest.mark.parametrize(
    "options",
    [{}, {"words": True}, {"words": True, "unit": "paragraph"}, {"token_pattern": r"\w+"}, {"tokenizer": str.split}],
)
def test_phrases_are_joined_in_files_and_documents_after_all_else(tmp_path, read, options):
    path, text = tmp_path / "text", "In NEW  York,\nnew\nyork new york\tin the new york\r\n"
    path.write_bytes(text.encode())
    phrases = ["new york", "new york in the"]
    reading = Reading(lowercase=True, phrases=phrases, **options)
    assert reading == Reading(lowercase=True, phrases=Phrases(phrases), **options)
    expected = [Phrases(phrases).join(tokens) for tokens in Reading(lowercase=True, **options).sequences(text)]
    assert "new_york_in_the" in expected[-1]
    assert reading.sequences(text) == expected
    assert read(FileCorpus(path, reading=reading))[0] == expected
    counted = [Vocabulary.from_corpus(as_corpus(source, reading), 1) for source in ([text], path)]
    assert counted[0].tokens == counted[1].tokens
    assert set(counted[0].tokens) == {token for tokens in expected for token in tokens}


def test_a_list_of_one_phrase_that_is_a_str_is_rejected():
    with pytest.raises(TypeError, match="phrases must be a list of phrases, got 'new york'"):
        Reading(phrases="new york")


@pytest.mark.parametrize("pattern", [r"\b", "(a)|b", "(a)?b", "(?<=a)", "|a", r"(\d*)x", "()"])
def test_a_pattern_that_matches_the_empty_string_anywhere_is_rejected(pattern):
    with pytest.raises(ValueError, match=r"token_pattern .* matches the empty string, not a token"):
        Reading(token_pattern=pattern)


def test_a_pattern_whose_group_turns_out_to_be_empty_is_an_error_while_text_is_read():
    reading = Reading(token_pattern="(é)|ü")
    assert reading.sequences("é a é") == [["é", "é"]]
    with pytest.raises(ValueError, match=r"'\(é\)\|ü' or its group matches the empty string, .* in 'é ü'$"):
        reading.sequences("é ü")


def test_the_phrases_of_a_reading_can_be_kept_as_json():
    reading = Reading(phrases=["new york", "bank of america"])
    kept = json.dumps(list(reading.phrases))
    assert Reading(phrases=json.loads(kept)) == reading


def test_phrases_are_joined_in_the_texts_of_records_and_lists_stay_as_they_are(tmp_path, read):
    path, listed = tmp_path / "data.jsonl", ["new", "york", "a b"]
    records = [{"text": "In new york\nnew\tyork"}, {"text": listed}, {"text": "york new york"}]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    expected = [["In", "new_york"], ["new_york"], listed, ["york", "new_york"]]
    options = {"field": "text", "reading": Reading(phrases=["new york"])}
    assert read(FileCorpus(path, **options))[0] == expected
    assert read(DocumentCorpus(records, **options))[0] == expected
    corpora = (FileCorpus(path, field="text"), DocumentCorpus(records, field="text"))
    found = [Phrases.from_corpus(corpus, 2) for corpus in corpora]
    assert found[0] == found[1]
    assert ("new", "york") in found[0].phrases


def test_phrases_are_joined_after_a_pattern_in_processes(tmp_path, read):
    (tmp_path / "text").write_text("In New York, new york!\n" * 50, encoding="utf-8")
    options = {"lowercase": True, "token_pattern": r"\w+", "phrases": ["new york"]}
    one, two = (read(FileCorpus(tmp_path / "text", reading=Reading(processes=n, **options)))[0] for n in (1, 2))
    assert one == two == [["in", "new_york", "new_york"]] * 50
