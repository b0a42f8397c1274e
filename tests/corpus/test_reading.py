"""`Reading`: the same text becomes the same tokens in files and in memory."""

import re
import unicodedata

import pytest

from fastembed import SkipGram, Vocabulary
from fastembed.corpus import FileCorpus, Phrases, Reading
from fastembed.corpus.corpus import as_corpus, document_tokens

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
        {"lowercase": True, "token_pattern": "(?<=')s"},
        {"tokenizer": re.compile(r"\S+").findall},
    ],
)
def test_files_and_documents_are_read_alike(tmp_path, read, options):
    path, reading = tmp_path / "text", Reading(**options)
    path.write_bytes(TEXT.encode())
    corpus = FileCorpus(path, reading=reading)
    assert corpus.reading == reading
    sequences = read(corpus)[0]
    assert sequences == reading.sequences(TEXT) == list(corpus) == list(corpus)
    documents = as_corpus([TEXT, "a b"], reading)
    assert read(documents)[0] == [*sequences, *reading.sequences("a b")]
    assert read(as_corpus(str(path), reading))[0] == sequences
    whole = [token for sequence in sequences for token in sequence]
    assert list(document_tokens(as_corpus([TEXT], reading))) == [whole]


def test_only_ascii_white_space_separates_tokens_and_lower_case_follows_unicode(read):
    assert read(["a\u00a0b\u3000c\x1cd e\u2028f"])[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]
    found = read(as_corpus(["The CAT\n\u0391Σ ΣA É İ\n"], Reading(lowercase=True)))[0]
    assert found == [["the", "cat"], ["\u03b1ς", "\u03c3a", "é", "i"]]


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_capital_i_is_that_of_the_locale(form, lowercase):
    """And the form of one word of Turkish is that of another, with a capital and without."""
    text = unicodedata.normalize(form, "İşlem IŞIK \u0131ş\u0131k işlem")
    options = {"lowercase": True} if lowercase and form == "NFC" else {"words": True}
    assert Reading(**options).sequences(text) == [["işlem", "işik", "\u0131ş\u0131k", "işlem"]]
    for locale in ("tr", "az"):
        assert Reading(locale=locale, **options).sequences(text) == [
            ["işlem", "\u0131ş\u0131k", "\u0131ş\u0131k", "işlem"]
        ]
    model = SkipGram(dim=1, min_count=1, window=1, reading=Reading(locale="tr", words=True)).fit([text])
    assert model.vectors.tokens == ("işlem", "\u0131ş\u0131k")
    for wrong in (
        {"locale": "tr"},
        {"locale": "de", "words": True},
        {"locale": "tr", "words": True, "keep_case": True},
    ):
        with pytest.raises(ValueError, match="locale"):
            Reading(**wrong)


@pytest.mark.parametrize("word", ["Gärten", "Việt", "ещё", "Ἀθῆναι"])
def test_words_are_the_same_in_each_of_unicodes_normal_forms(word):
    forms = [unicodedata.normalize(form, f"{word} x\n{word}") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    composed = unicodedata.normalize("NFC", word).lower()
    for form in forms:
        assert Reading(words=True).sequences(form) == [[composed, "x"], [composed]]
    assert Reading(words=True).sequences(f"か\u3099 {forms[1]}")[0][:2] == ["か\u3099", composed]  # each by itself
    assert Reading().sequences(forms[1])[1] == [unicodedata.normalize("NFD", word)]


def test_a_tokenizer_gets_lines_without_their_ends(tmp_path, read):
    path, seen = tmp_path / "text", []
    path.write_bytes(b"The cat,sat\r\n\nX")
    reading = Reading(lowercase=True, tokenizer=lambda line: seen.append(line) or re.split("[ ,]", line))
    assert read(FileCorpus([path], reading=reading))[0] == [["the", "cat", "sat"], [""], ["x"]]
    assert seen == ["the cat,sat", "", "x"]
    with pytest.raises(TypeError, match="what the tokenizer made of 'The cat,sat' is 'The cat,sat', where a list"):
        read(FileCorpus(path, reading=Reading(tokenizer=str)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"words": True, "digits": "none"}, ValueError, "digits must be .* got 'none'"),
        ({"digits": "drop"}, ValueError, "digits='drop'"),
        ({"words": True, "tokenizer": str.split}, ValueError, "contradicts a token_pattern or tokenizer"),
        ({"words": True, "keep_case": True, "lowercase": True}, ValueError, "keep_case=True contradicts"),
        ({"token_pattern": re.compile("a")}, TypeError, "token_pattern must be a regular expression"),
        ({"token_pattern": r"\w*"}, ValueError, "token_pattern .* matches the empty string"),
        ({"token_pattern": r"(\w)\w+"}, ValueError, "has a group"),
        ({"token_pattern": "a", "tokenizer": str.split}, ValueError, "token_pattern='a' or tokenizer"),
        ({"tokenizer": "words"}, TypeError, "tokenizer must be a function .* got 'words'"),
        ({"phrases": "new york"}, TypeError, "phrases must be .* got 'new york'"),
    ],
)
def test_a_bad_reading_is_rejected(options, error, message):
    with pytest.raises(error, match=message):
        Reading(**options)


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


def test_what_is_no_text_is_rejected_or_replaced():
    with pytest.raises(TypeError, match="a document must be a str, got b'a'"):
        Reading().sequences(b"a")
    with pytest.raises(ValueError, match=r"the text 'a\\ud800 b' has no UTF-8 form"):
        Reading(lowercase=True).sequences("a\ud800 b")
    assert Reading(errors="replace").sequences("a\ud800 b")[0][1] == "b"
    with pytest.raises(ValueError, match=r"'é\|\(\?=ü\)' matches the empty string"):  # in this text
        Reading(token_pattern="é|(?=ü)").sequences("é ü")
    with pytest.raises(TypeError, match="a reading must be a record of its options, got"):
        Reading.from_record({"wordz": True})
