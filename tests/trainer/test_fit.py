"""`Trainer.fit_counts` and `nll`, with and without bags: the reference, derivatives, hand values, divergence."""

import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer, TrainingDivergedError, reference
from fastembed._kernels import runnable_builds
from fastembed.trainer.blocks import BlockSteps

OPTIONS = {"epochs": 3, "block_size": 6, "seed": 5}
with_and_without_bags = pytest.mark.parametrize("with_bags", [False, True])


@pytest.fixture
def make_bags():
    """Make signed bags (N, V_in) of about three rows, every fifth bag empty, as (dense, csr_array); or neither."""

    def make(count, inputs, seed=0, *, with_bags=True):
        if not with_bags:
            return None, None
        rng = np.random.default_rng(seed)
        dense = rng.normal(size=(count, inputs)) * (rng.random((count, inputs)) < 3 / inputs)
        dense[4::5] = 0
        dense[0, 0] = 0.5
        return dense, sparse.csr_array(dense)

    return make


@pytest.fixture
def near_reference(near):
    """Assert that a trainer and the records of its fit are as the reference says, which is given the same options.

    A step's length does not depend on its gradient's, so rounding weighs more where gradients are small.
    """

    def check(trainer, history, *arguments, **options):
        nlls, embedding, linear = reference.fit_counts(*arguments, **options)
        near([record["nll"] for record in history], nlls, scale=10)
        near(trainer.embedding, embedding, times=100)
        near(trainer.linear, linear, times=100)

    return check


def bits(trainer):
    return [array.tobytes() for array in (trainer.embedding, trainer.linear, *trainer.squares)]


# ---------------------------------------------------------------- the reference, derivatives, hand values


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "dim", "block_size"),
    [  # without bags
        (1, None, 1, 1, 256),
        (2, None, 2, 1, 1),
        (30, None, 7, 3, 4),
        (8, None, 257, 5, 3),  # the exponentials are summed in pieces of 256
        (20, None, 1023, 16, 256),  # a shard less one column
        (12, None, 1024, 100, 5),  # a shard to the column
        (40, None, 1025, 17, 7),  # two shards
        (9, None, 3001, 31, 4),  # four shards
        (4096, None, 3, 2, 500),  # a group to the row
        (4097, None, 3, 2, 300),  # two groups: a block has rows of both
        (9000, None, 3, 2, 5000),  # three groups, of fewer rows than a block
        # with bags
        (1, 1, 1, 1, 256),
        (2, 1, 2, 1, 1),
        (20, 50, 1024, 16, 256),
        (40, 9, 1025, 17, 7),
        (70, 300, 3001, 31, 33),  # several pieces of rows, and of named rows
    ],
)
def test_a_fit_is_the_references_on_any_number_of_threads(
    library, model, make_counts, make_bags, near_reference, count, inputs, outputs, dim, block_size
):
    embedding, linear, bias = model(inputs or count, outputs, dim, library.dtype)
    bias = None if dim % 2 else bias
    dense, counts = make_counts(count, outputs)
    dense_bags, bags = make_bags(count, inputs, with_bags=inputs is not None)
    options = {"epochs": 2, "block_size": block_size, "seed": 5}
    trainers = [Trainer(embedding.copy(), linear, bias=bias, threads=threads) for threads in (2, 1, 5)]
    for trainer in trainers:
        history = trainer.fit_counts(counts, bags=bags, **options)
        assert bits(trainer) == bits(trainers[0])
    near_reference(trainer, history, embedding, linear, dense, bags=dense_bags, bias=bias, **options)
    visited = dense.sum(axis=1) > 0
    moved = visited if inputs is None else dense_bags[visited].any(axis=0)
    assert_array_equal(trainer.embedding[~moved], embedding[~moved])


@pytest.mark.parametrize("permuted", [False, True])
@pytest.mark.parametrize("outputs", [20, 3001])
def test_bags_of_one_id_and_weight_one_give_the_bits_of_the_model_without_bags(
    library, model, make_counts, outputs, permuted
):
    inputs = 40
    embedding, linear, bias = model(inputs, outputs, 10, library.dtype)
    embedding[0, :2] = -0.0, np.finfo(library.dtype).smallest_subnormal
    _, counts = make_counts(inputs, outputs)
    _, validation = make_counts(inputs, outputs, seed=1)
    order = np.random.default_rng(0).permutation(inputs) if permuted else np.arange(inputs)
    bags = sparse.csr_array((np.ones(inputs), (np.arange(inputs), order)), (inputs, inputs))
    plain = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    records = plain.fit_counts(counts, validation_counts=validation, frozen_rows=[3, 4], **OPTIONS)
    placed = np.empty_like(embedding)
    placed[order] = embedding
    trainer = Trainer(placed, linear, bias=bias, threads=2)
    found = trainer.fit_counts(counts, bags=bags, validation_counts=validation, frozen_rows=order[[3, 4]], **OPTIONS)
    assert found == records
    assert trainer.embedding[order].tobytes() == plain.embedding.tobytes()
    assert trainer.linear.tobytes() == plain.linear.tobytes()
    assert trainer.squares[0][order].tobytes() == plain.squares[0].tobytes()
    assert trainer.nll(validation, bags=bags) == plain.nll(validation)


@pytest.mark.parametrize("outputs", [3, 1025])
@pytest.mark.parametrize("build", runnable_builds())
@with_and_without_bags
def test_a_step_of_gradient_descent_is_the_derivative(set_constant, model, make_bags, build, outputs, with_bags):
    """Four-point differences of the compiled nll: the cross-entropy of the outputs of each input, summed over them."""
    set_constant("fastembed._kernels.BUILD", build)
    embedding, linear, bias = model(7, outputs, 4, "float64")
    bags = make_bags(7, 7, with_bags=with_bags)[1]
    counts = np.random.default_rng(1).gamma(1, size=(7, outputs))
    counts = sparse.csr_array(counts / counts.sum(axis=1, keepdims=True))
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    trainer.fit_counts(counts, bags=bags, epochs=1, optimizer="sgd", learning_rate=0.3, linear_learning_rate=0)
    derivative = np.zeros_like(embedding)
    for place in np.ndindex(*embedding.shape):
        for k, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            moved = embedding.copy()
            moved[place] += k * 1e-3
            derivative[place] += weight * 7 * Trainer(moved, linear, bias=bias).nll(counts, bags=bags) / 12e-3
    np.testing.assert_allclose(embedding - trainer.embedding, 0.3 * derivative, rtol=1e-7, atol=1e-9)
    assert (trainer.squares[0] == 0).all()


RATES, WEIGHTS = np.random.default_rng(0).gamma(1, size=(2, 40))
RATES[::7] = WEIGHTS[::7] = 0
WEIGHTS[5] = 1e6  # has no counts, and so no share in the mean


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0},
        {"linear_learning_rate": 0},
        {"frozen_rows": [5, 0, 1, 13, 30]},
        {"frozen_rows": range(40)},
        {"row_rates": RATES, "frozen_rows": [1]},
        {"input_weights": WEIGHTS},
        {"optimizer": "sgd"},
        {"l2": 0.4, "linear_l2": 0.3, "row_rates": RATES},
        {"l2": 0.4, "row_rates": RATES, "frozen_rows": [1], "optimizer": "sgd", "learning_rate": 0.2},
    ],
    ids=lambda options: "-".join(options),
)
@with_and_without_bags
def test_the_options_are_the_references(library, model, make_counts, make_bags, near_reference, options, with_bags):
    """Rows that stand still keep their bits, and the linear layer learns from them; `on_epoch_end` sees the decay."""
    embedding, linear, bias = model(40, 1100, 10, library.dtype)
    embedding[0, :2] = -0.0, np.finfo(library.dtype).smallest_subnormal
    dense, counts = make_counts(40, 1100)
    dense_bags, bags = make_bags(40, 40, with_bags=with_bags)
    seen = []
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    history = trainer.fit_counts(
        counts, bags=bags, on_epoch_end=lambda *_: seen.append(bits(trainer)), **OPTIONS | options
    )
    near_reference(trainer, history, embedding, linear, dense, bags=dense_bags, bias=bias, **OPTIONS | options)
    assert seen[-1] == bits(trainer)
    rates = options.get("learning_rate", 1) * options.get("row_rates", np.ones(40))
    still = np.union1d(np.flatnonzero(rates == 0), list(options.get("frozen_rows", []))).astype(int)
    assert trainer.embedding[still].tobytes() == embedding[still].tobytes()
    assert options.get("linear_learning_rate") != 0 or trainer.linear.tobytes() == linear.tobytes()


def test_the_scale_of_input_weights_does_not_matter_and_that_of_row_rates_is_the_rate(model, make_counts):
    """Even where the sum of the weights overflows."""
    embedding, linear, _ = model(40, 1100, 10, "float32")
    found = []
    for options in (
        {"input_weights": WEIGHTS, "row_rates": np.full(40, 2), "learning_rate": 0.35},
        {"input_weights": np.ldexp(WEIGHTS, 1000), "learning_rate": 0.7},
        {"input_weights": np.ldexp(WEIGHTS, -1000), "row_rates": np.ones(40, int), "learning_rate": 0.7},
    ):
        trainer = Trainer(embedding.copy(), linear)
        trainer.fit_counts(make_counts(40, 1100)[1], **OPTIONS, **options)
        found.append(bits(trainer))
    assert found[0] == found[1] == found[2]


def test_the_first_step_on_a_bag_agrees_with_a_calculation_by_hand(library, near):
    """h = 2 E_0 - E_1 = 0; residual (-1/2, 1/2), dL/dh = -2; one step of the rate's length for each row."""
    trainer = Trainer(np.array([[1], [2]], library.dtype), np.array([[2, -2]], library.dtype), threads=1)
    history = trainer.fit_counts(
        sparse.csr_array([[6, 0]]), bags=sparse.csr_array([[2.0, -1.0]]), epochs=1, learning_rate=0.5
    )
    near(trainer.embedding, [[1.5], [1.5]])
    assert_array_equal(trainer.linear, np.array([[2, -2]], library.dtype))  # g = h * residual = 0
    near(history[0]["nll"], np.log(2))
    near(trainer.squares[0], [16, 4])


# ---------------------------------------------------------------- options and data


def test_repeated_ids_of_bags_are_summed_and_zeros_name_nothing(library, make_counts):
    """The caller's matrix stays as it is."""
    ids = [1, 3, 1, 2, 2, 0]
    repeated = sparse.csr_array(([2.0, 4, 1, 2, -2, 0], ids, [0, 3, 5, 6]), (3, 4))
    summed = sparse.csr_array([[0, 3.0, 0, 4], [0] * 4, [0] * 4])
    trainers = [Trainer(np.ones((4, 3), library.dtype), np.eye(3, 5, dtype=library.dtype)) for _ in range(2)]
    for trainer, bags in zip(trainers, (repeated, summed), strict=True):
        trainer.fit_counts(make_counts(3, 5)[1], bags=bags)
    assert bits(trainers[0]) == bits(trainers[1])
    assert_array_equal((trainer.embedding != 1).any(axis=1), [False, True, False, True])
    assert_array_equal(repeated.indices, ids)


@with_and_without_bags
def test_a_warm_start_and_grown_rows_carry_on(library, model, make_counts, make_bags, near_reference, with_bags):
    """The old rows, now frozen, keep their bits; a cold start is that of a new trainer."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    dense, counts = make_counts(30, 1100)
    dense_bags, bags = make_bags(30, 30, with_bags=with_bags)
    warm, cold = (Trainer(embedding.copy(), linear, bias=bias, loss_scale=0.5, threads=2) for _ in range(2))
    for trainer in (warm, cold):
        trainer.fit_counts(counts, bags=bags, **OPTIONS)
    warm.nll(counts, bags=bags)  # leaves the sums as they are
    squares = np.zeros(32), np.zeros(1100)
    first = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, squares=(squares[0][:30], squares[1]), **OPTIONS
    )
    before, new = bits(warm), np.ones((2, 6), library.dtype)
    grown = warm.grown(new)
    assert (grown.loss_scale, grown.threads) == (0.5, 2)
    more = np.eye(2, 1100, 5)
    wide = np.hstack([dense_bags, np.eye(30, 2)]) if with_bags else None
    data = dense if with_bags else np.vstack([dense, more])
    how = {**OPTIONS, "frozen_rows": range(30), "bias": bias, "bags": wide}
    given = {"bags": None if wide is None else sparse.csr_array(wide), "frozen_rows": range(30), **OPTIONS}
    history = grown.fit_counts(sparse.csr_array(data), warm_start=True, **given)
    near_reference(grown, history, np.vstack([first[1], new]), first[2], data, squares=squares, **how)
    assert grown.embedding[:30].tobytes() == warm.embedding.tobytes()
    assert bits(warm) == before
    fresh = Trainer(cold.embedding.copy(), cold.linear, bias=bias)
    for trainer in (cold, fresh):
        trainer.fit_counts(counts, bags=bags, **OPTIONS)
    assert bits(cold) == bits(fresh)
    warm.fit_counts(counts, bags=bags, warm_start=True, **OPTIONS)
    moved = [np.abs(trainer.embedding - first[1]).sum() for trainer in (warm, cold)]
    assert moved[0] < moved[1] / 1.2


# ---------------------------------------------------------------- records, callbacks, validation


def test_the_history_is_what_the_callback_saw_and_its_nll_falls(library, model, make_counts):
    embedding, linear, _ = model(30, 50, 8, library.dtype)
    _, counts = make_counts(30, 50)
    seen, nlls = [], []

    def look(record):
        seen.append(record)
        nlls.append(trainer.nll(counts))

    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(counts, epochs=4, block_size=6, learning_rate=0.2, on_epoch_end=look)
    assert history == seen
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert [set(record) for record in history] == [{"epoch", "nll", "perplexity", "learning_rate"}] * 4
    assert [record["nll"] for record in history] == sorted((record["nll"] for record in history), reverse=True)
    assert nlls == sorted(nlls, reverse=True)
    for record in history:
        assert record["perplexity"] == math.exp(record["nll"])
        assert record["learning_rate"] == pytest.approx(0.2 * (1 - 0.9 * record["epoch"] / 4))


def test_a_callback_cannot_start_another_fit_of_its_trainer():
    trainer = Trainer.random(3, 2, seed=0)
    with pytest.raises(RuntimeError, match="this Trainer is in a fit"):
        trainer.fit_counts(sparse.eye_array(3), on_epoch_end=lambda _: trainer.fit_counts(sparse.eye_array(3)))
    assert len(trainer.fit_counts(sparse.eye_array(3), on_epoch_end=lambda _: trainer.step(0) and None)) == 5


@pytest.mark.parametrize("bags_of", ["no", "the fit's", "its own"])
def test_validation_counts_are_evaluated_and_train_nothing(library, model, make_counts, make_bags, near, bags_of):
    """Their nll after each epoch is the reference's on the parameters of that moment."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    _, counts = make_counts(30, 1100)
    dense_bags, bags = make_bags(30, 30, with_bags=bags_of != "no")
    own_dense, own = make_bags(11, 30, seed=1, with_bags=bags_of == "its own")
    x = next((each for each in (own_dense, dense_bags) if each is not None), np.eye(30))
    dense, validation = make_counts(len(x), 1100, seed=1)
    expected, same = [], []

    def look(record):
        logits = reference.matvec(reference.gather(x, trainer.embedding), trainer.linear, bias)
        expected.append(reference.block_loss(logits, dense) / dense.sum())
        how = {} if bags is None else {"bags": sparse.csr_array(x)}
        before = bits(trainer)
        same.append(trainer.nll(validation, **how) == record["validation_nll"] and bits(trainer) == before)

    trainer, plain = (Trainer(embedding.copy(), linear, bias=bias, threads=2) for _ in range(2))
    history = trainer.fit_counts(
        counts, bags=bags, validation_counts=validation, validation_bags=own, epochs=3, on_epoch_end=look
    )
    near([record["validation_nll"] for record in history], expected, scale=10)
    assert same == [True] * 3
    plain.fit_counts(counts, bags=bags, epochs=3)
    assert bits(trainer) == bits(plain)


@pytest.mark.parametrize("patience", [1, 3, 100])
@with_and_without_bags
def test_early_stopping_restores_the_best_parameters(library, model, make_counts, make_bags, patience, with_bags):
    """The validation counts are independent of the others, so their nll falls for a few epochs only."""
    embedding, linear, _ = model(30, 1100, 6, library.dtype)
    kept = []
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(
        make_counts(30, 1100)[1],
        bags=make_bags(30, 30, with_bags=with_bags)[1],
        epochs=12,
        learning_rate=0.17,
        linear_learning_rate=0.25,
        validation_counts=make_counts(30, 1100, seed=1)[1],
        n_iter_no_change=patience,
        on_epoch_end=lambda _: kept.append(bits(trainer)),
    )
    best = int(np.argmin([record["validation_nll"] for record in history]))
    assert len(history) == min(12, best + 1 + patience)
    assert 0 < best < len(history) - 1
    assert [record["kept"] for record in history] == [epoch == best for epoch in range(len(history))]
    assert bits(trainer) == kept[best]


def test_early_stopping_restores_parameters_from_before_the_weight_decay(model, make_counts):
    embedding, linear, _ = model(30, 50, 6, "float64")
    _, counts = make_counts(30, 50)
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(counts, epochs=2, l2=9, linear_l2=9, validation_counts=counts, n_iter_no_change=2)
    lowest = min(record["validation_nll"] for record in history)
    assert trainer.nll(counts) == pytest.approx(lowest, rel=1e-12)


# ---------------------------------------------------------------- numbers that are not finite, interruptions


def test_a_loss_that_rises_tenfold_is_noticed():
    """As with raw numbers, such as years, as weights of bags, and with steps too long for the plain loss."""
    rng = np.random.default_rng(0)
    counts, years = sparse.csr_array(rng.poisson(0.3, (9, 9))), sparse.csr_array(rng.integers(1950, 2025, (9, 1)))
    with pytest.warns(UserWarning, match=r"the loss has risen from 2\.197 to .*: lower the learning rate$"):
        Trainer(rng.normal(size=(1, 4)), np.zeros((4, 9)), loss_scale=1).fit_counts(counts, bags=years)
    with pytest.warns(UserWarning, match="the loss has risen from .*: lower the learning rate$"):
        Trainer(rng.normal(size=(9, 16)), rng.normal(size=(16, 9)), loss_scale=1).train(
            [*range(9)] * 9, rng.integers(9, size=81), epochs=3, update_linear=True
        )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_changes_nothing(library, model, make_counts, wrong):
    """The number is set after the parameters were checked, and is noticed before the first step."""
    embedding, linear, _ = model(20, 1100, 10, library.dtype)
    trainer, counts = Trainer(embedding, linear, threads=2), make_counts(20, 1100)[1]
    trainer.linear[3, 1050] = wrong
    before = bits(trainer)
    with pytest.raises(FloatingPointError, match="logits overflow"):
        trainer.nll(counts)
    with pytest.raises(TrainingDivergedError, match="block 0 in epoch 1"):
        trainer.fit_counts(counts)
    assert bits(trainer) == before


@pytest.mark.parametrize("rate", [1e25, 1e30, 1e38])
@with_and_without_bags
def test_rates_far_too_large_diverge_and_put_back_the_last_epoch(model, make_counts, make_bags, rate, with_bags):
    """Wherever float32 overflows: in a loss, a parameter or a sum of squares."""
    embedding, linear, _ = model(24, 1100, 4, "float32")
    counts, bags = make_counts(24, 1100)[1], make_bags(24, 24, with_bags=with_bags)[1]
    trainer = Trainer(embedding, linear, threads=2)
    options = {"epochs": 50, "block_size": 4, "learning_rate": rate, "linear_learning_rate": rate}
    kept = [bits(trainer)]
    with pytest.raises(TrainingDivergedError) as caught:
        trainer.fit_counts(counts, bags=bags, on_epoch_end=lambda *_: kept.append(bits(trainer)), **options)
    assert len(kept) == caught.value.epoch
    assert bits(trainer) == kept[-1]


def test_divergence_names_the_block(model, make_counts):
    """A callback spoils one row, which is in the third of the four blocks. The error can be pickled."""
    embedding, linear, _ = model(24, 1100, 4, "float32")
    dense, counts = make_counts(24, 1100)
    rng = np.random.default_rng(3)
    orders = [rng.permutation(np.flatnonzero(dense.sum(axis=1))) for _ in range(2)]
    kept = []

    def spoil(_):
        trainer.embedding[orders[1][9]] = np.nan
        kept.append(bits(trainer))

    trainer = Trainer(embedding, linear)
    with pytest.raises(TrainingDivergedError, match="the loss of block 2 in epoch 2 is nan") as caught:
        trainer.fit_counts(counts, block_size=4, seed=3, on_epoch_end=spoil)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.epoch, error.block, str(error)) == (2, 2, str(caught.value))
    assert bits(trainer) == kept[0]


def test_validation_that_overflows_is_divergence(model, make_counts):
    embedding, linear, bias = model(30, 50, 6, "float32")
    embedding[29] = linear[:] = 1e19
    counts, held_out = np.eye(30, 50), np.zeros((30, 50))
    counts[29], held_out[29] = 0, 1
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    with pytest.raises(TrainingDivergedError, match="at the end of epoch 1, on the validation counts, the loss is"):
        trainer.fit_counts(sparse.csr_array(counts), validation_counts=sparse.csr_array(held_out), learning_rate=0)
    assert_array_equal(trainer.embedding, embedding)


@pytest.mark.parametrize(("step", "epoch"), [(4, 1), (8, 2), (12, 3)])  # the last of four blocks
@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_divergence_at_the_end_of_an_epoch_puts_back_the_last_good_parameters(
    library, model, make_counts, monkeypatch, wrong, step, epoch
):
    """They are those at the end of the epoch before, with the same bits."""
    embedding, linear, bias = model(24, 1100, 4, library.dtype)
    original = BlockSteps._step

    def poison(self, rows, next_rows, fall, number):
        nll = original(self, rows, next_rows, fall, number)
        if number == step:
            self.parameters.embedding[rows[-1], 0] = wrong
        return nll

    monkeypatch.setattr(BlockSteps, "_step", poison)
    trainer = Trainer(embedding, linear, bias=bias, threads=2)
    kept = [bits(trainer)]
    message = rf"embedding\[\d+, 0\] is (nan|-inf) at the end of epoch {epoch}"
    with pytest.raises(TrainingDivergedError, match=message) as caught:
        trainer.fit_counts(
            make_counts(24, 1100)[1], epochs=3, block_size=4, on_epoch_end=lambda *_: kept.append(bits(trainer))
        )
    assert (caught.value.epoch, caught.value.block) == (epoch, None)
    assert len(kept) == epoch
    assert bits(trainer)[:2] == kept[-1][:2]
