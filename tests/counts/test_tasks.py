"""Counting by executors of every kind: the bytes of the store that one thread writes, also when a worker is lost."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from fastembed import Counts, Vocabulary
from fastembed.corpus import LineSplit
from fastembed.counts import tasks as counting

WINDOWS = {"window": 3, "sample": 1e-3, "directed": True, "max_contexts": 900}


def files_of(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Two files of 20,000 tokens each; one has an empty line and no final newline, and one is compressed."""
    folder = tmp_path_factory.mktemp("texts")
    words = np.random.default_rng(0).zipf(1.2, 40_000).clip(max=3000)
    lines = [" ".join(f"w{word}" for word in line) for line in words.reshape(-1, 40)]
    (folder / "a.txt").write_text("\n\n".join(lines[:500]), encoding="utf-8")
    (folder / "b.txt").write_text("\n".join(lines[500:]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def vocabulary(texts):
    return Vocabulary.from_corpus(texts, min_count=2)


@pytest.fixture
def small_passages(set_constant):
    """Several groups of rows and, in this process, several parts."""
    set_constant("fastembed.corpus.tasks.TASK_BYTES", 1 << 14)
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 1 << 10)
    set_constant("fastembed.counts.groups.GROUP_ROWS", 300)


@pytest.mark.usefixtures("small_passages")
@pytest.mark.parametrize("options", [WINDOWS, {"window": 2, "weighting": "harmonic"}])
@pytest.mark.parametrize("memory_limit", [10**6, 10**8])
def test_threads_count_the_bytes_of_one(texts, vocabulary, tmp_path, options, memory_limit, set_constant):
    set_constant("fastembed.counts.groups.SHARD_COLUMNS", 64)  # of which there are several in a tile of a passage
    reached = []
    alone = Counts.from_corpus(texts, vocabulary, **options, store=tmp_path / "a")
    with ThreadPoolExecutor(3) as executor:
        how = {"memory_limit": memory_limit, "progress": lambda *at: reached.append(at)}
        stored = Counts.from_corpus(texts, vocabulary, **options, **how, executor=executor, store=tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert (stored.ledger, Counts.open(tmp_path / "b").vocabulary.reading) == (alone.ledger, vocabulary.reading)
    assert stored.ledger.tokens_read == stored.ledger.tokens_used + sum(stored.ledger.dropped.values())
    assert len(reached) > 5
    assert reached[-1] == (2 * stored.ledger.bytes, 2 * stored.ledger.bytes)


@pytest.mark.usefixtures("small_passages")
def test_a_task_that_is_done_twice_changes_nothing(texts, vocabulary, tmp_path):
    class Twice(ThreadPoolExecutor):
        def submit(self, function, *arguments):
            super().submit(function, *arguments)
            return super().submit(function, *arguments)

    Counts.from_corpus(texts, vocabulary, **WINDOWS, store=tmp_path / "a")
    with Twice(2) as executor:
        Counts.from_corpus(texts, vocabulary, **WINDOWS, executor=executor, store=tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def kill_worker(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_worker_that_the_executor_cannot_replace_leaves_the_store_that_was_there(
    texts, vocabulary, tmp_path, set_constant
):
    Counts.from_corpus(texts, vocabulary, window=1, store=tmp_path / "a")
    before = files_of(tmp_path / "a")
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        set_constant(counting, "_add_group", kill_worker)
        with pytest.raises(BrokenProcessPool):
            Counts.from_corpus(texts, vocabulary, **WINDOWS, executor=executor, store=tmp_path / "a")
    assert files_of(tmp_path / "a") == before


def test_what_cannot_be_counted_by_tasks_is_rejected(texts, vocabulary, tmp_path):
    with ThreadPoolExecutor(1) as executor:
        count = partial(Counts.from_corpus, texts, executor=executor)
        for wrong in ({}, {"store": tmp_path / "a", "lines": LineSplit(0.5, 1, True)}):
            with pytest.raises(ValueError, match="an executor needs a store to count into and a Vocabulary"):
                count(vocabulary, **wrong)
        with pytest.raises(TypeError, match="this corpus is in memory"):
            Counts.from_corpus([["w1"]], vocabulary, executor=executor, store=tmp_path / "a")
        with pytest.raises(TypeError, match=r"executor must be one of concurrent\.futures"):
            Counts.from_corpus(texts, vocabulary, executor="dask", store=tmp_path / "a")
        with pytest.raises(ValueError, match="no token"):
            count(Vocabulary(["never"], [1]), store=tmp_path / "a")
    assert not (tmp_path / "a").exists()


# ---------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def distributed():
    return pytest.importorskip("distributed", reason="needs the extra [dask]")


def run_with_small_groups(client):
    """Set the constants of `small_passages` in the workers, which do not know this file."""

    def set_constants():
        from fastembed.corpus import chunks
        from fastembed.counts import groups

        groups.GROUP_ROWS, chunks.CHUNK_BYTES = 300, 1 << 10

    client.run(set_constants)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.thread_unsafe(reason="starts processes")
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_cluster_whose_worker_is_killed_counts_the_bytes_of_one(
    distributed, texts, vocabulary, tmp_path, small_passages
):
    Counts.from_corpus(texts, vocabulary, **WINDOWS, store=tmp_path / "a")
    subprocesses = pytest.importorskip("distributed.deploy.subprocess").SubprocessCluster
    lost = {"worker_class": "distributed.Worker", "threads_per_worker": 1}  # nothing starts another in its place
    with subprocesses(n_workers=2, dashboard_address=":0", **lost) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=600)
        run_with_small_groups(client)
        killed, worker = [], cluster.workers[0].process

        def kill_one(done, total):
            if not killed and done < total:
                killed.append(done)
                os.kill(worker.pid, signal.SIGKILL)

        executor = client.get_executor()
        found = Vocabulary.from_corpus(texts, min_count=2, executor=executor)
        assert (found.tokens, found.ledger) == (vocabulary.tokens, vocabulary.ledger)
        Counts.from_corpus(texts, found, **WINDOWS, executor=executor, store=tmp_path / "b", progress=kill_one)
        assert killed
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
