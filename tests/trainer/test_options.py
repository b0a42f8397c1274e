"""The checks of numeric arguments of a `Trainer` and its fits."""

import re

import numpy as np
import pytest
from scipy import sparse

from fastembed import Trainer
from fastembed.trainer.inputs import FitOptions

NAN, INF = float("nan"), float("inf")


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape)


numbers = pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("0.1", TypeError, "must be a number, got '0.1'"),
        (b"1", TypeError, "must be a number, got b'1'"),
        (None, TypeError, "must be a number, got None"),
        ([0.1], TypeError, "must be a number, got [0.1]"),
        (1j, TypeError, "must be a number, got 1j"),
        (np.True_, TypeError, "must be a number, got np.True_"),
        (10**400, ValueError, "must be finite and at least 0, got an integer of 1,329 bits"),
        (NAN, ValueError, "must be finite and at least 0, got nan"),
        (INF, ValueError, "must be finite and at least 0, got inf"),
        (-0.1, ValueError, "must be finite and at least 0, got -0.1"),
    ],
)


@numbers
def test_the_loss_scale_is_checked(value, error, text):
    if value is None:
        assert Trainer(floats(4, 3), floats(3, 4), loss_scale=None).loss(0, 0) > 0
        return
    with pytest.raises(error, match=re.escape(f"loss_scale {text}")):
        Trainer(floats(4, 3), floats(3, 5), loss_scale=value)


@numbers
def test_learning_rates_are_checked(trainer, value, error, text):
    for call in (trainer.step, lambda i, **o: trainer.train([i], **o)):
        if value is None:  # the trainer's own
            continue
        with pytest.raises(error, match=re.escape(f"learning_rate {text}")):
            call(0, learning_rate=value)
    for name in ("learning_rate", "linear_learning_rate", "l2"):
        with pytest.raises(error, match=re.escape(f"{name} {text}")):
            trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), **{name: value})


def test_the_optimizer_is_checked(trainer):
    with pytest.raises(ValueError, match="optimizer must be one of adagrad, sgd, got 'adam'"):
        trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), optimizer="adam")


integers = pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (-1, ValueError, "must be at least 1, got -1"),
        (1.5, TypeError, "must be an integer, got 1.5"),
        ("2", TypeError, "must be an integer, got '2'"),
        (None, TypeError, "must be an integer, got None"),
    ],
)


@integers
def test_integer_options_are_checked(trainer, value, error, text):
    with pytest.raises(error, match=re.escape(f"epochs {text}")):
        trainer.train([0], epochs=value)
    limit = "from 1 to 16777216"  # of the rows of a block, whose tasks are numbered
    for name, expected in (("epochs", text), ("block_size", text.replace("at least 1", limit))):
        with pytest.raises(error, match=re.escape(f"{name} {expected}")):
            trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), **{name: value})


def test_validation_counts_are_checked(trainer):
    counts = sparse.csr_array(np.eye(4, 5))
    with pytest.raises(
        ValueError, match=re.escape("validation_counts must have shape (4, 5), inputs by outputs, got (5,")
    ):
        trainer.fit_counts(counts, validation_counts=sparse.eye_array(5))
    with pytest.raises(ValueError, match="n_iter_no_change=2 needs validation_counts"):
        trainer.fit_counts(counts, n_iter_no_change=2)
    with pytest.raises(ValueError, match="n_iter_no_change must be at least 1, got 0"):
        trainer.fit_counts(counts, validation_counts=counts, n_iter_no_change=0)


@numbers
def test_fit_options_check_their_rates(value, error, text):
    with pytest.raises(error, match=re.escape(f"linear_learning_rate {text}")):
        FitOptions(linear_learning_rate=value)


@pytest.mark.parametrize("value", ["no", 1, None])
def test_warm_start_is_checked(trainer, value):
    with pytest.raises(TypeError, match=re.escape(f"warm_start must be True or False, got {value!r}")):
        trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), warm_start=value)


def test_fit_options_are_plain_python_values():
    options = FitOptions(epochs=np.int8(3), learning_rate=np.float32(0.5), warm_start=np.True_, n_iter_no_change=2)
    assert (options.epochs, options.learning_rate, options.warm_start, options.n_iter_no_change) == (3, 0.5, True, 2)
    assert [type(value) for value in (options.epochs, options.learning_rate, options.warm_start)] == [int, float, bool]


def test_a_call_that_is_rejected_keeps_the_sums_for_a_warm_start(trainer):
    counts = sparse.csr_array(np.eye(4, 5))
    trainer.fit_counts(counts, learning_rate=0, linear_learning_rate=0)
    for squares in trainer.squares:
        squares[:] = 7
    with pytest.raises(ValueError, match="block_size must be from 1 to"):
        trainer.fit_counts(counts, block_size=0)
    assert all((squares == 7).all() for squares in trainer.squares)
