"""Steps of `Trainer` on one example, an id or a bag, and answers for many: the reference, derivatives, hand values."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse, special

from fastembed import Trainer, reference
from fastembed._kernels import runnable_builds

INPUTS, OUTPUTS, DIM = 9, 1025, 7  # of the trainers for bags
BAG = ([6, 2, 3], [0.5, -1.25, 2.0])
MANY = [[6, 2, 2], ([1, 4, 8], [0.5, -1, 2]), [], [5], np.arange(9)]
in_one_thread_or_several = pytest.mark.parametrize("parallel", [False, True])
with_and_without_linear = pytest.mark.parametrize("update_linear", [False, True])


def dense_bag(bag):
    x = np.zeros(INPUTS)
    np.add.at(x, list(bag[0]), bag[1])
    return x


FORMS = {
    "pair": BAG,
    "arrays": (np.array(BAG[0], np.int32), np.array(BAG[1])),
    "repeated": ([6, 2, 3, 2, 6], [0.25, -2.25, 2, 1, 0.25]),
    "sparse": sparse.csr_array(dense_bag(BAG)[None]),
    "coo": sparse.coo_matrix(([0.5, -1.25, 1, 1], ([0] * 4, [6, 2, 3, 3])), (1, INPUTS)),
}


def target_kinds(outputs):
    """Return the forms a target can have, each with the same as a dense row."""
    rng = np.random.default_rng(outputs)
    dense = rng.gamma(1, size=outputs)
    few = np.zeros(outputs)
    few[rng.permutation(outputs)[:3]] = [2, 1, 0.5][:outputs]
    last = reference.target_row(outputs - 1, outputs)
    return [
        (outputs - 1, last),
        (np.int32(outputs - 1), last),
        (dense, dense),
        (few.tolist(), few),
        (sparse.csr_array(few[None]), few),
        (sparse.coo_matrix(few[None]), few),
        (few > 0, (few > 0).astype(float)),
    ]


def bits(trainer):
    return trainer.embedding.tobytes(), trainer.linear.tobytes()


def as_matrix(bags):
    return np.stack([dense_bag(b if isinstance(b, tuple) else (b, np.ones(len(b)))) for b in bags])


@pytest.fixture
def trainer_of(library, model):
    """Make trainers of the same parameters."""

    def make(**options):
        embedding, linear, bias = model(INPUTS, OUTPUTS, DIM, library.dtype)
        return Trainer(embedding, linear, bias=bias, **options)

    return make


@pytest.fixture
def set_parallel(set_constant):
    """Let the steps of trainers made from now on be shared by threads, or not."""

    def set_size(parallel):
        set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0 if parallel else 1 << 60)

    return set_size


def reference_step(trainer, x, target, rate, update_linear):
    """Return (loss, embedding, linear) after a step on the bag x (V_in,), in float64."""
    embedding, linear = (a.astype(np.float64) for a in (trainer.embedding, trainer.linear))
    h, y, scale = reference.gather(x[None], embedding)[0], reference.target_row(target, OUTPUTS), trainer.loss_scale
    loss = reference.loss(reference.matvec(h, linear, trainer.bias), y, scale)
    gradient = reference.gradient(h, linear, y, scale, trainer.bias)
    if update_linear:
        linear = linear - rate * reference.linear_gradient(h, linear, y, scale, trainer.bias)
    return loss, embedding - rate * reference.scatter(x[None], gradient[None]), linear


# ---------------------------------------------------------------- one example


def test_one_example_gives_what_the_reference_gives(library, model, near, size):
    outputs, dim = size
    embedding, linear, bias = model(3, outputs, dim, library.dtype)
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    x, scale = reference.matvec(embedding[1], linear, bias), 1 / outputs
    near(trainer.forward(1), reference.softmax(x), scale=10)
    for target, y in target_kinds(outputs):
        near(trainer.loss(1, target), reference.loss(x, y, scale), scale=10 * scale * y.sum())
        gradient = trainer.gradient(1, target)
        assert gradient.dtype == library.dtype
        allowed = 10 * scale * y.sum() * np.abs(linear).max()
        near(gradient, reference.gradient(embedding[1], linear, y, scale, bias), scale=allowed)
    assert_array_equal(trainer.embedding, embedding)
    assert_array_equal(trainer.linear, linear)


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
    for update_linear in (False, True):
        trainer = trainer_of(loss_scale=1)
        loss, embedding, linear = reference_step(trainer, x, 5, 0.5, update_linear)
        near(trainer.step(FORMS[form], 5, learning_rate=0.5, update_linear=update_linear), loss, times=10)
        near(trainer.embedding, embedding, times=10)
        near(trainer.linear, linear, times=10)


def test_ids_without_weights_have_weight_one_and_an_empty_bag_the_sum_zero(trainer_of, near):
    trainer = trainer_of()
    for bag in (([6, 2, 6], None), (np.array([6, 2, 6]), None), ([2, 6], [1, 2])):
        assert trainer.loss(bag, 5) == trainer.loss(sparse.csr_array(dense_bag(([2, 6], [1, 2]))[None]), 5)
    assert trainer.forward(([6, 2, 6], None)).shape == (OUTPUTS,)
    assert trainer.forward([6, 2, 6]).shape == (3, OUTPUTS)  # three inputs, as ever
    assert trainer.forward((6, 2)).shape == (2, OUTPUTS)
    before, bias = trainer.embedding.copy(), trainer.bias.astype(float)
    for empty in (([], None), ([], []), (np.zeros(0, int), None), sparse.csr_array((1, INPUTS))):
        near(trainer.loss(empty, 5), reference.loss(bias, reference.target_row(5, OUTPUTS), 1 / OUTPUTS), times=10)
        trainer.step(empty, 5, update_linear=True)
    assert_array_equal(trainer.embedding, before)


@pytest.mark.parametrize("outputs", [1, 2, 1025])
@pytest.mark.parametrize("build", runnable_builds())
@pytest.mark.parametrize("i", [1, BAG])
def test_gradients_are_the_derivatives(set_constant, model, build, outputs, i):
    """Four-point differences of the compiled loss, in float64, against the change of a step and `gradient`."""
    set_constant("fastembed._kernels.BUILD", build)
    embedding, linear, bias = model(INPUTS, outputs, 3, "float64")
    y = np.random.default_rng(2).gamma(1, size=outputs)
    stepped = Trainer(embedding.copy(), linear, bias=bias)
    gradient, of_linear, of_bias = stepped.gradient(i, y, of=("input", "linear", "bias"))
    assert_array_equal(stepped.gradient(i, y), gradient)
    stepped.step(i, y, learning_rate=1, update_linear=True)
    x = dense_bag(([i], [1]) if isinstance(i, int) else i)
    moved = {"embedding": embedding - stepped.embedding, "linear": linear - stepped.linear}
    np.testing.assert_allclose(moved["embedding"], np.outer(x, gradient), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moved["linear"], of_linear, rtol=1e-9, atol=1e-12)
    logits = bias + x @ embedding @ linear
    np.testing.assert_allclose(of_bias, (y.sum() * special.softmax(logits) - y) / outputs, rtol=1e-9, atol=1e-12)
    places = [("embedding", (f, d)) for f in range(INPUTS) for d in range(3)]
    for name, place in [*places, *(("linear", (d, outputs // 2)) for d in range(3))]:
        losses = []
        for k in (-2, -1, 1, 2):
            shifted = {"embedding": embedding.copy(), "linear": linear.copy()}
            shifted[name][place] += k * 1e-3
            losses.append(Trainer(*shifted.values(), bias=bias).loss(i, y))
        derivative = np.dot(losses, [1, -8, 8, -1]) / 12e-3
        assert moved[name][place] == pytest.approx(derivative, rel=1e-7, abs=1e-9)


def test_a_step_on_a_bag_agrees_with_a_calculation_by_hand(library, near):
    """h = 2 * 1 - 2 = 0: softmax (1/2, 1/2), dL/dh = (1/2 - 1) * 2 + 1/2 * (-2) = -2, times the weights 2 and -1."""
    trainer = Trainer(np.array([[1], [2]], library.dtype), np.array([[2, -2]], library.dtype), loss_scale=1)
    near(trainer.step(([1, 0], [-1, 2]), 0, learning_rate=0.5), np.log(2))
    near(trainer.embedding, [[3], [1]])
    assert_array_equal(trainer.linear, np.array([[2, -2]], library.dtype))


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("outputs", [1, 7, 1023, 1024, 1025, 3001])
@with_and_without_linear
def test_a_step_gives_what_the_reference_gives(library, model, near, outputs, update_linear):
    embedding, linear, bias = model(3, outputs, 17, library.dtype)
    embedding[2, :2] = -0.0, np.finfo(library.dtype).smallest_subnormal
    for target, y in target_kinds(outputs):
        trainer = Trainer(embedding.copy(), linear, bias=bias, loss_scale=0.2)
        loss = trainer.step(1, target, learning_rate=0.3, update_linear=update_linear)
        expected = reference.step(
            embedding, linear, 1, y, bias=bias, scale=0.2, learning_rate=0.3, update_linear=update_linear
        )
        assert isinstance(loss, float)
        near(loss, expected[0], scale=10 * y.sum())
        near(trainer.embedding, expected[1], scale=10 * y.sum())
        near(trainer.linear, expected[2], scale=10 * y.sum())
        assert trainer.embedding[[0, 2]].tobytes() == embedding[[0, 2]].tobytes()
        if not update_linear:
            assert_array_equal(trainer.linear, linear)


@with_and_without_linear
@in_one_thread_or_several
def test_a_bag_of_one_id_gives_the_bits_of_the_id(trainer_of, set_parallel, update_linear, parallel):
    set_parallel(parallel)
    options = {"threads": 2, "learning_rate": 0.3}
    by_id, by_bag = trainer_of(**options), trainer_of(**options)
    for i, target in ((3, 5), (0, 1024), (3, 5)):
        loss = by_id.step(i, target, update_linear=update_linear)
        assert by_bag.step(([i], None), target, update_linear=update_linear) == loss
    assert by_bag.gradient(([4], None), 7).tobytes() == by_id.gradient(4, 7).tobytes()
    assert by_bag.forward(([4], [1])).tobytes() == by_id.forward(4).tobytes()
    ids, targets = [3, 1, 3], [5, 6, 7]
    by_id.train(ids, targets, epochs=2, update_linear=update_linear)
    by_bag.train([[i] for i in ids], targets, epochs=2, update_linear=update_linear)
    assert bits(by_bag) == bits(by_id)


@pytest.mark.parametrize("form", ["ids", "dense", "sparse", "own"])
def test_train_gives_what_the_reference_gives(library, model, near, form):
    embedding, linear, bias = model(6, 70, 9, library.dtype)
    inputs = np.array([3, 0, 3, 5, 1, 1, 2])
    rows = np.random.default_rng(3).gamma(1, size=(7, 70)) * (np.arange(70) % 3 == 0)
    targets = {"ids": inputs[::-1] * 10, "dense": rows, "sparse": sparse.csc_array(rows), "own": None}[form]
    twins = {"ids": inputs[::-1] * 10, "dense": rows, "sparse": rows, "own": inputs}[form]
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    means = trainer.train(inputs, targets, learning_rate=0.4, epochs=3, update_linear=True)
    losses, expected, expected_linear = reference.train(
        embedding, linear, [*inputs] * 3, [*twins] * 3, bias=bias, learning_rate=0.4, update_linear=True
    )
    assert means.dtype == np.float64
    near(means, losses.reshape(3, 7).mean(axis=1), times=10, scale=10)
    near(trainer.embedding, expected, times=10)
    near(trainer.linear, expected_linear, times=10)


@with_and_without_linear
@in_one_thread_or_several
def test_training_on_bags_is_the_references_in_order(trainer_of, set_parallel, near, update_linear, parallel):
    set_parallel(parallel)
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


@with_and_without_linear
def test_a_thousand_steps_give_what_the_reference_gives(library, model, near, set_constant, update_linear):
    """One by one, or by calls of the kernel on any number of them."""
    embedding, linear, bias = model(50, 1030, 20, library.dtype)
    rng = np.random.default_rng(4)
    inputs, targets = rng.integers(50, size=1000), rng.integers(1030, size=1000)
    trainer = Trainer(embedding.copy(), linear, bias=bias, loss_scale=1)
    options = {"learning_rate": 0.1, "update_linear": update_linear}
    losses = [trainer.step(i, c, **options) for i, c in zip(inputs.tolist(), targets.tolist(), strict=True)]
    expected = reference.train(embedding, linear, inputs, targets, bias=bias, scale=1, **options)
    near(losses, expected[0], times=10)
    near(trainer.embedding, expected[1], times=10)
    near(trainer.linear, expected[2], times=10)
    for multiplications in (1 << 29, 1 << 20):
        set_constant("fastembed.trainer.rows.MULTIPLICATIONS", multiplications)
        whole = Trainer(embedding.copy(), linear, bias=bias, loss_scale=1)
        assert whole.train(inputs, targets, **options)[0] == np.cumsum(losses)[-1] / 1000  # summed one by one
        assert bits(whole) == bits(trainer)


# ---------------------------------------------------------------- many inputs


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


@pytest.mark.parametrize("topn", [1, 3, 50])
def test_predict_gives_the_most_probable_outputs_in_order(set_constant, topn):
    trainer = Trainer.random(9, 4, output_size=20, dtype="float64", seed=0)
    set_constant("fastembed.trainer.rows.BATCH_LOGITS", 60)  # three inputs at a time
    outputs, probabilities = trainer.predict(range(9), topn)
    p = trainer.forward(range(9))
    assert_array_equal(outputs, np.argsort(-p, axis=1, kind="stable")[:, :topn])
    assert_array_equal(outputs.shape, (9, min(topn, 20)))
    assert probabilities == pytest.approx(np.take_along_axis(p, outputs, axis=1), rel=1e-12)
    one, share = trainer.predict(np.int64(4), topn)
    assert_array_equal(one, outputs[4])
    assert share == pytest.approx(probabilities[4], rel=1e-12)
    assert_array_equal(Trainer(np.zeros((1, 2)), np.zeros((2, 6))).predict([0], 3)[0], [[0, 1, 2]])  # ties


# ---------------------------------------------------------------- numbers that are not finite


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@in_one_thread_or_several
def test_logits_that_are_not_finite_are_reported(library, model, set_parallel, wrong, parallel):
    """They come from parameters that were changed after they were checked. The steps before stay."""
    set_parallel(parallel)
    embedding, linear, _ = model(5, 2100, 20, library.dtype)
    trainer, twin = (Trainer(embedding.copy(), linear, threads=2) for _ in range(2))
    trainer.embedding[3, 7] = twin.embedding[3, 7] = wrong
    before = bits(trainer)
    calls = [
        lambda: trainer.forward(3),
        lambda: trainer.loss(3, 0),
        lambda: trainer.gradient(3, 0),
        lambda: trainer.step(3, 0, update_linear=True),
        lambda: trainer.step(3, np.ones(2100), update_linear=True),
        lambda: trainer.train([3, 1], [0, 1], update_linear=True),
    ]
    for call in calls:
        with pytest.raises(FloatingPointError, match=r"the loss of input 3 is (nan|inf|-inf)"):
            call()
    assert bits(trainer) == before
    with pytest.raises(FloatingPointError, match="the loss of input 3 is"):
        trainer.train([0, 1, 3, 2], update_linear=True)
    twin.train([0, 1], update_linear=True)
    assert bits(trainer) == bits(twin)


def test_the_softmax_of_the_largest_logits_is_finite_and_a_loss_beyond_them_is_an_error(library):
    """Logits that differ by more than the dtype can hold; losses are float64."""
    largest = np.finfo(library.dtype).max
    trainer = Trainer(np.ones((1, 1), library.dtype), np.array([[largest, -largest, 0]], library.dtype))
    assert trainer.forward(0).tolist() == [1.0, 0.0, 0.0]
    assert trainer.loss(0, 0) == 0.0
    assert trainer.loss(0, 2) == pytest.approx(float(largest) / 3)
    if library.dtype == "float64":
        for call in (trainer.loss, trainer.gradient, trainer.step):
            with pytest.raises(FloatingPointError, match="the loss of input 0 is inf: it or its logits overflow"):
                call(0, [0, 9, 0])
    assert_array_equal(trainer.embedding, [[1]])
    big = np.full((2, 1), np.sqrt(largest) * 2, library.dtype)
    with pytest.raises(FloatingPointError, match=f"its logits overflow {library.dtype}"):
        Trainer(big, big.T.copy()).step(0)


@pytest.fixture
def overflowing(library, set_parallel):
    """Return a trainer with finite logits and losses, but an infinite gradient of input 0 and output 2,000."""

    def make(*, parallel):
        set_parallel(parallel)
        largest = np.finfo(library.dtype).max
        linear = np.zeros((1, 2100), library.dtype)
        linear[0, [0, 2000]] = largest * 0.9, -largest * 0.9
        return Trainer(np.array([[1 / 64], [0]], library.dtype), linear, threads=2, loss_scale=1)

    return make


@in_one_thread_or_several
@with_and_without_linear
def test_a_step_that_would_overflow_is_reported_and_changes_nothing(library, overflowing, parallel, update_linear):
    """`train` keeps the steps before it."""
    trainer, twin = overflowing(parallel=parallel), overflowing(parallel=parallel)
    before, options = bits(trainer), {"update_linear": update_linear}
    for call in (
        lambda: trainer.step(0, 2000, **options),
        lambda: trainer.step(0, np.eye(2100)[2000], **options),
        lambda: trainer.train([0, 0], [2000, 0], **options),
    ):
        with pytest.raises(FloatingPointError, match=f"a step on input 0 would overflow {library.dtype}"):
            call()
        assert bits(trainer) == before
    with pytest.raises(FloatingPointError, match=f"the gradient of input 0 overflows {library.dtype}"):
        trainer.gradient(0, 2000)
    assert np.isfinite(trainer.loss(0, 2000))
    assert_array_equal(trainer.gradient(0, 0), [0])
    assert trainer.step(0, 0, **options) == twin.step(0, 0, **options) == 0
    with pytest.raises(FloatingPointError, match=f"a step on input 0 would overflow {library.dtype}"):
        trainer.train([0, 1, 0], [0, 0, 2000], epochs=3, **options)
    twin.train([0, 1], [0, 0], **options)
    assert bits(trainer) == bits(twin)


def test_a_large_bias_does_not_blur_the_step_of_the_linear_layer(library, near):
    """The shares of a softmax over logits near 10,000 that are exact in both dtypes: the steps sum to zero."""
    bias = np.random.default_rng(0).integers(-8, 1, size=1500) + 1e4
    trainer = Trainer(np.ones((1, 1), library.dtype), np.zeros((1, 1500), library.dtype), bias=bias, loss_scale=1)
    trainer.step(0, 700, update_linear=True)
    times = 50 if library.dtype == "float64" else 1  # logsumexp is rounded to 2e-12
    near(trainer.linear[0], -reference.logits_gradient(bias, reference.target_row(700, 1500), 1), times=times)
    near(trainer.linear.sum(dtype=np.float64), 0, scale=1, times=times)


# ---------------------------------------------------------------- the object


def test_the_embedding_is_shared_and_the_linear_layer_and_bias_are_copied(library, model):
    """The linear layer may be passed in any memory order."""
    embedding, linear, bias = model(5, 30, 4, library.dtype)
    trainer = Trainer(embedding, linear, bias=bias)
    assert trainer.embedding is embedding
    assert not np.shares_memory(trainer.linear, linear)
    assert not np.shares_memory(trainer.bias, bias)
    trainer.linear[2, 3] = 0.125
    assert trainer.linear[2, 3] == 0.125  # a view of what is trained
    for order in (np.asfortranarray(linear), linear[:, ::-1][:, ::-1], np.repeat(linear, 2, axis=1)[:, ::2]):
        assert_array_equal(Trainer(embedding, order).linear, linear)
    assert_array_equal(Trainer(embedding, linear, bias=[1] * 30).bias, np.ones(30))
    assert repr(trainer) == f"Trainer(inputs=5, dim=4, outputs=30, dtype={library.dtype})"


def test_random_parameters_follow_the_seed():
    trainer = Trainer.random(200, 30, output_size=50, dtype="float64", seed=1)
    assert trainer.embedding.shape == (200, 30)
    assert trainer.linear.shape == (30, 50)
    assert trainer.bias is None
    for matrix in (trainer.embedding, trainer.linear):
        assert matrix.std() * np.sqrt(30) == pytest.approx(1, abs=0.05)
    assert trainer.loss_scale == 1
    assert Trainer.random(3, 2, loss_scale=0.5).loss_scale == 0.5
    assert_array_equal(Trainer.random(200, 30, output_size=50, dtype="float64", seed=1).linear, trainer.linear)
    assert (Trainer.random(200, 30, dtype="float64", seed=2).embedding != trainer.embedding).any()
    assert Trainer.random(3, 2).embedding.dtype == np.float32
    assert Trainer.random(3, 2).linear.shape == (2, 3)
    assert_array_equal(Trainer.random(4, 3, seed=2**128).embedding, Trainer.random(4, 3, seed=2**128).embedding)


def test_steps_have_the_rate_of_the_trainer_where_they_are_given_none():
    start = Trainer.random(3, 4, output_size=6, seed=0)
    one, other = (Trainer(start.embedding.copy(), start.linear, learning_rate=rate) for rate in (0.3, 1))
    assert one.step(1, 2) == other.step(1, 2, learning_rate=0.3)
    assert_array_equal(one.train([0, 1], [3, 4]), other.train([0, 1], [3, 4], learning_rate=0.3))
    assert bits(one) == bits(other) != bits(start)
