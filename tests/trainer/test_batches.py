"""Batches of inputs: their probabilities, and the most probable outputs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Trainer, reference


def test_many_inputs_have_the_probabilities_of_each(library, size, near):
    outputs, dim = size
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(40, dim)).astype(library.dtype)
    linear, bias = rng.normal(size=(dim, outputs)).astype(library.dtype), rng.normal(size=outputs)
    trainer = Trainer(embedding, linear, bias=bias, threads=2)
    ids = rng.integers(40, size=37)
    found = trainer.forward(ids)
    assert found.dtype == library.dtype
    near(found, [reference.softmax(reference.matvec(embedding[i], linear, trainer.bias)) for i in ids], times=20)
    assert_array_equal(Trainer(embedding, linear, bias=bias, threads=1).forward(ids), found)
    few = trainer.forward(ids[:3].tolist())
    assert_array_equal(few, [trainer.forward(i) for i in ids[:3]])
    near(few, found[:3], times=20)


@pytest.mark.parametrize("topn", [1, 3, 50])
def test_predict_gives_the_most_probable_outputs_in_order(set_constant, topn):
    trainer = Trainer.random(9, 4, output_size=20, dtype="float64", seed=0)
    set_constant("fastembed.trainer.batches.BLOCK_LOGITS", 60)  # three inputs at a time
    outputs, probabilities = trainer.predict(range(9), topn)
    p = trainer.forward(range(9))
    assert_array_equal(outputs, np.argsort(-p, axis=1, kind="stable")[:, :topn])
    assert_array_equal(outputs.shape, (9, min(topn, 20)))
    assert probabilities == pytest.approx(np.take_along_axis(p, outputs, axis=1), rel=1e-12)
    one, share = trainer.predict(np.int64(4), topn)
    assert_array_equal(one, outputs[4])
    assert share == pytest.approx(probabilities[4], rel=1e-12)


def test_probabilities_that_do_not_fit_in_memory_are_rejected_before_any_is_computed(monkeypatch):
    trainer = Trainer.random(9, 2, output_size=1000, seed=0)
    ids = np.zeros(100, int)
    monkeypatch.setattr("fastembed._base.memory.free_memory", lambda: 300_000)
    with pytest.raises(MemoryError, match="1,000 probabilities for each of 100 inputs takes about 0 MB"):
        trainer.forward(ids)
    with pytest.raises(MemoryError, match="an answer of 1,000 outputs for each of 100 inputs"):
        trainer.predict(ids, topn=1000)
    assert trainer.forward(ids[:50]).shape == (50, 1000)


def test_equally_probable_outputs_are_in_the_order_of_ids():
    assert_array_equal(Trainer(np.zeros((1, 2)), np.zeros((2, 6))).predict([0], 3)[0], [[0, 1, 2]])


def test_an_overflow_among_many_inputs_names_the_input():
    embedding = np.array([[1.0], [1e200], [1.0]])
    trainer = Trainer(embedding, np.array([[1e200, 1.0]]))
    for inputs, message in (
        ([0, 1, 2] * 9, "a logit of input 1 overflows"),
        ([0, 1], "the loss of input 1 is .*overflow"),
    ):
        with pytest.raises(FloatingPointError, match=f"{message} float64"):
            trainer.forward(inputs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.forward([]), ValueError, "i must have one dimension and at least one id"),
        (lambda t: t.forward([0, 4]), ValueError, r"i must be ids from 0 to 3, but i\[1\] is 4"),
        (lambda t: t.forward([0.5]), TypeError, "i must hold integers, got dtype float64"),
        (lambda t: t.forward(4), ValueError, "i must be from 0 to 3, got 4"),
        (lambda t: t.predict([[0, 4]]), ValueError, r"i\[0\] must be ids from 0 to 3, but i\[0\]\[1\] is 4"),
        (lambda t: t.predict(0, 0), ValueError, "topn must be at least 1, got 0"),
        (lambda t: t.predict(-1), ValueError, "i must be from 0 to 3, got -1"),
    ],
)
def test_wrong_inputs_are_named(trainer, call, error, message):
    with pytest.raises(error, match=message):
        call(trainer)
