"""`Reading`: the same text becomes the same tokens in files and in memory."""

import re

import pytest

from fastembed import SkipGram
from fastembed.corpus import FileCorpus, Reading
from fastembed.corpus.documents import split_documents

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
    corpus = FileCorpus(path, **options)
    assert corpus.reading == reading
    sequences = read(corpus)[0]
    assert sequences == reading.sequences(TEXT)
    documents = split_documents([TEXT, "a b"], reading, single=True)
    assert read(documents)[0] == [*sequences, *reading.sequences("a b")]
    assert read(split_documents(str(path), reading))[0] == sequences
    whole = [token for sequence in sequences for token in sequence]
    assert read(split_documents([TEXT], reading, whole=True, single=True))[0] == [whole]


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


def test_a_model_reads_documents_and_files_by_its_reading(tmp_path):
    path, documents = tmp_path / "text", ["The Cat sat", "the cat RAN"]
    path.write_text("\n".join(documents))
    model = SkipGram(dim=2, min_count=1, reading=Reading(lowercase=True))
    for source in (documents, path, FileCorpus(path, lowercase=True)):
        assert sorted(model.fit(source).vectors.tokens) == ["cat", "ran", "sat", "the"]
        assert (model.transform(["THE"]) == model.vectors["the"]).all()
        assert model.perplexity(documents) == model.perplexity(path)
    model.save(tmp_path / "m.safetensors")
    assert SkipGram.load(tmp_path / "m.safetensors").reading is None
    with pytest.raises(TypeError, match=r"reading must be a fastembed\.corpus\.Reading or None, got 'words'"):
        SkipGram(reading="words")
