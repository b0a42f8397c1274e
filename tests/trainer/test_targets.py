"""Targets in every form, and the checks of them: the type of the error, the value in its message."""

import copy
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer
from fastembed.trainer.inputs import Targets, check_targets

NAN, INF = float("nan"), float("inf")


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (5, ValueError, "target must be from 0 to 4, got 5"),
        (-1, ValueError, "target must be from 0 to 4, got -1"),
        (np.int64(5), ValueError, "target must be from 0 to 4, got 5"),
        (2.0, TypeError, "target must be an integer, got 2.0"),
        ("word", TypeError, "target must be an integer, got 'word'"),
        ([1.0] * 4, ValueError, "target must be an id or have shape (5,), got shape (4,)"),
        (np.ones((1, 5)), ValueError, "target must be an id or have shape (5,), got shape (1, 5)"),
        (sparse.csr_array(np.ones((2, 5))), ValueError, "target must have shape (1, 5), got (2, 5)"),
        ([1, 0, -0.5, 0, 0], ValueError, "target must be non-negative, but target[0, 2] is -0.5"),
        ([1, 0, NAN, 0, 0], ValueError, "target must be finite, but target[0, 2] is nan"),
        ([1, INF, 0, 0, 0], ValueError, "target must be finite, but target[0, 1] is inf"),
        ([0] * 5, ValueError, "target must have a positive weight in each row, but row 0 has none"),
        (["a"] * 5, TypeError, "target must hold real numbers, got dtype <U1"),
        ([1j] * 5, TypeError, "target must hold real numbers, got dtype complex128"),
        (sparse.csr_array([[0, -1.0, 2, 0, 0]]), ValueError, "target must be non-negative, but target[0] is -1.0"),
    ],
)
def test_a_target_is_checked(trainer, target, error, message):
    for call in (trainer.loss, trainer.gradient, trainer.step):
        with pytest.raises(error, match=re.escape(message)):
            call(1, target)


def test_loss_requires_a_target(trainer):
    with pytest.raises(TypeError, match="target must be an integer, got None"):
        trainer.loss(1, None)


def test_an_input_that_is_not_an_output_needs_a_target():
    trainer = Trainer(floats(4, 3), floats(3, 2))
    with pytest.raises(ValueError, match=re.escape("target must be from 0 to 1, got 3")):
        trainer.step(3)
    with pytest.raises(ValueError, match=re.escape("targets must be ids from 0 to 1, but targets[1] is 3")):
        trainer.train([0, 3])


def hidden_negative(rows):
    """A COO array whose negative entry disappears when equal entries are added up."""
    return sparse.coo_array(([3.0, -1.0], ([0, 0], [2, 2])), shape=(rows, 5))


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "message"),
    [
        ([0, 4], None, ValueError, "inputs must be ids from 0 to 3, but inputs[1] is 4"),
        ([0, 1, -1], None, ValueError, "inputs must be ids from 0 to 3, but inputs[2] is -1"),
        ([0.0], None, TypeError, "inputs must hold integers, got dtype float64"),
        ([True], None, TypeError, "inputs must hold integers, got dtype bool"),
        ("01", None, TypeError, "inputs must hold integers, got dtype <U2"),
        ([[0, 1]], None, ValueError, "inputs that are bags need targets"),
        (np.zeros(0, int), None, ValueError, "inputs must have one dimension and at least one id, got shape (0,)"),
        ([], None, ValueError, "inputs must have one dimension and at least one id, got shape (0,)"),
        (3, None, ValueError, "inputs must have one dimension and at least one id, got shape ()"),
        ([0, 1], [0], ValueError, "targets must be as many as inputs, 2, got 1"),
        ([0, 1], [0, 5], ValueError, "targets must be ids from 0 to 4, but targets[1] is 5"),
        ([0, 1], [0.0, 1.0], TypeError, "targets must hold integers, got dtype float64"),
        ([0, 1], np.ones((2, 4)), ValueError, "targets must have shape (2, 5), got (2, 4)"),
        ([0, 1], np.ones((1, 5)), ValueError, "targets must have shape (2, 5), got (1, 5)"),
        ([0, 1], sparse.eye_array(5), ValueError, "targets must have shape (2, 5), got (5, 5)"),
        ([0, 1], np.eye(2, 5) - 1, ValueError, "targets must be non-negative, but targets[0, 1] is -1.0"),
        ([0, 1], [[1, 0, 0, 0, 0], [0] * 5], ValueError, "targets must have a positive weight in each row, but row 1"),
        ([0, 1], 7, ValueError, "targets must have shape (2, 5), got ()"),
        ([0], hidden_negative(1), ValueError, "targets must be non-negative, but targets[1] is -1.0"),
    ],
)
def test_inputs_and_targets_are_checked(trainer, inputs, targets, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trainer.train(inputs, targets)


def test_the_ids_inside_a_sparse_target_are_checked(trainer):
    target = sparse.csr_array([[0, 1.0, 0, 0, 0]])
    target.indices[0] = 1_000_000
    message = "target.indices must be ids from 0 to 4, but target.indices[0] is 1000000"
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer.step(0, target)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i1", "u8", "?"])
def test_a_dense_target_may_have_any_real_dtype(dtype):
    trainer = Trainer(floats(4, 3), floats(3, 5))
    y = np.array([0, 1, 1, 0, 1], dtype)
    assert trainer.loss(0, y) == pytest.approx(sum(trainer.loss(0, c) for c in (1, 2, 4)))


def test_a_row_of_targets_is_a_view():
    targets = check_targets(np.array([[1.0, 0, 2], [0, 3, 0], [0, 0, 4]]), 3, 3)
    for n, (columns, amounts) in enumerate([([0, 2], [1, 2]), ([1], [3]), ([2], [4])]):
        row = targets.row(n)
        assert_array_equal(row.starts, [0, len(columns)])
        assert_array_equal(row.columns, columns)
        assert_array_equal(row.amounts, amounts)
        assert np.shares_memory(row.columns, targets.columns)
        assert np.shares_memory(row.amounts, targets.amounts)
        assert row.starts.dtype == np.int64


def test_one_hot_targets_have_weight_one():
    targets = Targets.one_hot([4, 0])
    for found, expected in zip(targets, ([0, 1, 2], [4, 0], [1, 1]), strict=True):
        assert_array_equal(found, expected)
    assert [part.dtype for part in targets] == [np.int64, np.int32, np.float64]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32"])
def test_equal_entries_of_a_target_are_summed_in_double(dtype):
    trainer = Trainer.random(2, 3, seed=0, dtype="float64")
    weight = {"bool": 1, "int32": 2**31 - 1}.get(dtype, 5)
    entries = np.full(60, weight, dtype), (np.zeros(60, int), np.ones(60, int))
    target, counts = (sparse.coo_array(entries, shape=shape) for shape in ((1, 2), (2, 2)))
    assert trainer.loss(0, target) == trainer.loss(0, [0, 60.0 * weight])
    assert trainer.nll(counts) == trainer.nll(sparse.csr_array([[0, 60.0 * weight], [0, 0]]))
    twin = copy.deepcopy(trainer)
    assert trainer.train([0], target, learning_rate=1e-9) == twin.train([0], [[0, 60.0 * weight]], learning_rate=1e-9)
    trainer.fit_counts(counts, epochs=1)
    twin.fit_counts(sparse.csr_array([[0, 60.0 * weight], [0, 0]]), epochs=1)
    assert_array_equal(trainer.embedding, twin.embedding)


def test_masked_arrays_are_rejected_as_ids_targets_and_parameters():
    trainer = Trainer.random(2, 3, seed=0)
    ids, numbers = np.ma.array([0, 1], mask=[True, False]), np.ma.array([1.0, np.nan], mask=[False, True])
    calls = [
        lambda: trainer.train(ids),
        lambda: trainer.train([0, 1], ids),
        lambda: trainer.train([0], numbers[None]),
        lambda: trainer.loss(0, numbers),
        lambda: trainer.step(0, numbers),
        lambda: trainer.fit_counts(sparse.eye_array(2), frozen_rows=ids),
        lambda: trainer.fit_counts(sparse.eye_array(2), frozen_rows=ids[:0]),
        lambda: Trainer(np.eye(2), np.eye(2), bias=numbers),
        lambda: trainer.grown(np.ma.zeros((1, 3), "f4")),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"mask|got MaskedArray"):
            call()
