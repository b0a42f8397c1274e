"""`Reading`: the same text becomes the same tokens in files and in memory, in one process and in several."""

import importlib
import json
import re
import unicodedata

import pytest

from fastembed import SkipGram, Vocabulary
from fastembed.corpus import FileCorpus, Ledger, Phrases, Reading
from fastembed.corpus.corpus import as_corpus, document_tokens

alone = pytest.mark.thread_unsafe(reason="starts processes, which would be many")

at_spaces = re.compile(r"[^ ]+").findall

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
    documents = as_corpus([TEXT, "a b"], reading, single=True)
    assert read(documents)[0] == [*sequences, *reading.sequences("a b")]
    assert read(as_corpus(str(path), reading))[0] == sequences
    whole = [token for sequence in sequences for token in sequence]
    assert list(document_tokens(as_corpus([TEXT], reading, single=True))) == [whole]


def test_only_ascii_white_space_separates_tokens_and_lower_case_follows_unicode(read):
    assert read(["a\u00a0b\u3000c\x1cd e\u2028f"])[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]
    found = read(as_corpus(["The CAT\n\u0391Σ ΣA É İ\n"], Reading(lowercase=True)))[0]
    assert found == [["the", "cat"], ["\u03b1ς", "\u03c3a", "é", "i̇"]]


@pytest.mark.parametrize("word", ["Gärten", "Việt", "ещё", "Ἀθῆναι"])
def test_words_are_the_same_in_each_of_unicodes_normal_forms(word):
    forms = [unicodedata.normalize(form, f"{word} x\n{word}") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    composed = unicodedata.normalize("NFC", word).lower()
    for form in forms:
        assert Reading(words=True).sequences(form) == [[composed, "x"], [composed]]
    assert Reading(words=True).sequences(f"か\u3099 {forms[1]}")[0][:2] == ["か\u3099", composed]  # each by itself
    with pytest.raises(ValueError, match=r"is read as .*, in Unicode's form NFC"):
        Reading(words=True, phrases=[f"a {unicodedata.normalize('NFD', word).lower()}"])
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
        ({"words": True, "digits": "none"}, ValueError, "digits must be one of keep, shape, drop, got 'none'"),
        ({"digits": "drop"}, ValueError, "digits='drop' is an option of words, so it needs words=True"),
        ({"words": True, "tokenizer": str.split}, ValueError, "excludes tokenizer and token_pattern"),
        ({"words": True, "keep_case": True, "lowercase": True}, ValueError, "keep_case=True contradicts"),
        ({"token_pattern": re.compile("a")}, TypeError, "token_pattern must be a regular expression as a str"),
        ({"token_pattern": r"\w*"}, ValueError, "token_pattern .* matches the empty string"),
        ({"token_pattern": r"(\w)\w+"}, ValueError, "has a group, but tokens are whole matches; write .*:"),
        ({"token_pattern": "a", "tokenizer": str.split}, ValueError, "give token_pattern='a' or tokenizer, not both"),
        ({"tokenizer": "words"}, TypeError, "tokenizer must be a function .* got 'words'"),
        ({"phrases": "new york"}, TypeError, "phrases must be a list of phrases, got 'new york'"),
        ({"processes": 2}, ValueError, "processes=2 needs a tokenizer or a token_pattern"),
        ({"tokenizer": lambda text: [], "processes": 2}, TypeError, "picklable for processes=2, .* got <function"),
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


def test_a_pattern_that_turns_out_to_match_nothing_is_an_error_while_text_is_read():
    reading = Reading(token_pattern="é|(?=ü)")
    assert reading.sequences("é a é") == [["é", "é"]]
    with pytest.raises(ValueError, match=r"'é\|\(\?=ü\)' matches the empty string, .* in 'é ü'$"):
        reading.sequences("é ü")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("".join(f"Line {n} of {n % 13}\n\n" for n in range(5000)), encoding="utf-8")
    return path


@alone
def test_the_result_does_not_depend_on_the_number_of_processes(text):
    for options in ({"tokenizer": at_spaces, "lowercase": True}, {"token_pattern": r"\w+", "phrases": ["Line 7"]}):
        results = []
        for processes in (1, 3):
            ledger = Ledger()
            corpus = FileCorpus(text, reading=Reading(processes=processes, **options))
            results.append((list(corpus.sequences(ledger)), ledger))
        assert results[0] == results[1]
        assert (ledger.lines, ledger.empty_lines, ledger.tokens_read) == (10_000, 5000, 20_000 - ("phrases" in options))
    matrices = [
        SkipGram(dim=2).fit(FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=n))).vectors.matrix
        for n in (1, 2)
    ]
    assert (matrices[0] == matrices[1]).all()


@alone
def test_what_a_tokenizer_raises_in_a_process_is_raised_here(text):
    corpus = FileCorpus(text, reading=Reading(tokenizer=json.loads, processes=2))
    with pytest.raises(ValueError, match="Expecting value"):
        Vocabulary.from_corpus(corpus)
    with pytest.raises(TypeError, match="what the tokenizer made of 'Line 0 of 0' is 11, where a list of tokens"):
        Vocabulary.from_corpus(FileCorpus(text, reading=Reading(tokenizer=len, processes=2)))


@alone
def test_a_process_that_ends_is_an_error(text, tmp_path, monkeypatch):
    (tmp_path / "ending.py").write_text("import os\n\ndef end(text):\n    os._exit(3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    end = importlib.import_module("ending").end
    with pytest.raises(RuntimeError, match="a process that runs the tokenizer has ended"):
        Vocabulary.from_corpus(FileCorpus(text, reading=Reading(tokenizer=end, processes=2)))


@pytest.mark.parametrize(("reason", "kind"), [("handle is closed", RuntimeError), ("no more processes", OSError)])
def test_a_process_that_cannot_start_is_an_error(text, monkeypatch, reason, kind):
    def submit(*_):
        raise OSError(reason)

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.submit", submit)
    message = "a process that runs the tokenizer has ended" if kind is RuntimeError else reason
    with pytest.raises(kind, match=message):
        Vocabulary.from_corpus(FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=2)))


@alone
def test_stopping_early_ends_the_processes(text):
    sequences = FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=2)).sequences(Ledger())
    assert next(sequences) == ["Line", "0", "of", "0"]
    sequences.close()


def test_what_is_no_text_is_rejected_or_replaced():
    with pytest.raises(TypeError, match="a document must be a str, got b'a'"):
        Reading().sequences(b"a")
    with pytest.raises(ValueError, match=r"the text 'a\\ud800 b' has no UTF-8 form"):
        Reading(lowercase=True).sequences("a\ud800 b")
    assert Reading(errors="replace").sequences("a\ud800 b")[0][1] == "b"
    with pytest.raises(TypeError, match="a reading must be a record of its options, got"):
        Reading.from_record({"wordz": True})
