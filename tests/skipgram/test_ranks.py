"""`SkipGram.fit` to counts by several ranks: the model of one process on all of them."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, SkipGram


@pytest.fixture(scope="module")
def counted():
    """Counts of 1,200 words on both sides, four shards, and of other lines with the same words."""
    rng = np.random.default_rng(0)
    words = [[f"w{word}x" for word in line] for line in np.minimum(rng.zipf(1.2, size=(200, 40)), 1200)]
    every = [[f"w{word}x" for word in line] for line in np.arange(1, 1201).reshape(30, 40)]
    model = SkipGram(min_count=1, window=3, max_contexts=None)
    counts = model.count(words + every)
    return counts, Counts.from_corpus(words[::2], counts.vocabulary, **asdict(counts.windows))


def parts(model):
    return [
        model.vectors.matrix.tobytes(),
        model.trainer.linear.tobytes(),
        model.centre_.tobytes(),
        model.history,
    ]


@pytest.mark.parametrize("options", [{}, {"subwords": True}, {"early_stopping": True, "epochs": 9}])
@pytest.mark.parametrize("stored", [False, True])
def test_all_ranks_end_with_the_model_of_one_process(on_ranks, counted, tmp_path, options, stored):
    counts, held_out = counted
    held_out = held_out if "early_stopping" in options else None
    options = {"dim": 4, "epochs": 2, "threads": 2} | options
    alone = SkipGram(**options).fit(counts, validation_counts=held_out)
    given = counts
    if stored:
        counts.save(tmp_path / "a.counts")
        given = Counts.open(tmp_path / "a.counts")
    for size in (2, 3):

        def fit(comm):
            return parts(SkipGram(**options).fit(given, validation_counts=held_out, comm=comm))

        assert on_ranks(size, fit) == [parts(alone)] * size


@pytest.mark.parametrize("stored", [False, True])
def test_ranks_whose_words_differ_are_named(on_ranks, tmp_path, stored):
    matrix, tokens = sparse.eye_array(1200).tocsr(), [f"w{word}" for word in range(1200)]
    given = [Counts.from_scipy(matrix, tokens=names) for names in (tokens, tokens[::-1])]
    if stored:
        for number, counts in enumerate(given):
            counts.save(tmp_path / str(number))
        given = [Counts.open(tmp_path / str(number)) for number in range(2)]

    def fit(comm):
        return SkipGram(dim=4, epochs=1, threads=1).fit(given[comm.Get_rank()], comm=comm)

    for error in on_ranks(2, fit):
        assert isinstance(error, ValueError)
        assert "rank 1 on" in str(error)
        assert " has words " in str(error)
