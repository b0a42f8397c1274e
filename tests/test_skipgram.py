"""`SkipGram`: what callbacks see, what an interrupted fit leaves."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import SkipGram, TrainingDivergedError, Vectors
from fastembed._blocks import BlockFit
from fastembed.skipgram import FITTED

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


@pytest.fixture
def corpus():
    """Walks on a ring of 30 words."""
    rng = np.random.default_rng(0)
    walks = (rng.integers(30, size=(80, 1)) + np.cumsum(rng.integers(0, 2, size=(80, 12)), axis=1)) % 30
    return [[f"w{step:02d}" for step in walk] for walk in walks]


def state(model):
    """All that a fit sets."""
    return {name: getattr(model, name) for name in FITTED}


def raising(error, epoch):
    """A callback that raises at the end of an epoch."""

    def callback(record, model):
        if record["epoch"] == epoch:
            raise error

    return callback


# ---------------------------------------------------------------- callbacks


def test_a_callback_sees_the_model_after_each_epoch(corpus):
    records, matrices = [], []

    def look(record, seen):
        assert seen is model
        assert seen.history[-1] is record
        assert isinstance(seen.vectors, Vectors)
        assert_array_equal(seen.vectors.matrix, seen.trainer.embedding)
        assert seen.perplexity(corpus) > 1
        assert seen.vectors.most_similar("w03", topn=1)
        records.append(record)
        matrices.append(seen.vectors.matrix)

    model = SkipGram(epochs=3, **SETTINGS)
    assert model.fit(corpus, on_epoch_end=look) is model
    assert records == model.history
    assert_array_equal(matrices[-1], model.vectors.matrix)
    assert (matrices[0] != matrices[1]).any()
    plain = SkipGram(epochs=3, **SETTINGS).fit(corpus)
    assert_array_equal(plain.vectors.matrix, model.vectors.matrix)


def test_a_callback_stops_training(corpus):
    model, seen = SkipGram(epochs=5, **SETTINGS), []
    model.fit(corpus, on_epoch_end=lambda record, model: seen.append(model.vectors.matrix) or record["epoch"] == 2)
    assert [record["epoch"] for record in model.history] == [1, 2]
    assert len(seen) == 2
    assert_array_equal(seen[-1], model.vectors.matrix)


def test_a_callback_is_checked_before_anything_is_read(tmp_path):
    with pytest.raises(TypeError, match="on_epoch_end must be callable, got 7"):
        SkipGram().fit(tmp_path / "missing", on_epoch_end=7)
    with pytest.raises(TypeError, match="on_epoch_end must be callable, got 7"):
        SkipGram().fit_counts(sparse.eye_array(3), on_epoch_end=7)


# ---------------------------------------------------------------- a fit that ends by an exception


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_fit_that_fails_leaves_a_fitted_model_as_it_was(corpus, error):
    model = SkipGram(epochs=2, **SETTINGS).fit(corpus)
    before, matrix = state(model), model.vectors.matrix.copy()
    with pytest.raises(error):
        model.fit(corpus[:20], on_epoch_end=raising(error, 1))
    assert all(getattr(model, name) is value for name, value in before.items())
    assert len(model.history) == 2
    assert_array_equal(model.vectors.matrix, matrix)
    assert_array_equal(model.trainer.embedding, matrix)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_first_fit_that_fails_keeps_what_was_learned(corpus, error):
    model = SkipGram(epochs=3, **SETTINGS)
    with pytest.raises(error):
        model.fit(corpus, on_epoch_end=raising(error, 2))
    assert len(model.history) == 2
    stopped = SkipGram(epochs=3, **SETTINGS).fit(corpus, on_epoch_end=lambda record, _: record["epoch"] == 2)
    assert_array_equal(model.vectors.matrix, stopped.vectors.matrix)
    assert model.perplexity(corpus) == stopped.perplexity(corpus)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_an_epoch_that_fails_half_way(corpus, monkeypatch, fitted, error):
    """By a Ctrl-C, or by parameters that are no longer finite."""
    model = SkipGram(epochs=3, **SETTINGS)
    if fitted:
        model.fit(corpus[::2])
        before, matrix = state(model), model.vectors.matrix.copy()
    original, step = BlockFit._step, []

    def fail(self, rows, fall, number):
        step.append(number)
        nll = original(self, rows, fall, number)
        if number == 2:
            if error is not None:
                raise error
            self._embedding[0] = np.inf
        return nll

    monkeypatch.setattr(BlockFit, "_step", fail)
    with pytest.raises(error or TrainingDivergedError) as caught:
        model.fit(corpus)
    assert step == [1, 2]
    if error is None:
        assert (caught.value.epoch, caught.value.block) == (2, None)
    if fitted:
        assert all(getattr(model, name) is value for name, value in before.items())
        assert_array_equal(model.vectors.matrix, matrix)
    else:
        assert [record["epoch"] for record in model.history] == [1]
        assert_array_equal(model.vectors.matrix, model.trainer.embedding)
    monkeypatch.undo()
    assert model.perplexity(corpus) > 1
