"""`Reading`: the same text becomes the same tokens in files and in memory, in one process and in several."""

import functools
import importlib
import json
import re
import subprocess
import sys

import pytest

from fastembed import SkipGram, Vocabulary
from fastembed.corpus import DocumentCorpus, FileCorpus, Ledger, Phrases, Reading
from fastembed.corpus.corpus import as_corpus, document_tokens

alone = pytest.mark.thread_unsafe(reason="starts processes, which would be many")

# Functions of modules that the processes can import
pairs = functools.partial(re.findall, r"\w\w")
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


def test_only_ascii_white_space_separates_tokens_and_lower_case_follows_unicode(read):
    assert read(["a\u00a0b\u3000c\x1cd e\u2028f"])[0] == [["a\u00a0b\u3000c\x1cd", "e\u2028f"]]
    found = read(as_corpus(["The CAT\n\u0391Σ ΣA É İ\n"], Reading(lowercase=True)))[0]
    assert found == [["the", "cat"], ["\u03b1ς", "\u03c3a", "é", "i̇"]]


def test_a_tokenizer_gets_lines_without_their_ends(tmp_path, read):
    path, seen = tmp_path / "text", []
    path.write_bytes(b"The cat,sat\r\n\nX")
    reading = Reading(lowercase=True, tokenizer=lambda line: seen.append(line) or re.split("[ ,]", line))
    assert read(FileCorpus([path], reading=reading))[0] == [["the", "cat", "sat"], [""], ["x"]]
    assert seen == ["the cat,sat", "", "x"]
    with pytest.raises(TypeError, match="what the tokenizer made of 'The cat,sat' is 'The cat,sat', where a list"):
        read(FileCorpus(path, reading=Reading(tokenizer=str)))


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
        ({"words": True, "keep_case": True, "lowercase": True}, ValueError, "keep_case=True contradicts"),
        ({"token_pattern": re.compile("a")}, TypeError, "token_pattern must be a regular expression as a str"),
        ({"token_pattern": "("}, ValueError, r"token_pattern '\(' is not a regular expression"),
        ({"token_pattern": r"\w*"}, ValueError, "token_pattern .* matches the empty string"),
        ({"token_pattern": "a", "tokenizer": str.split}, ValueError, "give token_pattern='a' or tokenizer, not both"),
        ({"errors": "ignore"}, ValueError, "errors must be one of strict, replace, got 'ignore'"),
        ({"tokenizer": "words"}, TypeError, "tokenizer must be a function .* got 'words'"),
        ({"phrases": "new york"}, TypeError, "phrases must be a list of phrases, got 'new york'"),
        ({"processes": 2}, ValueError, "processes=2 needs a tokenizer or a token_pattern"),
        ({"tokenizer": str.split, "processes": 0}, ValueError, "processes must be at least 1, got 0"),
        ({"tokenizer": str.split, "processes": "2"}, TypeError, "processes must be an integer, got '2'"),
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


def test_a_document_that_is_no_str_is_rejected():
    with pytest.raises(TypeError, match="a document must be a str, got b'a'"):
        Reading().sequences(b"a")


def test_a_last_line_without_a_token_is_a_sequence_in_files_and_documents(tmp_path, read):
    options = {"words": True, "digits": "drop"}
    (tmp_path / "text").write_bytes(b"\n7")
    assert Reading(**options).apply(b"\n7") == b"\n\n"
    assert Reading(**options).sequences("\n7") == [[], []]
    assert read(FileCorpus(tmp_path / "text", reading=Reading(**options)))[0] == [[], []]


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


@pytest.mark.parametrize("pattern", [r"\b", "(a)|b", "(a)?b", "(?<=a)", "|a", r"(\d*)x", "()"])
def test_a_pattern_that_matches_the_empty_string_anywhere_is_rejected(pattern):
    with pytest.raises(ValueError, match=r"token_pattern .* matches the empty string, not a token"):
        Reading(token_pattern=pattern)


def test_a_pattern_whose_group_turns_out_to_be_empty_is_an_error_while_text_is_read():
    reading = Reading(token_pattern="(é)|ü")
    assert reading.sequences("é a é") == [["é", "é"]]
    with pytest.raises(ValueError, match=r"'\(é\)\|ü' or its group matches the empty string, .* in 'é ü'$"):
        reading.sequences("é ü")


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


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("".join(f"Line {n} of {n % 13}\n\n" for n in range(5000)), encoding="utf-8")
    return path


@alone
def test_the_result_does_not_depend_on_the_number_of_processes(text):
    for options in (
        {"tokenizer": at_spaces, "lowercase": True},
        {"token_pattern": r"\w+", "phrases": ["Line 7"]},
    ):
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
def test_documents_and_records_are_tokenized_in_processes_and_lists_stay(tmp_path):
    records = [{"text": "ab cd\nef"}, {"text": ["ab cd"]}, {"text": "gh"}] * 2000
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    expected = [["ab", "cd"], ["ef"], ["ab cd"], ["gh"]] * 2000
    options = {"field": "text", "reading": Reading(tokenizer=pairs, processes=2)}
    assert list(DocumentCorpus(records, **options).sequences(Ledger())) == expected
    assert list(FileCorpus(tmp_path / "t.jsonl", **options).sequences(Ledger())) == expected


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


@alone
def test_stopping_early_ends_the_processes(text):
    sequences = FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=2)).sequences(Ledger())
    assert next(sequences) == ["Line", "0", "of", "0"]
    sequences.close()


@alone
def test_a_script_whose_training_is_not_guarded_says_so(tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(
        "from fastembed import Vocabulary\n"
        "from fastembed.corpus import FileCorpus, Reading\n"
        "def words(text):\n    return text.split()\n"
        f"Vocabulary.from_corpus(FileCorpus({str(text)!r}, reading=Reading(tokenizer=words, processes=2)))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, encoding="utf-8", timeout=600, cwd=tmp_path)
    assert done.returncode == 1
    assert "a script may train only below `if __name__ == '__main__':`" in done.stderr


# Modules of tokenizers as the page on them shows, what they need, lines, and their tokens
TOKENIZERS = {
    "spacy": (
        ["spacy"],
        "import spacy\n\nnlp = spacy.blank('en')\n\n\n"
        "def tokens(text):\n    return [token.text for token in nlp(text)]\n",
        ["Dr. Smith doesn't pay $3.50.", "The cat sat."],
        [["Dr.", "Smith", "does", "n't", "pay", "$", "3.50", "."], ["The", "cat", "sat", "."]],
    ),
    "jieba": (
        ["jieba"],
        "import jieba\n\n\ndef tokens(text):\n    return jieba.lcut(text)\n",
        ["我来到北京清华大学", "北京大学在北京"],
        [["我", "来到", "北京", "清华大学"], ["北京大学", "在", "北京"]],
    ),
    "mecab": (
        ["fugashi", "unidic_lite"],
        "import fugashi\n\ntagger = fugashi.Tagger()\n\n\ndef tokens(text):\n"
        "    return [word.surface for word in tagger(text)]\n",
        ["東京都に住んでいます"],
        [["東京", "都", "に", "住ん", "で", "い", "ます"]],
    ),
    "pieces": (
        ["tokenizers"],
        "from pathlib import Path\n\nfrom tokenizers import Tokenizer\n\n"
        "bpe = Tokenizer.from_file(str(Path(__file__).with_name('bpe.json')))\n\n\n"
        "def tokens(text):\n    return bpe.encode(text, add_special_tokens=False).tokens\n",
        ["the low and the lower", "the low"],
        [["the", "low", "and", "the", "lower"], ["the", "low"]],
    ),
}


@alone
@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_of_other_libraries_tokenize_a_corpus_in_this_process_and_in_others(
    name, tmp_path, monkeypatch, read
):
    needed, code, lines, expected = TOKENIZERS[name]
    libraries = [pytest.importorskip(module) for module in needed]
    if name == "pieces":
        (tokenizers,) = libraries
        bpe = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
        bpe.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        bpe.train_from_iterator(lines, tokenizers.trainers.BpeTrainer(vocab_size=60, show_progress=False))
        bpe.save(str(tmp_path / "bpe.json"))
    (tmp_path / f"{name}_tokens.py").write_text(code, encoding="utf-8")
    (tmp_path / "text").write_text("\n".join(lines * 20), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    tokenizer = importlib.import_module(f"{name}_tokens").tokens
    for processes in (1, 2):
        corpus = FileCorpus(tmp_path / "text", reading=Reading(tokenizer=tokenizer, processes=processes))
        assert read(corpus)[0] == expected * 20
    model = SkipGram(dim=2).fit(FileCorpus(tmp_path / "text", reading=Reading(tokenizer=tokenizer)))
    assert set(model.vocabulary) == {token for tokens in expected for token in tokens}
