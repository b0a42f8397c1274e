"""The checks of all arguments of a `Trainer`: the type of the error, its message, and that nothing was changed."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram, Trainer

NAN, INF = float("nan"), float("inf")
COUNTS = sparse.csr_array(np.eye(4, 5))


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape)


def read_only(array):
    array.flags.writeable = False
    return array


def with_value(value, *place, shape=(4, 3)):
    array = floats(*shape)
    array[place] = value
    return array


def with_an_id_beyond():
    """A CSR array that SciPy has not checked."""
    matrix = COUNTS.copy()
    matrix.indices = np.array([0, 5, 1, 2])
    return matrix


def hidden_negative(rows):
    """A COO array whose negative entry disappears when equal entries are added up."""
    return sparse.coo_array(([3.0, -1.0], ([0, 0], [2, 2])), shape=(rows, 5))


@pytest.fixture
def trainer():
    """With 4 inputs, 3 dimensions and 5 outputs, and sums of squares; the calls of a test must not change it."""
    trainer = Trainer(floats(4, 3).astype("f4"), floats(3, 5).astype("f4"), threads=1)
    for squares in trainer.squares:
        squares[:] = 7
    arrays = trainer.embedding, trainer.linear, *trainer.squares
    before = [array.copy() for array in arrays]
    yield trainer
    for array, old in zip(arrays, before, strict=True):
        assert_array_equal(array, old)


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"embedding": [[1.0, 2.0]]}, TypeError, "embedding must be a plain NumPy array, got list"),
        ({"embedding": floats(3)}, ValueError, "embedding must have 2 dimensions (V_in, D), got shape (3,)"),
        ({"embedding": with_value(NAN, 2, 1)}, ValueError, "embedding must be finite, but embedding[2, 1] is nan"),
        ({"embedding": np.asfortranarray(floats(4, 3))}, ValueError, "embedding must be C-contiguous"),
        ({"embedding": read_only(floats(4, 3))}, ValueError, "embedding is read-only"),
        ({"linear": floats(3, 5).astype("f4")}, TypeError, "linear is float32, but embedding is float64: both must"),
        ({"linear": floats(5, 3)}, ValueError, "linear must have shape (D, V) with D = 3 as in embedding (4, 3), got"),
        ({"bias": floats(4)}, ValueError, "bias must have shape (5,), one for each output, got (4,)"),
        (
            {"embedding": floats(4, 3).astype("f4"), "linear": floats(3, 2).astype("f4"), "bias": [0.0, 1e39]},
            ValueError,
            "bias must be finite, but bias[1] is inf",
        ),
        ({"learning_rate": -1}, ValueError, "learning_rate must be finite and at least 0, got -1"),
    ],
)
def test_parameters_are_checked(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Trainer(**{"embedding": floats(4, 3), "linear": floats(3, 5)} | arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda _: Trainer.random(0, 2), ValueError, "vocab_size must be at least 1, got 0"),
        (
            lambda _: Trainer.random(3, 2, dtype="int32"),
            ValueError,
            "dtype must be one of float32, float64, got 'int32'",
        ),
        (lambda _: Trainer.random(3, 2, seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda t: t.grown([[0, 0, 0]]), TypeError, "rows must be a NumPy array, got list"),
        (lambda t: t.grown(np.ones((2, 3), "i8")), TypeError, "rows are int64, but the embedding is float32"),
        (lambda t: t.grown(np.ones((2, 4), "f4")), ValueError, "rows must have shape (N, 3), got (2, 4)"),
        (lambda t: t.grown(np.full((2, 3), NAN, "f4")), ValueError, "rows must be finite"),
        (lambda t: t.step(0, update_linear=1), TypeError, "update_linear must be True or False, got 1"),
        (lambda t: t.train([0], epochs=0), ValueError, "epochs must be at least 1, got 0"),
        (lambda t: t.predict(0, 0), ValueError, "topn must be at least 1, got 0"),
    ],
)
def test_the_arguments_of_other_calls_are_checked(trainer, call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(trainer)


# ---------------------------------------------------------------- inputs and targets of steps


@pytest.mark.parametrize(
    ("i", "error", "message"),
    [
        (4, ValueError, "i must be from 0 to 3, got 4"),
        (1.0, TypeError, "i must be an integer, got 1.0"),
        (([0, 1], [1.0]), ValueError, "the weights of i must be as many as its ids, 2, got shape (1,)"),
        (([0, 1], [1.0, NAN]), ValueError, "the weights of i must be finite, but the weights of i[1] is nan"),
        (([4], None), ValueError, "i must be ids from 0 to 3, but i[0] is 4"),
        ([[0, 1]], ValueError, "i must be ids of one dimension, or a pair (ids, weights), got shape (1, 2)"),
    ],
)
def test_an_input_is_checked(trainer, i, error, message):
    for call in (trainer.loss, trainer.gradient, trainer.step):
        with pytest.raises(error, match=re.escape(message)):
            call(i, 1)
    if not isinstance(i, list | np.ndarray | sparse.csr_array):  # which are several inputs
        with pytest.raises(error, match=re.escape(message)):
            trainer.predict(i)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (5, ValueError, "target must be from 0 to 4, got 5"),
        (sparse.csr_array(np.ones((2, 5))), ValueError, "target must have shape (1, 5), got (2, 5)"),
        ([1, 0, -0.5, 0, 0], ValueError, "target must be non-negative, but target[0, 2] is -0.5"),
    ],
)
def test_a_target_is_checked(trainer, target, error, message):
    for call in (trainer.loss, trainer.gradient, trainer.step):
        with pytest.raises(error, match=re.escape(message)):
            call(1, target)


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "message"),
    [
        ([0, 4], None, ValueError, "inputs must be ids from 0 to 3, but inputs[1] is 4"),
        ([[0, 1]], None, ValueError, "inputs that are bags need targets"),
        ([[0, 1], [2]], [1], ValueError, "targets must be as many as inputs, 2, got 1"),
        ([0, 1], [[1, 0, 0, 0, 0], [0] * 5], ValueError, "targets must have a positive weight in each row, but row 1"),
        ([0], hidden_negative(1), ValueError, "targets must be non-negative, but targets[1] is -1.0"),
        (([0, 1], [1.0, 2.0]), [1, 1], TypeError, "inputs must be a list of bags, got a tuple"),
        ([[0], 1], [1, 1], ValueError, "inputs[1] must be ids of one dimension, or a pair (ids, weights), got shape"),
        (sparse.csr_array((2, 5)), [1, 1], ValueError, "inputs must have shape (N, 4), a column per row"),
        (list(np.ones((2, 4))), [1, 1], TypeError, "inputs[0] must hold integers, got dtype float64; pass dense bags"),
        (np.eye(2, 4, dtype=int), [1, 1], ValueError, "inputs must have one dimension, got shape (2, 4): pass list(X)"),
    ],
)
def test_inputs_and_targets_are_checked(trainer, inputs, targets, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trainer.train(inputs, targets)
    if message.startswith(("inputs[1] must", "inputs must have one")) or sparse.issparse(inputs):
        with pytest.raises(error, match=re.escape(message.replace("inputs", "i"))):
            trainer.forward(inputs)


def test_an_input_that_is_not_an_output_needs_a_target(trainer):
    trainer = Trainer(floats(4, 3), floats(3, 2))
    for call in (trainer.step, trainer.loss, trainer.gradient):
        with pytest.raises(ValueError, match="target, which is i by default, must be from 0 to 1, got 3"):
            call(3)
    assert (trainer.loss(1), *trainer.gradient(1)) == (trainer.loss(1, 1), *trainer.gradient(1, 1))
    with pytest.raises(ValueError, match=re.escape("targets must be ids from 0 to 1, but targets[1] is 3")):
        trainer.train([0, 3])
    with pytest.raises(ValueError, match="a bag needs a target"):
        trainer.step(([0, 1], None))
    for call in (trainer.step, trainer.loss, trainer.gradient):
        with pytest.raises(
            ValueError, match=r"must be one id or one bag, a tuple \(ids, weights or None\): `train` takes several"
        ):
            call([0, 1], 1)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("0.1", TypeError, "must be a number, got '0.1'"),
        (-0.1, ValueError, "must be finite and at least 0, got -0.1"),
    ],
)
def test_rates_are_checked(trainer, value, error, text):
    for call in (trainer.step, lambda i, **o: trainer.train([i], **o)):
        with pytest.raises(error, match=re.escape(f"learning_rate {text}")):
            call(0, learning_rate=value)
    for name in ("learning_rate", "linear_learning_rate", "l2", "linear_l2"):
        with pytest.raises(error, match=re.escape(f"{name} {text}")):
            trainer.fit_counts(COUNTS, **{name: value})


# ---------------------------------------------------------------- fits to counts


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        (np.eye(4, 5), TypeError, "counts must be a Counts or a SciPy sparse array, got ndarray"),
        (sparse.eye_array(5), ValueError, "counts must have shape (4, 5), inputs by outputs, got (5, 5)"),
        (Counts.from_scipy(sparse.eye_array(5)), ValueError, "counts must have shape (4, 5), inputs by outputs, got"),
        (hidden_negative(4), ValueError, "counts must be non-negative, but counts[1] is -1.0"),
        (with_an_id_beyond(), ValueError, "must be < 5"),
    ],
)
def test_counts_are_checked(trainer, counts, error, message):
    for call in (trainer.fit_counts, trainer.nll):
        with pytest.raises(error, match=re.escape(message)):
            call(counts)


def one_entry(value, shape=(3, 4)):
    return sparse.csr_array(([1.0, value], ([0, 2], [1, 3])), shape)


@pytest.mark.parametrize(
    ("bags", "error", "message"),
    [
        (np.ones((3, 4)), TypeError, "bags must be a SciPy sparse array, got ndarray"),
        (sparse.csr_array((3, 5)), ValueError, "bags must have shape (N, 4), a column per row of the embedding"),
        (one_entry(NAN), ValueError, "bags must be finite, but bags[1] is nan"),
        (sparse.csr_array(([1e308, 1e308], [1, 1], [0, 2, 2, 2]), (3, 4)), ValueError, "the sums of bags must be"),
    ],
)
def test_bags_are_checked(trainer, bags, error, message):
    counts = sparse.eye_array(3, 5)
    for call in (trainer.fit_counts, trainer.nll):
        with pytest.raises(error, match=re.escape(message)):
            call(counts, bags=bags)
    validation = re.sub(r"\bbags(?=[ .\[])", "validation_bags", message)
    with pytest.raises(error, match=re.escape(validation)):
        trainer.fit_counts(counts, bags=one_entry(1.0), validation_counts=counts, validation_bags=bags)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"validation_bags": one_entry(1.0)}, ValueError, "validation_bags need validation_counts"),
        (
            {"bags": sparse.eye_array(4), "validation_counts": sparse.eye_array(2, 5)},
            ValueError,
            "validation_counts must have shape (4, 5), bags by outputs, got (2, 5)",
        ),
        ({"n_iter_no_change": 2}, ValueError, "n_iter_no_change=2 needs validation_counts"),
        ({"input_weights": [1, 1, -1, 1]}, ValueError, "input_weights must be non-negative, but input_weights[2] is"),
        ({"input_weights": [0] * 4}, ValueError, "input_weights must be positive for at least one input with counts"),
        ({"frozen_rows": [0, 4]}, ValueError, "frozen_rows must be ids from 0 to 3, but frozen_rows[1] is 4"),
        ({"on_epoch_end": 7}, TypeError, "on_epoch_end must be callable, got 7"),
        ({"optimizer": "adam"}, ValueError, "optimizer must be one of adagrad, sgd, got 'adam'"),
    ],
)
def test_the_options_and_data_of_a_fit_are_checked(trainer, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trainer.fit_counts(COUNTS, **options)


def test_counts_have_a_finite_sum():
    counts = sparse.csr_array(np.full((2, 2), 1e308))
    with pytest.raises(ValueError, match="counts must have a finite sum, but they add up to inf"):
        Trainer(floats(2, 3), floats(3, 2)).fit_counts(counts)
    with pytest.raises(ValueError, match="counts must have a finite sum, but they add up to inf"):
        SkipGram(dim=1).fit(Counts.from_scipy(counts, tokens=["a", "b"]))
