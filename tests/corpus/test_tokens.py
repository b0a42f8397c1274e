"""How often each token occurs: in one reading, by tasks of an executor; and lists of tokens."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Vocabulary
from fastembed._base.threads import Pool
from fastembed.corpus import DocumentCorpus, FileCorpus, Ledger, Reading
from fastembed.corpus.corpus import as_corpus
from fastembed.corpus.tasks import map_tasks
from fastembed.corpus.tokens import ENGLISH, check_token_list, count_tokens, number_tokens, rank_tokens, read_token_list
from fastembed.vocabulary import encode_corpus

LINES = ["the cat sat on the mat", "", "the dog", "a  cat\té", "sat"] * 3


def corpora(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return {
        "file": FileCorpus(path),
        "own tokenizer": FileCorpus(path, reading=Reading(tokenizer=str.split)),
        "texts": DocumentCorpus(LINES, reading=Reading(words=True)),
        "lists": as_corpus([*(line.split() for line in LINES), ["new york", ""]]),
        "nothing": as_corpus([]),
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", ["file", "own tokenizer", "texts", "lists", "nothing"])
def test_a_corpus_is_numbered_in_one_reading(tmp_path, kind, threads, set_constant):
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 40)
    corpus, pool, ledgers = corpora(tmp_path)[kind], Pool(threads), [Ledger(), Ledger(), Ledger()]
    numbered = number_tokens(corpus.chunks(ledgers[0]), corpus.reading, ledgers[0], pool)
    words, counts, _ = rank_tokens(numbered.counts(pool), 1, pool)
    tables = count_tokens(corpus.chunks(ledgers[1]), corpus.reading, ledgers[1], pool)
    expected, expected_counts, _ = rank_tokens(tables, 1, pool)
    assert words == expected
    assert_array_equal(counts, expected_counts)
    assert ledgers[0] == ledgers[1]
    for known in (words, words[::2]):
        ids = [[-1]]
        if known:
            ids += encode_corpus(corpus, Vocabulary(known, np.ones(len(known), int)), ledgers[2], None, threads)
        found = numbered.ids(known, pool)
        assert_array_equal(found[found != -2], np.concatenate(ids))  # -2 is a token that is not known


@pytest.fixture
def texts(tmp_path):
    words = np.random.default_rng(0).zipf(1.3, 20_000).clip(max=3000)
    for name in ("a.txt", "b.txt"):
        lines = "\n".join(" ".join(f"é{word}" for word in line) for line in words.reshape(-1, 40))
        (tmp_path / name).write_text(lines + "\n\n", encoding="utf-8")
    return tmp_path


def test_an_executor_counts_what_one_thread_counts(texts, set_constant):
    set_constant("fastembed.corpus.tasks.TASK_BYTES", 1 << 12)
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 1 << 10)
    for reading, one in ({}, "é1"), ({"token_pattern": "[0-9]+"}, "1"):
        corpus = FileCorpus(texts, reading=Reading(**reading))
        assert len(corpus.parts(1 << 12)) > 5
        expected, reached = Vocabulary.from_corpus(corpus, drop=[one]), []
        with ThreadPoolExecutor(2) as executor:
            options = {"drop": [one], "executor": executor}
            found = Vocabulary.from_corpus(corpus, **options, progress=lambda *at, to=reached: to.append(at))
        assert (found.tokens, found.ledger) == (expected.tokens, expected.ledger)
        assert found.counts.tolist() == expected.counts.tolist()
        assert len(reached) > 5
        assert reached[-1] == (expected.ledger.bytes, expected.ledger.bytes)


def test_what_an_executor_cannot_count_is_rejected(texts):
    with pytest.raises(TypeError, match=r"executor must be one of concurrent\.futures, .*, got 3"):
        Vocabulary.from_corpus(texts, executor=3)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="this corpus is in memory"):
            Vocabulary.from_corpus([["a"]], executor=executor)
        (texts / "c.txt").write_bytes(b"a\nb \xff\n")
        with pytest.raises(ValueError, match=r"c\.txt' is not valid UTF-8 at line 2"):
            Vocabulary.from_corpus(texts, executor=executor)


def test_a_task_is_not_answered_by_an_old_result():
    """An executor that keeps results by function and arguments, as Dask does."""

    results, numbers = {}, iter([1, 2])

    def number(task):
        return next(numbers)

    class Keeping:
        def submit(self, function, *arguments):
            key = repr((function, arguments))
            with ThreadPoolExecutor(1) as executor:
                return results.setdefault(key, executor.submit(function, *arguments))

    assert [list(map_tasks(Keeping(), number, ["same"])) for _ in range(2)] == [[1], [2]]


def test_a_list_is_in_order_without_repetitions():
    assert check_token_list("drop", {"b", "a"}) == check_token_list("drop", ["b", "a", "b"]) == ("a", "b")
    assert check_token_list("drop", "english") == ENGLISH == tuple(sorted(set(ENGLISH)))
    for tokens, error in (([], ValueError), ("the", TypeError), (["a", 5], TypeError), (iter(["a"]), TypeError)):
        with pytest.raises(error, match="drop must"):
            check_token_list("drop", tokens)


def test_a_file_has_one_token_per_line_and_a_count_may_follow(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_bytes("\ufeffthe\t7\r\n\n cat \ndé jà\nthe\t1".encode())
    assert read_token_list(path) == ("the", "cat", "dé jà")


@pytest.mark.parametrize(("data", "message"), [(b"", "holds no token"), (b"a\nb\xe9\n", "at line 2")])
def test_a_file_without_tokens_or_of_another_encoding_is_an_error(tmp_path, data, message):
    path = tmp_path / "words.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"words.txt' .*{message}"):
        read_token_list(path)
