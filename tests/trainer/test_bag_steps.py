"""Row steps on weighted bags: against the reference, derivatives and steps on ids; every form a bag may have."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer, reference
from fastembed._kernels import runnable_builds

INPUTS, OUTPUTS, DIM = 9, 1025, 7
BAG = ([6, 2, 3], [0.5, -1.25, 2.0])
NAN, INF = float("nan"), float("inf")


def dense_bag(bag, inputs=INPUTS):
    x = np.zeros(inputs)
    np.add.at(x, list(bag[0]), bag[1])
    return x


def bits(trainer):
    return trainer.embedding.tobytes(), trainer.linear.tobytes()


@pytest.fixture
def trainer_of(library, model):
    """Make trainers of the same parameters."""

    def make(**options):
        embedding, linear, bias = model(INPUTS, OUTPUTS, DIM, library.dtype)
        return Trainer(embedding, linear, bias=bias, **options)

    return make


def reference_step(trainer, x, target, rate, update_linear):
    """Return (loss, embedding, linear) after a step on the bag x (V_in,), in float64."""
    embedding, linear = (a.astype(np.float64) for a in (trainer.embedding, trainer.linear))
    h, y, scale = reference.gather(x[None], embedding)[0], reference.target_row(target, OUTPUTS), trainer.loss_scale
    loss = reference.loss(reference.matvec(h, linear, trainer.bias), y, scale)
    gradient = reference.gradient(h, linear, y, scale, trainer.bias)
    if update_linear:
        linear = linear - rate * reference.linear_gradient(h, linear, y, scale, trainer.bias)
    return loss, embedding - rate * reference.scatter(x[None], gradient[None]), linear


FORMS = {
    "pair": BAG,
    "arrays": (np.array(BAG[0], np.int32), np.array(BAG[1])),
    "repeated": ([6, 2, 3, 2, 6], [0.25, -2.25, 2, 1, 0.25]),
    "sparse": sparse.csr_array(dense_bag(BAG)[None]),
    "coo": sparse.coo_matrix(([0.5, -1.25, 1, 1], ([0] * 4, [6, 2, 3, 3])), (1, INPUTS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_bag_is_the_references(trainer_of, near, form):
    trainer, x, target = trainer_of(loss_scale=1), dense_bag(BAG), OUTPUTS - 1
    h = reference.gather(x[None], trainer.embedding)[0]
    logits = reference.matvec(h, trainer.linear, trainer.bias)
    y = reference.target_row(target, OUTPUTS)
    near(trainer.loss(FORMS[form], target), reference.loss(logits, y, 1), times=10)
    gradient = trainer.gradient(FORMS[form], target)
    assert gradient.dtype == trainer.embedding.dtype
    near(gradient, reference.gradient(h, trainer.linear, y, 1, trainer.bias), times=10)
    probabilities = reference.softmax(logits)
    found = trainer.forward(FORMS[form])
    near(found, probabilities if found.ndim == 1 else probabilities[None], times=10)
    assert found.ndim == (1 if isinstance(FORMS[form], tuple) else 2)  # a sparse matrix is of N bags
    outputs, shares = trainer.predict(FORMS[form], topn=3)
    assert outputs.ravel().tolist() == np.argsort(-probabilities, kind="stable")[:3].tolist()
    near(shares.ravel(), np.sort(probabilities)[::-1][:3], times=10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("update_linear", [False, True])
def test_a_step_moves_each_row_of_the_bag_once(trainer_of, near, form, update_linear):
    trainer = trainer_of(loss_scale=1)
    before = trainer.embedding.copy()
    loss, embedding, linear = reference_step(trainer, dense_bag(BAG), 5, 0.5, update_linear)
    near(trainer.step(FORMS[form], 5, learning_rate=0.5, update_linear=update_linear), loss, times=10)
    near(trainer.embedding, embedding, times=10)
    near(trainer.linear, linear, times=10)
    unnamed = np.setdiff1d(np.arange(INPUTS), BAG[0])
    assert_array_equal(trainer.embedding[unnamed], before[unnamed])


def test_ids_without_weights_have_weight_one(trainer_of):
    trainer = trainer_of()
    for bag in ([6, 2, 6], np.array([6, 2, 6]), ([6, 2, 6], None), ([2, 6], [1, 2])):
        assert trainer.loss(bag, 5) == trainer.loss(sparse.csr_array(dense_bag(([2, 6], [1, 2]))[None]), 5)
    assert trainer.forward(([6, 2, 6], None)).shape == (OUTPUTS,)
    assert trainer.forward([6, 2, 6]).shape == (3, OUTPUTS)  # three inputs, as ever
    assert trainer.forward((6, 2)).shape == (2, OUTPUTS)


@pytest.mark.parametrize("update_linear", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_bag_of_one_id_gives_the_bits_of_the_id(trainer_of, sizes, update_linear, parallel):
    if parallel:
        sizes.parallel_bytes = 0
    options = {"threads": 2, "learning_rate": 0.3}
    by_id, by_bag = trainer_of(**options), trainer_of(**options)
    for trainer in (by_id, by_bag):
        trainer.embedding[3, :2] = -0.0, np.finfo(trainer.embedding.dtype).smallest_subnormal
    for i, target in ((3, 5), (0, 1024), (3, 5)):
        assert by_bag.step([i], target, update_linear=update_linear) == by_id.step(
            i, target, update_linear=update_linear
        )
        assert bits(by_bag) == bits(by_id)
    assert by_bag.gradient([4], 7).tobytes() == by_id.gradient(4, 7).tobytes()
    assert by_bag.forward(([4], [1])).tobytes() == by_id.forward(4).tobytes()
    ids, targets = [3, 1, 3], [5, 6, 7]
    by_id.train(ids, targets, epochs=2, update_linear=update_linear)
    by_bag.train([[i] for i in ids], targets, epochs=2, update_linear=update_linear)
    assert bits(by_bag) == bits(by_id)


MANY = [[6, 2, 2], ([1, 4, 8], [0.5, -1, 2]), [], [5], np.arange(9)]


def as_matrix(bags):
    return np.stack([dense_bag(b if isinstance(b, tuple) else (b, np.ones(len(b)))) for b in bags])


@pytest.mark.parametrize("update_linear", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_training_on_bags_is_the_references_in_order(trainer_of, sizes, near, update_linear, parallel):
    if parallel:
        sizes.parallel_bytes = 0
    targets = [3, 0, 7, 1024, 3]
    x = as_matrix(MANY)
    expected = trainer_of(loss_scale=0.1)
    losses = []
    for _ in range(2):
        total = 0
        for bag, target in zip(x, targets, strict=True):
            loss, embedding, linear = reference_step(expected, bag, target, 0.5, update_linear)
            expected.embedding[:], expected.linear[:] = embedding, linear
            total += loss / len(x)
        losses.append(total)
    forms = [MANY, sparse.csr_array(x), sparse.coo_matrix(x), tuple(MANY)]
    trainers = [trainer_of(loss_scale=0.1, threads=threads) for threads in (1, 1, 2, 2)]
    for trainer, form in zip(trainers, forms, strict=True):
        found = trainer.train(form, targets, learning_rate=0.5, epochs=2, update_linear=update_linear)
        near(found, losses, times=100)
        near(trainer.embedding, expected.embedding, times=100)
        near(trainer.linear, expected.linear, times=100)
        assert bits(trainer) == bits(trainers[0])


def test_windows_of_equal_length_are_an_array(trainer_of):
    windows = np.array([[0, 2, 3], [4, 4, 8]])
    trainers = [trainer_of() for _ in range(3)]
    trainers[0].train(windows, [1, 2])
    trainers[1].train(windows.tolist(), [1, 2])
    for window, target in zip(windows, [1, 2], strict=True):
        trainers[2].step(window, target)
    assert bits(trainers[0]) == bits(trainers[1]) == bits(trainers[2])


def test_forward_of_many_bags_is_that_of_each(trainer_of, near):
    trainer = trainer_of(threads=2)
    for bags in (MANY, MANY * 9):
        found = trainer.forward(bags)
        h = reference.gather(as_matrix(bags), trainer.embedding)
        near(found, reference.softmax(reference.matvec(h, trainer.linear, trainer.bias)), times=10)
        assert_array_equal(trainer.forward(sparse.csr_array(as_matrix(bags))), found)
        outputs, shares = trainer.predict(bags, topn=2)
        assert_array_equal(outputs, np.argsort(-found, axis=1, kind="stable")[:, :2])
        near(shares, -np.sort(-found, axis=1)[:, :2], times=10)  # in a block of another size
    empty = trainer.forward(sparse.csr_array((2, INPUTS)))
    near(empty, reference.softmax(np.stack([trainer.bias] * 2).astype(float)), times=10)


@pytest.mark.parametrize("outputs", [1, 2, 1025])
@pytest.mark.parametrize("build", runnable_builds())
def test_gradients_are_the_derivatives(set_constant, model, build, outputs):
    """Four-point differences of the compiled loss, in float64, against the change of a step and `gradient`."""
    set_constant("fastembed._kernels.BUILD", build)
    embedding, linear, bias = model(INPUTS, outputs, 3, "float64")
    y = np.random.default_rng(2).gamma(1, size=outputs)
    stepped = Trainer(embedding.copy(), linear, bias=bias)
    gradient = stepped.gradient(BAG, y)
    stepped.step(BAG, y, learning_rate=1)
    moved = embedding - stepped.embedding
    np.testing.assert_allclose(moved[BAG[0]], np.outer(BAG[1], gradient), rtol=1e-9, atol=1e-12)
    for f in range(INPUTS):
        for d in range(3):
            losses = []
            for k in (-2, -1, 1, 2):
                shifted = embedding.copy()
                shifted[f, d] += k * 1e-3
                losses.append(Trainer(shifted, linear, bias=bias).loss(BAG, y))
            derivative = np.dot(losses, [1, -8, 8, -1]) / 12e-3
            assert moved[f, d] == pytest.approx(derivative, rel=1e-8, abs=1e-9)


def test_a_step_agrees_with_a_calculation_by_hand(library, near):
    """h = 2 * 1 - 2 = 0: softmax (1/2, 1/2), dL/dh = (1/2 - 1) * 2 + 1/2 * (-2) = -2, times the weights 2 and -1."""
    trainer = Trainer(np.array([[1], [2]], library.dtype), np.array([[2, -2]], library.dtype), loss_scale=1)
    near(trainer.step(([1, 0], [-1, 2]), 0, learning_rate=0.5), np.log(2))
    near(trainer.embedding, [[3], [1]])
    assert_array_equal(trainer.linear, np.array([[2, -2]], library.dtype))


def test_an_empty_bag_has_the_sum_zero(trainer_of, near):
    trainer = trainer_of()
    before = trainer.embedding.copy()
    bias = trainer.bias.astype(float)
    for empty in ([], ([], []), np.zeros(0, int), sparse.csr_array((1, INPUTS))):
        near(trainer.loss(empty, 5), reference.loss(bias, reference.target_row(5, OUTPUTS), 1 / OUTPUTS), times=10)
        trainer.step(empty, 5, update_linear=True)
    assert_array_equal(trainer.embedding, before)


def test_a_long_bag_is_stepped_on_as_the_reference_does(library, near):
    inputs = 100_000
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(inputs, 3)).astype(library.dtype)
    trainer = Trainer(embedding.copy(), rng.normal(size=(3, 4)).astype(library.dtype), loss_scale=1)
    weights = rng.normal(size=inputs) / 300
    g = reference.gradient(weights @ embedding, trainer.linear, reference.target_row(1, 4), 1)
    trainer.step((range(inputs), weights), 1, learning_rate=1)
    near(trainer.embedding, embedding - np.outer(weights, g), times=10)


@pytest.mark.parametrize("wrong", ["logits", "row", "linear"])
def test_a_step_that_would_overflow_changes_nothing(library, wrong):
    """Also where only the last row of the bag would."""
    large = np.finfo(library.dtype).max
    embedding = np.ones((3, 1), library.dtype)
    linear = np.array([[1, 0]], library.dtype)
    weights, rate = [1, 1, 1], 1.0
    if wrong == "logits":
        embedding[:2] = large
    elif wrong == "row":
        embedding[:] = [[1], [-large], [large]]
        weights, rate = [1e-30, 0.5, 0.5], float(large)
    else:
        rate = 1e308
    trainer = Trainer(embedding, linear, loss_scale=1)
    before = bits(trainer)
    for call in (
        lambda: trainer.step(([0, 1, 2], weights), 1, learning_rate=rate, update_linear=True),
        lambda: trainer.train([([0, 1, 2], weights)], [1], learning_rate=rate, update_linear=True),
    ):
        with pytest.raises(FloatingPointError, match=r"of a bag of 3 ids is|a step on a bag of 3 ids would overflow"):
            call()
        assert bits(trainer) == before


@pytest.mark.parametrize(
    ("bag", "error", "message"),
    [
        ([4], ValueError, "i must be ids from 0 to 3, but i[0] is 4"),
        ([0, -1], ValueError, "i must be ids from 0 to 3, but i[1] is -1"),
        (["a"], TypeError, "i must hold integers, got dtype <U1"),
        ([0.5], TypeError, "i must hold integers, got dtype float64"),
        ([True], TypeError, "i must hold integers, got dtype bool"),
        ([[0, 1]], ValueError, "i must be ids of one dimension, or a pair (ids, weights), got shape (1, 2)"),
        (([0, 1], [1.0]), ValueError, "the weights of i must be as many as its ids, 2, got shape (1,)"),
        (([0, 1], 1.0), ValueError, "the weights of i must be as many as its ids, 2, got shape ()"),
        (([0, 1], [1.0, NAN]), ValueError, "the weights of i must be finite, but the weights of i[1] is nan"),
        (([0, 1], [INF, 1.0]), ValueError, "the weights of i must be finite, but the weights of i[0] is inf"),
        (([0, 1], [1j, 1.0]), TypeError, "the weights of i must hold real numbers, got dtype complex128"),
        (([0, 1], ["a", "b"]), TypeError, "the weights of i must hold real numbers, got dtype <U1"),
        (([0], [1e39]), ValueError, "i in float32 must be finite, but i in float32[0] is inf"),
        (np.ma.masked_array([0, 1]), TypeError, "i must be an array without a mask"),
        (sparse.csr_array((2, 4)), ValueError, "i must have shape (1, 4), got (2, 4)"),
        (sparse.csr_array((1, 5)), ValueError, "i must have shape (1, 4), got (1, 5)"),
    ],
)
def test_a_bag_is_checked_and_nothing_is_changed(bag, error, message):
    trainer = Trainer.random(4, 3, output_size=5, seed=0)
    before = bits(trainer)
    for call in (trainer.loss, trainer.gradient, trainer.step):
        with pytest.raises(error, match=re.escape(message)):
            call(bag, 1)
    assert bits(trainer) == before


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([[0, 1], [2, 4]], ValueError, "inputs[1] must be ids from 0 to 3, but inputs[1][1] is 4"),
        ([[], [], [-1]], ValueError, "inputs[2] must be ids from 0 to 3, but inputs[2][0] is -1"),
        ([[0], 1], ValueError, "inputs[1] must be ids of one dimension, or a pair (ids, weights), got shape ()"),
        ([[0], "word"], TypeError, "inputs[1] must hold integers, got dtype <U4"),
        ([([0], [NAN]), [1]], ValueError, "the weights of inputs[0] must be finite"),
        (np.zeros((2, 2)), TypeError, "inputs[0] must hold integers, got dtype float64"),
        (np.zeros((2, 2, 2), int), ValueError, "inputs[0] must be ids of one dimension"),
        (([0, 1], [1.0, 2.0]), TypeError, "inputs must be a list of bags, got a tuple"),
        ([], ValueError, "inputs must have one dimension and at least one id, got shape (0,)"),
        (sparse.csr_array((0, 4)), ValueError, "inputs must have at least one row, got shape (0, 4)"),
        (sparse.csr_array((2, 5)), ValueError, "inputs must have shape (N, 4), a column for each row"),
        (sparse.csr_array([[0, NAN, 0, 0]]), ValueError, "inputs must be finite"),
    ],
)
def test_bags_to_train_on_are_checked_and_nothing_is_changed(inputs, error, message):
    trainer = Trainer.random(4, 3, output_size=5, seed=0)
    before = bits(trainer)
    with pytest.raises(error, match=re.escape(message)):
        trainer.train(inputs, [1, 1])
    if not isinstance(inputs, tuple):
        with pytest.raises(error, match=re.escape(message.replace("inputs", "i"))):
            trainer.forward(inputs)
    assert bits(trainer) == before


def test_bags_need_targets_as_many_as_they_are():
    trainer = Trainer.random(4, 3, seed=0)
    before = bits(trainer)
    with pytest.raises(ValueError, match="a step on a bag needs a target"):
        trainer.step([0, 1])
    with pytest.raises(ValueError, match="inputs that are bags need targets"):
        trainer.train([[0, 1]])
    with pytest.raises(ValueError, match="targets must be as many as inputs, 2, got 1"):
        trainer.train([[0, 1], [2]], [1])
    assert bits(trainer) == before
