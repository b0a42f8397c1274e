"""A tokenizer in several processes: the same tokens, in the same order, and every way to fail."""

import functools
import importlib
import json
import re
import subprocess
import sys

import pytest

from fastembed import SkipGram, Vocabulary
from fastembed.corpus import DocumentCorpus, FileCorpus, Ledger, Reading

pytestmark = pytest.mark.thread_unsafe(reason="starts processes, which would be many")

# Functions of modules that the processes can import
pairs = functools.partial(re.findall, r"\w\w")
at_spaces = re.compile(r"[^ ]+").findall


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("".join(f"Line {n} of {n % 13}\n\n" for n in range(5000)), encoding="utf-8")
    return path


def test_the_result_does_not_depend_on_the_number_of_processes(text):
    for options in ({"tokenizer": at_spaces, "lowercase": True}, {"token_pattern": r"\w+"}):
        results = []
        for processes in (1, 3):
            ledger = Ledger()
            corpus = FileCorpus(text, reading=Reading(processes=processes, **options))
            results.append((list(corpus.sequences(ledger)), ledger))
        assert results[0] == results[1]
        assert (ledger.lines, ledger.empty_lines, ledger.tokens_read) == (10_000, 5000, 20_000)
    matrices = [
        SkipGram(dim=2).fit(FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=n))).vectors.matrix
        for n in (1, 2)
    ]
    assert (matrices[0] == matrices[1]).all()


def test_documents_and_records_are_tokenized_in_processes_and_lists_stay(tmp_path):
    records = [{"text": "ab cd\nef"}, {"text": ["ab cd"]}, {"text": "gh"}] * 2000
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    expected = [["ab", "cd"], ["ef"], ["ab cd"], ["gh"]] * 2000
    options = {"field": "text", "reading": Reading(tokenizer=pairs, processes=2)}
    assert list(DocumentCorpus(records, **options).sequences(Ledger())) == expected
    assert list(FileCorpus(tmp_path / "t.jsonl", **options).sequences(Ledger())) == expected


def test_documents_given_to_a_model_are_tokenized_in_processes():
    texts = [f"word {n % 11} of {n}" for n in range(10_000)] + [["given", "tokens"]] * 5
    models = [SkipGram(dim=2, reading=Reading(tokenizer=at_spaces, processes=n)).fit(texts) for n in (1, 2)]
    assert (models[0].vectors.matrix == models[1].vectors.matrix).all()
    assert models[0].ledger == models[1].ledger
    assert "given" in models[1].vocabulary
    assert (models[0].transform(texts[:9]) == models[1].transform(texts[:9])).all()


def test_what_a_tokenizer_raises_in_a_process_is_raised_here(text):
    corpus = FileCorpus(text, reading=Reading(tokenizer=json.loads, processes=2))
    with pytest.raises(ValueError, match="Expecting value"):
        Vocabulary.from_corpus(corpus)
    with pytest.raises(TypeError, match="what the tokenizer made of 'Line 0 of 0' is 11, where a list of tokens"):
        Vocabulary.from_corpus(FileCorpus(text, reading=Reading(tokenizer=len, processes=2)))


def test_a_process_that_ends_is_an_error(text, tmp_path, monkeypatch):
    (tmp_path / "ending.py").write_text("import os\n\ndef end(text):\n    os._exit(3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    end = importlib.import_module("ending").end
    with pytest.raises(RuntimeError, match="a process that runs the tokenizer has ended"):
        Vocabulary.from_corpus(FileCorpus(text, reading=Reading(tokenizer=end, processes=2)))


def test_stopping_early_ends_the_processes(text):
    sequences = FileCorpus(text, reading=Reading(tokenizer=at_spaces, processes=2)).sequences(Ledger())
    assert next(sequences) == ["Line", "0", "of", "0"]
    sequences.close()


def test_a_tokenizer_that_cannot_be_sent_to_a_process_is_rejected():
    with pytest.raises(TypeError, match=r"tokenizer must be picklable for processes=2, .* got <function .*<lambda>"):
        Reading(tokenizer=lambda text: text.split(), processes=2)
    with pytest.raises(ValueError, match="processes=2 needs a tokenizer or a token_pattern"):
        FileCorpus(__file__, reading=Reading(processes=2))
    with pytest.raises(ValueError, match="processes must be at least 1, got 0"):
        FileCorpus(__file__, reading=Reading(tokenizer=at_spaces, processes=0))
    with pytest.raises(TypeError, match="processes must be an integer, got '2'"):
        FileCorpus(__file__, reading=Reading(tokenizer=at_spaces, processes="2"))


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
