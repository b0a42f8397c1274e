"""The checks of the arrays of a `Trainer`: the type of the error, its message, and that nothing was changed."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer
from fastembed.counts.counts import grouped_counts

NAN, INF = float("nan"), float("inf")


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape)


def read_only(array):
    array.flags.writeable = False
    return array


def misaligned(rows, columns):
    return np.zeros(rows * columns * 8 + 1, np.uint8)[1:].view(np.float64).reshape(rows, columns)


def with_value(value, *place, shape=(4, 3)):
    array = floats(*shape)
    array[place] = value
    return array


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("embedding", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, "embedding must be a plain NumPy array, got list"),
        (np.ma.masked_array(floats(4, 3)), TypeError, "embedding must be a plain NumPy array, got MaskedArray"),
        (floats(4, 3).view(np.matrix), TypeError, "embedding must be a plain NumPy array, got matrix"),
        (floats(4, 3).astype("f2"), TypeError, "embedding must be float32 or float64 in native byte order, got <f2"),
        (floats(4, 3).astype(int), TypeError, "embedding must be float32 or float64 in native byte order, got <i8"),
        (floats(4, 3).astype(">f8"), TypeError, "embedding must be float32 or float64 in native byte order, got >f8"),
        (floats(4, 3).astype(object), TypeError, "embedding must be float32 or float64 in native byte order, got |O"),
        (floats(3), ValueError, "embedding must have 2 dimensions (V_in, D), got shape (3,)"),
        (floats(2, 4, 3), ValueError, "embedding must have 2 dimensions (V_in, D), got shape (2, 4, 3)"),
        (floats(0, 3), ValueError, "embedding must not be empty, got shape (0, 3)"),
        (floats(4, 0), ValueError, "embedding must not be empty, got shape (4, 0)"),
        (with_value(NAN, 2, 1), ValueError, "embedding must be finite, but embedding[2, 1] is nan"),
        (with_value(-INF, 0, 2), ValueError, "embedding must be finite, but embedding[0, 2] is -inf"),
        (np.asfortranarray(floats(4, 3)), ValueError, "embedding must be C-contiguous"),
        (floats(4, 6)[:, ::2], ValueError, "embedding must be C-contiguous"),
        (misaligned(4, 3), ValueError, "embedding must be C-contiguous"),
        (read_only(floats(4, 3)), ValueError, "embedding is read-only"),
    ],
)
def test_the_embedding_is_checked(embedding, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Trainer(embedding, floats(3, 5))


@pytest.mark.parametrize(
    ("linear", "error", "message"),
    [
        (floats(3, 5).tolist(), TypeError, "linear must be a plain NumPy array, got list"),
        (np.ma.masked_array(floats(3, 5)), TypeError, "linear must be a plain NumPy array, got MaskedArray"),
        (floats(3, 5).astype("f4"), TypeError, "linear is float32, but embedding is float64: both must have one dtype"),
        (floats(3, 5).astype(int), TypeError, "linear must be float32 or float64 in native byte order, got <i8"),
        (floats(3), ValueError, "linear must have 2 dimensions (D, V), got shape (3,)"),
        (floats(3, 0), ValueError, "linear must not be empty, got shape (3, 0)"),
        (floats(5, 3), ValueError, "linear must have shape (D, V) with D = 3 as in embedding (4, 3), got (5, 3)"),
        (with_value(INF, 2, 4, shape=(3, 5)), ValueError, "linear must be finite, but linear[2, 4] is inf"),
    ],
)
def test_the_linear_layer_is_checked(linear, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Trainer(floats(4, 3), linear)


@pytest.mark.parametrize(
    ("bias", "error", "message"),
    [
        (floats(4), ValueError, "bias must have shape (5,), one for each output, got (4,)"),
        (floats(1, 5), ValueError, "bias must have shape (5,), one for each output, got (1, 5)"),
        (1.0, ValueError, "bias must have shape (5,), one for each output, got ()"),
        (["a"] * 5, TypeError, "bias must hold real numbers, got dtype <U1"),
        (floats(5) * 1j, TypeError, "bias must hold real numbers, got dtype complex128"),
        (with_value(NAN, 3, shape=(5,)), ValueError, "bias must be finite, but bias[3] is nan"),
    ],
)
def test_the_bias_is_checked(bias, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Trainer(floats(4, 3), floats(3, 5), bias=bias)


def test_a_bias_too_large_for_the_dtype_is_rejected():
    with pytest.raises(ValueError, match=re.escape("bias must be finite, but bias[1] is inf")):
        Trainer(floats(4, 3).astype("f4"), floats(3, 2).astype("f4"), bias=[0.0, 1e39])


def test_a_bias_of_integers_is_converted():
    assert_array_equal(Trainer(floats(4, 3), floats(3, 2), bias=[1, 2]).bias, [1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"vocab_size": 0}, ValueError, "vocab_size must be at least 1, got 0"),
        ({"vocab_size": 2.0}, TypeError, "vocab_size must be an integer, got 2.0"),
        ({"dim": -3}, ValueError, "dim must be at least 1, got -3"),
        ({"dim": "3"}, TypeError, "dim must be an integer, got '3'"),
        ({"output_size": 0}, ValueError, "output_size must be at least 1, got 0"),
        ({"dtype": "int32"}, TypeError, "dtype must be float32 or float64, got int32"),
        ({"dtype": ">f4"}, TypeError, "dtype must be float32 or float64, got >f4"),
        ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
    ],
)
def test_the_arguments_of_random_are_checked(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Trainer.random(**{"vocab_size": 3, "dim": 2, **options})


# ---------------------------------------------------------------- calls that must change nothing


@pytest.mark.parametrize(
    ("i", "error", "message"),
    [
        (4, ValueError, "i must be from 0 to 3, got 4"),
        (-1, ValueError, "i must be from 0 to 3, got -1"),
        (2**70, ValueError, f"i must be from 0 to 3, got {2**70}"),
        (1.0, TypeError, "i must be an integer, got 1.0"),
        ("1", TypeError, "i must be an integer, got '1'"),
        (None, TypeError, "i must be an integer, got None"),
    ],
)
def test_the_id_of_the_input_is_checked(trainer, i, error, message):
    for call in (trainer.forward, trainer.predict)[: 2 * (i != [1])]:
        with pytest.raises(error, match=re.escape(message)):
            call(i)
    for call in (lambda i: trainer.loss(i, 0), lambda i: trainer.gradient(i, 0), trainer.step):
        with pytest.raises(error, match=re.escape(message)):
            call(i)


@pytest.mark.parametrize("value", ["no", 1, None])
def test_update_linear_is_checked(trainer, value):
    before = trainer.embedding.copy(), trainer.linear.copy()
    for call in (trainer.step, lambda i, **o: trainer.train([i], **o), lambda i, **o: trainer.step(i, np.ones(5), **o)):
        with pytest.raises(TypeError, match=re.escape(f"update_linear must be True or False, got {value!r}")):
            call(0, update_linear=value)
    assert (trainer.embedding == before[0]).all()
    assert (trainer.linear == before[1]).all()


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 4], ValueError, "frozen_rows must be ids from 0 to 3, but frozen_rows[1] is 4"),
        ([-1], ValueError, "frozen_rows must be ids from 0 to 3, but frozen_rows[0] is -1"),
        ([True, False], TypeError, "frozen_rows must hold integers, got dtype bool"),
        (None, TypeError, "frozen_rows must hold integers, got dtype object"),
        (2, ValueError, "frozen_rows must have one dimension and at least one id, got shape ()"),
    ],
)
def test_frozen_rows_are_checked(trainer, rows, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), frozen_rows=rows)


def test_the_callback_is_checked(trainer):
    with pytest.raises(TypeError, match="on_epoch_end must be callable, got 7"):
        trainer.fit_counts(sparse.csr_array(np.eye(4, 5)), on_epoch_end=7)


# ---------------------------------------------------------------- counts


def hidden_negative(rows):
    """A COO array whose negative entry disappears when equal entries are added up."""
    return sparse.coo_array(([3.0, -1.0], ([0, 0], [2, 2])), shape=(rows, 5))


def broken(indices=(0, 2, 1), indptr=(0, 1, 2, 2, 3), data=(1.0, 2.0, 3.0)):
    """A CSR array (4, 5) with arrays that SciPy has not checked."""
    matrix = sparse.csr_array(np.eye(4, 5))
    matrix.data, matrix.indices, matrix.indptr = np.array(data), np.array(indices), np.array(indptr)
    return matrix


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        (np.eye(4, 5), TypeError, "counts must be a Counts or a SciPy sparse array, got ndarray"),
        (None, TypeError, "counts must be a Counts or a SciPy sparse array, got NoneType"),
        (sparse.eye_array(5), ValueError, "counts must have shape (4, 5), inputs by outputs, got (5, 5)"),
        (sparse.coo_array(np.ones(5)), ValueError, "counts must have shape (4, 5), inputs by outputs, got (5,)"),
        (hidden_negative(4), ValueError, "counts must be non-negative, but counts[1] is -1.0"),
        (sparse.csr_array((4, 5)), ValueError, "counts must hold at least one positive count, but all are zero"),
        (0 * sparse.eye_array(4, 5), ValueError, "counts must hold at least one positive count, but all are zero"),
        (-sparse.eye_array(4, 5), ValueError, "counts must be non-negative, but counts[0] is -1.0"),
        (NAN * sparse.eye_array(4, 5), ValueError, "counts must be finite, but counts[0] is nan"),
        (1j * sparse.eye_array(4, 5), TypeError, "counts must hold real numbers, got dtype complex128"),
        (broken(indices=(0, 5, 1)), ValueError, "counts.indices must be ids from 0 to 4, but counts.indices[1] is 5"),
        (broken(indices=(0, 2, -1)), ValueError, "counts.indices must be ids from 0 to 4, but counts.indices[2] is -1"),
        (broken(indptr=(0, 3, 2, 3, 3)), ValueError, "counts.indptr must not decrease, but does from 3 to 2"),
    ],
)
def test_counts_are_checked(trainer, counts, error, message):
    for call in (trainer.fit_counts, trainer.nll):
        with pytest.raises(error, match=re.escape(message)):
            call(counts)


def messy():
    """Counts (4, 5) with duplicates, explicit zeros and columns out of order, and the same as a dense array."""
    rows, columns, data = [0, 0, 0, 2, 2, 3], [4, 1, 4, 3, 0, 2], [1, 2, 3, 0, 5, 7]
    dense = np.zeros((4, 5))
    np.add.at(dense, (rows, columns), data)
    csr = sparse.csr_array((np.array(data), np.array(columns), np.array([0, 3, 3, 5, 6])), shape=(4, 5))
    return csr, dense


@pytest.mark.parametrize(
    "form",
    [
        lambda m: m,
        lambda m: m.tocoo(),
        lambda m: m.tocsc(),
        lambda m: sparse.csr_matrix(m),
        lambda m: m.astype(np.float32),
        lambda m: m.astype(np.uint8),
        lambda m: sparse.csr_array((m.data, m.indices.astype(np.int64), m.indptr.astype(np.int64)), shape=m.shape),
        lambda m: sparse.csr_array((np.repeat(m.data * 1.0, 2)[::2], m.indices, m.indptr), shape=m.shape),
    ],
)
def test_counts_of_any_form_are_made_canonical(form):
    """The array that was passed in is not changed."""
    csr, dense = messy()
    given = form(csr)
    before = given.data.copy()
    matrix = grouped_counts(given, (4, 5)).matrix
    assert matrix.dtype == np.float64
    assert_array_equal(matrix.toarray(), dense)
    assert (matrix.data > 0).all()
    assert matrix.data.flags.c_contiguous
    for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        assert (np.diff(matrix.indices[begin:end]) > 0).all()
    assert_array_equal(given.data, before)
    history = Trainer(floats(4, 3), floats(3, 5)).fit_counts(given, epochs=1)
    expected = Trainer(floats(4, 3), floats(3, 5)).fit_counts(sparse.csr_array(dense), epochs=1)
    assert history[0]["nll"] == expected[0]["nll"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("update_linear", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"target": np.array([1e39, 0, 0, 1])},
        {"learning_rate": 1e300},
        {"target": np.array([1e300, 0, 0, 1]), "learning_rate": 1e300},
        {"target": 1, "learning_rate": 1e39},
    ],
)
def test_a_step_beyond_the_dtype_is_an_error_or_finite(dtype, update_linear, arguments):
    trainer = Trainer.random(4, 3, seed=0, dtype=dtype)
    before = trainer.embedding.copy(), trainer.linear.copy()
    options = {key: value for key, value in arguments.items() if key != "target"}
    target = arguments.get("target", 0)
    calls = [
        lambda: trainer.step(0, target, update_linear=update_linear, **options),
        lambda: trainer.train([0], np.array([target]), update_linear=update_linear, **options),
    ]
    for call in calls:
        try:
            call()
        except FloatingPointError:
            assert_array_equal(trainer.embedding, before[0])
            assert_array_equal(trainer.linear, before[1])
        assert np.isfinite(trainer.embedding).all()
        assert np.isfinite(trainer.linear).all()
        before = trainer.embedding.copy(), trainer.linear.copy()


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        ("x", TypeError, "got 'x'"),
        (1.5, TypeError, "got 1.5"),
        (True, TypeError, "got True"),
        (-1, ValueError, "got -1"),
    ],
)
def test_a_wrong_seed_is_named_and_changes_nothing(seed, error, message):
    trainer = Trainer.random(4, 3, seed=0)
    trainer.fit_counts(sparse.eye_array(4), epochs=1)
    arrays = trainer.embedding, trainer.linear, *trainer.squares
    before = [array.copy() for array in arrays]
    with pytest.raises(error, match=f"seed must be an integer of at least 0, .*{message}"):
        trainer.fit_counts(sparse.eye_array(4), seed=seed)
    with pytest.raises(error, match=message):
        Trainer.random(4, 3, seed=seed)
    for array, old in zip(arrays, before, strict=True):
        assert_array_equal(array, old)


def test_a_seed_may_be_longer_than_a_machine_word():
    assert_array_equal(Trainer.random(4, 3, seed=2**128).embedding, Trainer.random(4, 3, seed=2**128).embedding)


def test_rows_that_are_no_array_are_rejected():
    with pytest.raises(TypeError, match="rows must be a NumPy array, got list"):
        Trainer.random(4, 2).grown([[0, 0]])


@pytest.mark.parametrize("arguments", [(10**400, 3), (3, 10**400), (10**30, 3), (-(10**400), 3)])
def test_sizes_beyond_a_machine_word_are_rejected(arguments):
    with pytest.raises(ValueError, match=r"must be from 1 to|must be at least 1"):
        Trainer.random(*arguments)
