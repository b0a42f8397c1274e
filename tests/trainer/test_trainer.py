"""Row steps of `Trainer` against the reference, finite differences and hand values; rows that must not change."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer, reference
from fastembed._kernels import runnable_builds
from fastembed._kernels.caches import Caches

OUTPUTS = [1, 7, 1023, 1024, 1025, 3001]


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


def four_point(function, at, step):
    """Return the derivative of a function of one number, with an error of the fourth power of `step`."""
    f = [function(at + k * step) for k in (-2, -1, 1, 2)]
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)


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


@pytest.mark.parametrize("scale", [1, 0.3, 0])
def test_the_loss_scale_multiplies_losses_and_gradients(library, model, near, scale):
    embedding, linear, _ = model(3, 50, 5, library.dtype)
    trainer = Trainer(embedding, linear, loss_scale=scale)
    y = reference.target_row(7, 50)
    near(trainer.loss(1, 7), reference.loss(reference.matvec(embedding[1], linear), y, scale), scale=5)
    near(trainer.gradient(1, 7), reference.gradient(embedding[1], linear, y, scale), scale=5)


@pytest.mark.parametrize(("outputs", "dim"), [(1, 1), (2, 3), (7, 10), (1025, 5)])
@pytest.mark.parametrize("wrt", ["embedding", "linear"])
@pytest.mark.parametrize("build", runnable_builds())
def test_gradients_are_the_derivatives(set_constant, model, build, outputs, dim, wrt):
    """Four-point differences of the compiled loss, in float64, against the change of a step."""
    set_constant("fastembed._kernels.BUILD", build)
    embedding, linear, bias = model(2, outputs, dim, "float64")
    y = np.random.default_rng(2).gamma(1, size=outputs)
    stepped = Trainer(embedding.copy(), linear, bias=bias)
    stepped.step(1, y, learning_rate=1, update_linear=True)
    moved = {"embedding": embedding - stepped.embedding, "linear": linear - stepped.linear}[wrt]
    places = [(1, d) for d in range(dim)] if wrt == "embedding" else [(d, outputs // 2) for d in range(dim)]
    for place in places:

        def loss(value, place=place):
            parameters = {"embedding": embedding.copy(), "linear": linear.copy()}
            parameters[wrt][place] = value
            return Trainer(*parameters.values(), bias=bias).loss(1, y)

        start = {"embedding": embedding, "linear": linear}[wrt][place]
        assert moved[place] == pytest.approx(four_point(loss, start, 1e-3), rel=1e-7, abs=1e-11)
    if wrt == "embedding":
        assert (moved[0] == 0).all()


def test_one_example_agrees_with_a_calculation_by_hand(library, near):
    """Logits (ln 3, 0): softmax (3/4, 1/4)."""
    trainer = Trainer(np.array([[np.log(3)]], library.dtype), np.array([[1, 0]], library.dtype), loss_scale=2)
    near(trainer.forward(0), [0.75, 0.25])
    near(trainer.loss(0, 1), 2 * np.log(4))
    near(trainer.gradient(0, 1), [2 * 0.75])
    near(trainer.loss(0, [1, 3]), 2 * (4 * np.log(4) - np.log(3)))
    near(trainer.gradient(0, [1, 3]), [2 * (4 * 0.75 - 1)])


def test_large_logits_stay_finite(library, near):
    """Logits 1e4, -1e4 and 0."""
    embedding, linear = np.array([[100]], library.dtype), np.array([[100, -100, 0]], library.dtype)
    trainer = Trainer(embedding, linear, loss_scale=1)
    assert_array_equal(trainer.forward(0), np.array([1, 0, 0], library.dtype))
    assert [trainer.loss(0, c) for c in range(3)] == [0, 20000, 10000]
    near(trainer.gradient(0, 1), [200])
    assert trainer.step(0, 1, update_linear=True) == 20000
    near(trainer.embedding, [[-100]])
    near(trainer.linear, [[0, 0, 0]], scale=100)


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("update_linear", [False, True])
def test_a_step_gives_what_the_reference_gives(library, model, near, outputs, update_linear):
    embedding, linear, bias = model(3, outputs, 17, library.dtype)
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
        assert_array_equal(trainer.embedding[[0, 2]], embedding[[0, 2]])
        assert (trainer._parameters.weights[:, 17:] == 0).all()
        if not update_linear:
            assert_array_equal(trainer.linear, linear)


def test_defaults_are_those_of_the_notebook(library, model):
    """Scale 1/V, rate 1, the index of the input as the target, and only its row of the embedding changes."""
    embedding, linear, _ = model(8, 8, 10, library.dtype)
    default, explicit = Trainer(embedding.copy(), linear), Trainer(embedding.copy(), linear, loss_scale=1 / 8)
    assert default.step(4) == explicit.step(4, 4, learning_rate=1.0, update_linear=False)
    assert_array_equal(default.embedding, explicit.embedding)
    assert_array_equal(default.linear, linear)
    assert_array_equal(np.delete(default.embedding, 4, axis=0), np.delete(embedding, 4, axis=0))
    assert (default.embedding[4] != embedding[4]).all()


def test_all_forms_of_a_target_give_the_same_bits(library, model):
    """An index, its one-hot row and the same in `train` leave the same bits."""
    embedding, linear, bias = model(5, 1100, 20, library.dtype)
    y = reference.target_row(3, 1100)
    results = []
    for step in (
        lambda t: t.step(2, 3, update_linear=True),
        lambda t: t.step(np.int64(2), np.int64(3), update_linear=True),
        lambda t: t.step(np.array(2), np.array(3), update_linear=True),
        lambda t: t.step([2], 3, update_linear=True),
        lambda t: t.step(2, y, update_linear=True),
        lambda t: t.step(2, sparse.csr_array(y[None]), update_linear=True),
        lambda t: t.train([2], [3], update_linear=True)[0],
        lambda t: t.train(np.array([2]), y[None], update_linear=True)[0],
    ):
        trainer = Trainer(embedding.copy(), linear, bias=bias)
        results.append((step(trainer), trainer.embedding.tobytes(), trainer.linear.tobytes()))
    assert len(set(results)) == 1


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


@pytest.mark.parametrize("update_linear", [False, True])
def test_a_thousand_steps_give_what_the_reference_gives(library, model, near, update_linear):
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
    assert (trainer._parameters.weights[:, 20:] == 0).all()

    whole = Trainer(embedding.copy(), linear, bias=bias, loss_scale=1)
    assert whole.train(inputs, targets, **options)[0] == np.cumsum(losses)[-1] / 1000  # summed one by one
    assert_array_equal(whole.embedding, trainer.embedding)
    assert_array_equal(whole.linear, trainer.linear)


def test_rows_that_are_not_inputs_keep_their_bits(library, model):
    embedding, linear, _ = model(10, 1100, 20, library.dtype)
    embedding[3, 0], embedding[4, 1], embedding[5, 2] = -0.0, np.finfo(library.dtype).smallest_subnormal, 1e-30
    trainer = Trainer(embedding.copy(), linear)
    trainer.train([0, 1, 9] * 20, [5, 6, 7] * 20, update_linear=True)
    still = slice(2, 9)
    assert trainer.embedding[still].tobytes() == embedding[still].tobytes()


@pytest.mark.parametrize("rate", [0, 0.0])
def test_a_rate_of_zero_changes_nothing(library, model, rate):
    embedding, linear, _ = model(5, 1100, 20, library.dtype)
    trainer = Trainer(embedding.copy(), linear)
    trainer.step(1, learning_rate=rate, update_linear=True)
    trainer.train([0, 1], learning_rate=rate, update_linear=True)
    assert_array_equal(trainer.embedding, embedding)
    assert_array_equal(trainer.linear, linear)


# ---------------------------------------------------------------- losses that are not finite


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("parallel", [False, True])
def test_logits_that_are_not_finite_are_reported(library, model, sizes, wrong, parallel):
    """They come from parameters that were changed after they were checked."""
    sizes.parallel_bytes = 0 if parallel else 1 << 60
    embedding, linear, _ = model(5, 2100, 20, library.dtype)
    trainer = Trainer(embedding, linear, threads=2)
    embedding[3, 7] = wrong
    before, before_linear = embedding.copy(), trainer.linear.copy()
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
    assert_array_equal(trainer.embedding, before)
    assert_array_equal(trainer.linear, before_linear)


@pytest.mark.parametrize("parallel", [False, True])
def test_train_keeps_the_steps_before_the_one_that_failed(library, model, sizes, parallel):
    sizes.parallel_bytes = 0 if parallel else 1 << 60
    embedding, linear, _ = model(5, 2100, 20, library.dtype)
    trainer, twin = (Trainer(embedding.copy(), linear, threads=2) for _ in range(2))
    trainer.embedding[3] = twin.embedding[3] = np.nan
    with pytest.raises(FloatingPointError, match="the loss of input 3 is nan"):
        trainer.train([0, 1, 3, 2], update_linear=True)
    twin.train([0, 1], update_linear=True)
    assert_array_equal(trainer.embedding, twin.embedding)
    assert_array_equal(trainer.linear, twin.linear)


def test_the_softmax_of_the_largest_logits_is_finite_and_a_loss_beyond_them_is_an_error():
    """Logits of 1e308 and -1e308 differ by more than a double can hold."""
    trainer = Trainer(np.ones((1, 1)), np.array([[1e308, -1e308, 0.0]]))
    assert trainer.forward(0).tolist() == [1.0, 0.0, 0.0]
    assert trainer.loss(0, 0) == 0.0
    assert trainer.loss(0, 2) == pytest.approx(1e308 / 3)
    with pytest.raises(FloatingPointError, match="the loss of input 0 is inf"):
        trainer.loss(0, 1)


def test_an_overflow_of_the_logits_is_reported(library):
    big = np.sqrt(np.finfo(library.dtype).max) * 2
    trainer = Trainer(np.full((2, 1), big, library.dtype), np.full((1, 3), big, library.dtype))
    with pytest.raises(FloatingPointError, match=f"its logits overflow {library.dtype}"):
        trainer.step(0)


@pytest.fixture
def overflowing(library, sizes):
    """Return a trainer with finite logits and losses, but an infinite gradient of input 0 and output 2,000."""

    def make(*, parallel):
        sizes.parallel_bytes = 0 if parallel else 1 << 60
        largest = np.finfo(library.dtype).max
        linear = np.zeros((1, 2100), library.dtype)
        linear[0, [0, 2000]] = largest * 0.9, -largest * 0.9
        return Trainer(np.array([[1 / 64], [0]], library.dtype), linear, threads=2, loss_scale=1)

    return make


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("update_linear", [False, True])
def test_a_step_that_would_overflow_is_reported_and_changes_nothing(library, overflowing, parallel, update_linear):
    trainer = overflowing(parallel=parallel)
    linear = trainer.linear.copy()
    options = {"update_linear": update_linear}
    for call in (
        lambda: trainer.step(0, 2000, **options),
        lambda: trainer.step(0, np.eye(2100)[2000], **options),
        lambda: trainer.train([0, 0], [2000, 0], **options),
    ):
        with pytest.raises(FloatingPointError, match=f"a step on input 0 would overflow {library.dtype}"):
            call()
        assert_array_equal(trainer.embedding, [[1 / 64], [0]])
        assert_array_equal(trainer.linear, linear)
    with pytest.raises(FloatingPointError, match=f"the gradient of input 0 overflows {library.dtype}"):
        trainer.gradient(0, 2000)
    assert np.isfinite(trainer.loss(0, 2000))
    assert_array_equal(trainer.gradient(0, 0), [0])
    assert trainer.step(0, 0, **options) == 0


@pytest.mark.parametrize("parallel", [False, True])
def test_train_keeps_the_steps_before_the_one_that_would_overflow(library, overflowing, parallel):
    trainer, twin = overflowing(parallel=parallel), overflowing(parallel=parallel)
    with pytest.raises(FloatingPointError, match=f"a step on input 0 would overflow {library.dtype}"):
        trainer.train([0, 1, 0], [0, 0, 2000], epochs=3)
    twin.train([0, 1], [0, 0])
    assert_array_equal(trainer.embedding, twin.embedding)
    assert_array_equal(trainer.linear, twin.linear)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_step_that_might_make_the_linear_layer_overflow_is_reported(library, sizes, parallel):
    sizes.parallel_bytes = 0 if parallel else 1 << 60
    largest = np.finfo(library.dtype).max
    embedding, linear = np.full((1, 1), largest / 8, library.dtype), np.zeros((1, 2100), library.dtype)
    trainer = Trainer(embedding, linear, threads=2)
    for call in (trainer.step, lambda i, **options: trainer.train([i], **options)):
        with pytest.raises(FloatingPointError, match=f"a step on input 0 would overflow {library.dtype}"):
            call(0, learning_rate=16.0, update_linear=True)
        assert_array_equal(trainer.embedding, [[largest / 8]])
        assert not trainer.linear.any()
    assert trainer.step(0, learning_rate=16.0) == np.log(2100) / 2100


def test_a_loss_that_overflows_although_its_logits_do_not_is_reported(library):
    """In float64 only, since losses are float64."""
    largest = np.finfo(library.dtype).max
    trainer = Trainer(np.ones((1, 1), library.dtype), np.array([[largest, -largest, 0]], library.dtype))
    assert_array_equal(trainer.forward(0), [1, 0, 0])
    if library.dtype == "float64":
        for call in (trainer.loss, trainer.gradient, trainer.step):
            with pytest.raises(FloatingPointError, match="the loss of input 0 is inf: it or its logits overflow"):
                call(0, [0, 9, 0])
    assert_array_equal(trainer.embedding, [[1]])


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
    assert trainer.linear.shape == (4, 30)
    trainer.linear[2, 3] = 0.125
    assert trainer._parameters.weights[3, 2] == 0.125
    for order in (np.asfortranarray(linear), linear[:, ::-1][:, ::-1], np.repeat(linear, 2, axis=1)[:, ::2]):
        assert_array_equal(Trainer(embedding, order).linear, linear)


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


def test_the_repr_shows_sizes_and_dtype():
    assert repr(Trainer.random(3, 2, output_size=5)) == "Trainer(inputs=3, dim=2, outputs=5, dtype=float32)"


def test_the_number_of_steps_per_call_of_the_kernel_changes_no_bit(library, model, set_constant):
    results = []
    for multiplications in (1, 30_000, 1 << 31):
        set_constant("fastembed.trainer.rows.MULTIPLICATIONS_PER_CALL", multiplications)
        embedding, linear, bias = model(5, 6, 4, library.dtype)
        trainer = Trainer(embedding, linear, bias=bias, threads=1)
        targets = np.eye(6)[[0, 2, 5, 1]] + np.eye(6)[[3, 3, 1, 0]]
        losses = trainer.train([0, 4, 2, 0], targets, epochs=2, update_linear=True)
        results.append((losses, trainer.embedding, trainer.linear))
    for one, *others in zip(*results, strict=True):
        for other in others:
            assert_array_equal(one, other)


@pytest.mark.parametrize("parallel", [False, True])
def test_the_caches_move_results_by_rounding_alone(library, model, near, set_constant, sizes, parallel):
    sizes.parallel_bytes = 0 if parallel else 1 << 60
    embedding, linear, bias = model(5, 3001, 100, library.dtype)
    expected = reference.train(embedding, linear, [0, 4, 2], [7, 2000, 0], bias=bias, scale=1, update_linear=True)
    for level1 in (8, 32, 48, 64):
        for level2 in (1, 1 << 40):
            set_constant("fastembed._kernels.CACHES", Caches(level1 << 10, level2))
            trainer = Trainer(embedding.copy(), linear, bias=bias, loss_scale=1, threads=2)
            near(trainer.train([0, 4, 2], [7, 2000, 0], update_linear=True), expected[0].mean(keepdims=True), times=5)
            near(trainer.embedding, expected[1], times=10)
            near(trainer.linear, expected[2], times=10)


def test_a_deep_copy_has_parameters_of_its_own(library, model):
    embedding, linear, bias = model(5, 6, 4, library.dtype)
    trainer = Trainer(embedding, linear, bias=bias, loss_scale=0.5, threads=3)
    copied = copy.deepcopy(trainer)
    assert (copied.loss_scale, copied.threads) == (0.5, 3)
    losses = trainer.train([0, 4, 2], epochs=2, update_linear=True)
    assert_array_equal(copied.train([0, 4, 2], epochs=2, update_linear=True), losses)
    for one, other in ((trainer.embedding, copied.embedding), (trainer.linear, copied.linear)):
        assert_array_equal(one, other)
        assert not np.shares_memory(one, other)


@pytest.mark.parametrize("outputs", [10, 1000, 5000])
@pytest.mark.parametrize("dim", [10, 100])
def test_a_random_trainer_starts_near_the_uniform_loss(outputs, dim):
    trainer = Trainer.random(200, dim, output_size=outputs, seed=0)
    losses = [trainer.loss(i, i % outputs) for i in range(200)]
    assert np.mean(losses) == pytest.approx(np.log(outputs), abs=0.15)


@pytest.mark.parametrize("update_linear", [False, True])
def test_the_default_rate_learns_a_thousand_classes_in_five_epochs(update_linear):
    classes = np.random.default_rng(0).integers(1000, size=500)
    trainer = Trainer.random(500, 100, output_size=1000, seed=0)
    losses = trainer.train(np.arange(500), classes, epochs=5, update_linear=update_linear)
    assert losses.tolist() == sorted(losses, reverse=True)
    assert (trainer.predict(np.arange(500))[0][:, 0] == classes).mean() > 0.98


def test_soft_targets_are_learned_by_default_without_diverging():
    """Two classes per input, 2 to 1: the loss cannot fall below the entropy of the targets."""
    rng = np.random.default_rng(0)
    votes = np.zeros((300, 400))
    votes[np.arange(300), rng.integers(400, size=300)] = 2 / 3
    votes[np.arange(300), rng.integers(400, size=300)] += 1 / 3
    entropy = -(votes * np.log(np.where(votes > 0, votes, 1))).sum(axis=1).mean()
    trainer = Trainer.random(300, 50, output_size=400, seed=0)
    losses = trainer.train(np.arange(300), votes, epochs=100, update_linear=True)
    assert entropy < losses[-1] < entropy + 0.05


@pytest.mark.parametrize(
    ("make", "rate"),
    [
        (lambda e, w: Trainer(e, w), 1.0),
        (lambda e, w: Trainer(e, w, learning_rate=0.3), 0.3),
        (lambda e, w: Trainer.random(3, 4, output_size=6, seed=0), 0.25),
        (lambda e, w: copy.deepcopy(Trainer(e, w, learning_rate=2)), 2.0),
    ],
)
def test_steps_have_the_rate_of_the_trainer_where_they_are_given_none(make, rate):
    rng = np.random.default_rng(0)
    embedding, linear = rng.normal(size=(3, 4)), rng.normal(size=(4, 6))
    one, other = (make(embedding.copy(), linear) for _ in range(2))
    assert one.learning_rate == rate
    assert one.step(1, 2) == other.step(1, 2, learning_rate=rate)
    assert_array_equal(one.train([0, 1], [3, 4]), other.train([0, 1], [3, 4], learning_rate=rate))
    assert_array_equal(one.embedding, other.embedding)
    with pytest.raises(ValueError, match="learning_rate must be finite and at least 0, got -1"):
        Trainer(embedding, linear, learning_rate=-1)
