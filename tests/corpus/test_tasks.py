"""Counting tokens by the tasks of an executor: the same counts as in one process, wherever the files are cut."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from fastembed import Vocabulary
from fastembed._base.sizes import SIZES
from fastembed.corpus import FileCorpus, Reading
from fastembed.corpus.tokens import map_tasks


@pytest.fixture
def small_parts(set_constant):
    set_constant(SIZES, "task_bytes", 1 << 12)
    set_constant(SIZES, "block_bytes", 1 << 10)


@pytest.fixture
def texts(tmp_path):
    words = np.random.default_rng(0).zipf(1.3, 20_000).clip(max=3000)
    for name in ("a.txt", "b.txt"):
        lines = "\n".join(" ".join(f"é{word}" for word in line) for line in words.reshape(-1, 40))
        (tmp_path / name).write_text(lines + "\n\n", encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("small_parts")
def test_an_executor_counts_what_one_thread_counts(texts):
    for reading in ({}, {"token_pattern": "[0-9]+"}):
        corpus = FileCorpus(texts, reading=Reading(**reading))
        assert len(corpus.parts(SIZES.task_bytes)) > 5
        expected, reached = Vocabulary.from_corpus(corpus, drop=["é1"]), []
        with ThreadPoolExecutor(2) as executor:
            options = {"drop": ["é1"], "executor": executor}
            found = Vocabulary.from_corpus(corpus, **options, progress=lambda *at, to=reached: to.append(at))
        assert (found.tokens, found.ledger) == (expected.tokens, expected.ledger)
        assert found.counts.tolist() == expected.counts.tolist()
        assert len(reached) > 5
        assert reached[-1] == (expected.ledger.bytes, expected.ledger.bytes)


def test_processes_count_what_one_thread_counts(texts):
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        found = Vocabulary.from_corpus(texts, executor=executor)
    expected = Vocabulary.from_corpus(texts)
    assert (found.tokens, found.ledger) == (expected.tokens, expected.ledger)


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
