"""`Trainer.fit_counts` against the reference and hand values: results, bounds, divergence, frozen parameters."""

import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from threadpoolctl import threadpool_info

from fastembed import Trainer, TrainingDivergedError, reference
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.blocks import BlockSteps, Scratch, row_bytes
from fastembed.trainer.parameters import Parameters


@pytest.mark.parametrize(
    ("inputs", "outputs", "dim", "block_size"),
    [
        (1, 1, 1, 256),
        (2, 2, 1, 1),
        (30, 7, 3, 4),
        (20, 1023, 16, 256),  # a shard less one column
        (12, 1024, 100, 5),  # a shard to the column
        (40, 1025, 17, 7),  # two shards
        (9, 3001, 31, 4),  # four shards
        (4096, 3, 2, 500),  # a group to the row
        (4097, 3, 2, 300),  # two groups: a block has rows of both
        (9000, 3, 2, 5000),  # three groups, of fewer rows than a block
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_a_fit_is_the_references(library, model, make_counts, near, inputs, outputs, dim, block_size, biased):
    embedding, linear, bias = model(inputs, outputs, dim, library.dtype)
    bias = bias if biased else None
    dense, counts = make_counts(inputs, outputs)
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    history = trainer.fit_counts(counts, epochs=3, block_size=block_size, seed=5)
    nlls, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bias=bias, epochs=3, block_size=block_size, seed=5
    )
    # A step's length does not depend on its gradient's, so rounding weighs more where gradients are small
    near([record["nll"] for record in history], nlls, scale=10)
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)
    assert (trainer._parameters.weights[:, dim:] == 0).all()
    empty = dense.sum(axis=1) == 0
    assert_array_equal(trainer.embedding[empty], embedding[empty])


def test_the_first_step_agrees_with_a_calculation_by_hand(library, near):
    """One row, two columns, logits 0: residual (1/2 - 1, 1/2), and steps of length rate * sqrt(D)."""
    trainer = Trainer(np.zeros((1, 1), library.dtype), np.array([[2, -1]], library.dtype), threads=1)
    history = trainer.fit_counts(sparse.csr_array([[6, 0]]), epochs=1, learning_rate=0.5)
    near(trainer.embedding, [[0.5]])  # against g = -1/2 * 2 + 1/2 * -1 < 0
    assert_array_equal(trainer.linear, np.array([[2, -1]], library.dtype))  # g = h * residual = 0
    near(history[0]["nll"], math.log(2))
    near(history[0]["perplexity"], 2)


def test_the_history_is_what_the_callback_saw_and_its_nll_falls(library, model, make_counts):
    embedding, linear, _ = model(30, 50, 8, library.dtype)
    _, counts = make_counts(30, 50)
    seen = []
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(
        counts, epochs=4, block_size=6, learning_rate=0.2, on_epoch_end=lambda record, _: seen.append(record)
    )
    assert history == seen
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert [set(record) for record in history] == [{"epoch", "nll", "perplexity", "learning_rate", "seconds"}] * 4
    nlls = [record["nll"] for record in history]
    assert nlls == sorted(nlls, reverse=True)
    for record in history:
        assert record["perplexity"] == math.exp(record["nll"])
        assert record["learning_rate"] == pytest.approx(0.2 * (1 - 0.9 * record["epoch"] / 4))
        assert record["seconds"] > 0


@pytest.mark.parametrize(("rate", "linear_rate"), [(0, 0), (0.1, 0), (0, 0.1)])
def test_a_rate_of_zero_leaves_its_parameters_alone(library, model, make_counts, near, rate, linear_rate):
    embedding, linear, bias = model(20, 1100, 10, library.dtype)
    dense, counts = make_counts(20, 1100)
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    rates = {"learning_rate": rate, "linear_learning_rate": linear_rate, "block_size": 6, "epochs": 2}
    trainer.fit_counts(counts, **rates)
    _, expected, expected_linear = reference.fit_counts(embedding, linear, dense, bias=bias, **rates)
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)
    if not rate:
        assert_array_equal(trainer.embedding, embedding)
    if not linear_rate:
        assert_array_equal(trainer.linear, linear)


@pytest.mark.parametrize("with_bags", [False, True])
def test_a_step_of_gradient_descent_follows_the_gradient_of_the_loss(model, make_counts, near, with_bags):
    """Finite differences of the sum over the inputs of the cross-entropy of their distribution of outputs."""
    embedding, linear, bias = model(12, 30, 4, "float64")
    dense, counts = make_counts(12, 30)
    bags = np.random.default_rng(0).normal(size=(12, 12)) if with_bags else np.eye(12)
    shares = dense / np.maximum(dense.sum(axis=1, keepdims=True), 1)

    def loss(rows):
        return reference.block_loss(reference.matvec(bags @ rows, linear, bias), shares)

    gradient = np.zeros_like(embedding)
    for place in np.ndindex(*embedding.shape):
        step = np.zeros_like(embedding)
        step[place] = 1e-5
        gradient[place] = (loss(embedding + step) - loss(embedding - step)) / 2e-5
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    options = {"bags": sparse.csr_array(bags)} if with_bags else {}
    trainer.fit_counts(counts, epochs=1, optimizer="sgd", learning_rate=0.3, linear_learning_rate=0, **options)
    assert trainer.embedding == pytest.approx(embedding - 0.3 * gradient, abs=1e-8)
    assert (trainer.squares[0] == 0).all()


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
@pytest.mark.parametrize("l2", [0, 0.4])
@pytest.mark.parametrize("with_bags", [False, True])
def test_the_optimizer_and_l2_are_the_references(library, model, make_counts, near, optimizer, l2, with_bags):
    """Weight decay spares frozen rows; the trainer that `on_epoch_end` sees has it."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    dense, counts = make_counts(30, 1100)
    options = {"epochs": 3, "block_size": 7, "learning_rate": 0.2, "optimizer": optimizer, "l2": l2}
    options |= {"row_rates": np.linspace(0, 2, 30), "frozen_rows": [5]}
    bags, weights = None, None
    if with_bags:
        bags, weights = np.random.default_rng(0).normal(size=(30, 30)), np.linspace(0, 1, 30)
    seen = []
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    history = trainer.fit_counts(
        counts,
        bags=None if bags is None else sparse.csr_array(bags),
        input_weights=weights,
        on_epoch_end=lambda record, trainer: seen.append(trainer.embedding.copy()),
        **options,
    )
    nlls, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bias=bias, bags=bags, input_weights=weights, **options
    )
    near([record["nll"] for record in history], nlls, scale=10)
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)
    assert_array_equal(trainer.embedding, seen[-1])
    assert trainer.embedding[[0, 5]].tobytes() == embedding[[0, 5]].tobytes()


def test_early_stopping_restores_parameters_from_before_the_weight_decay(model, make_counts):
    embedding, linear, _ = model(30, 50, 6, "float64")
    _, counts = make_counts(30, 50)
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(counts, epochs=2, l2=9, validation_counts=counts, n_iter_no_change=2)
    lowest = min(record["validation_nll"] for record in history)
    assert trainer.nll(counts) == pytest.approx(lowest, rel=1e-12)


@pytest.mark.parametrize("share", [0.3, 1])
@pytest.mark.parametrize("linear_rate", [0, 0.1])
def test_frozen_rows_keep_their_bits_and_still_count(library, model, make_counts, near, share, linear_rate):
    """So do -0.0 and a subnormal number; the linear layer learns from frozen rows too."""
    embedding, linear, bias = model(40, 1100, 10, library.dtype)
    embedding[0, :2] = -0.0, np.finfo(library.dtype).smallest_subnormal
    dense, counts = make_counts(40, 1100)
    frozen = np.arange(40)[np.random.default_rng(1).permutation(40) < 40 * share]
    frozen = np.union1d(frozen, [0])
    options = {"epochs": 2, "block_size": 6, "linear_learning_rate": linear_rate}
    fits = [Trainer(embedding.copy(), linear, bias=bias, threads=threads) for threads in (1, 2, 5)]
    for trainer in fits:
        trainer.fit_counts(counts, frozen_rows=frozen[::-1].tolist(), **options)
        assert trainer.embedding[frozen].tobytes() == embedding[frozen].tobytes()
        assert trainer.embedding.tobytes() == fits[0].embedding.tobytes()
        assert trainer.linear.tobytes() == fits[0].linear.tobytes()
    moving = np.setdiff1d(np.flatnonzero(dense.sum(axis=1)), frozen)
    assert (fits[0].embedding[moving] != embedding[moving]).any(axis=1).all()
    _, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bias=bias, frozen_rows=frozen, **options
    )
    near(fits[0].embedding, expected, times=100)
    near(fits[0].linear, expected_linear, times=100)
    if not linear_rate:
        assert fits[0].linear.tobytes() == linear.tobytes()


def test_frozen_rows_agree_with_a_calculation_by_hand(library, near):
    """Two equal rows, one of them frozen: only the other moves, and both contribute the same to the linear layer."""
    trainer = Trainer(np.ones((2, 1), library.dtype), np.zeros((1, 2), library.dtype), threads=1)
    trainer.fit_counts(sparse.csr_array([[6, 0], [6, 0]]), epochs=1, frozen_rows=[1])
    near(trainer.linear, [[1, -1]])  # g = 2 (1/2 - 1), 2 (1/2): a first step of the rate's length against it
    near(trainer.embedding, [[1], [1]])  # the linear layer was 0, so row 0 has no gradient yet
    trainer.fit_counts(sparse.csr_array([[6, 0], [6, 0]]), epochs=1, frozen_rows=[1], linear_learning_rate=0)
    near(trainer.embedding, [[1.7], [1]])


def test_the_nll_of_counts_is_the_references_and_changes_nothing(library, model, make_counts, near):
    embedding, linear, bias = model(20, 1100, 10, library.dtype)
    dense, counts = make_counts(20, 1100)
    trainer = Trainer(embedding, linear, bias=bias)
    expected = reference.block_loss(reference.matvec(embedding, linear, bias), dense) / dense.sum()
    before = embedding.copy()
    near(trainer.nll(counts), expected, scale=10)
    assert_array_equal(trainer.embedding, before)
    assert_array_equal(trainer.linear, linear)


def test_large_logits_stay_finite(library, make_counts, near):
    """Logits of +-1e4 and a target at the wrong end give a perplexity of infinity, and no error."""
    embedding = np.array([[1e2], [-1e2], [0]], library.dtype)
    linear = np.array([[1e2, -1e2, 0, 1e2]], library.dtype)
    dense = np.array([[0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 2, 0]])
    trainer = Trainer(embedding.copy(), linear)
    history = trainer.fit_counts(sparse.csr_array(dense), epochs=2)
    expected, *_ = reference.fit_counts(embedding, linear, dense, epochs=2)
    near([record["nll"] for record in history], expected)
    assert history[0]["perplexity"] == math.inf
    assert np.isfinite(trainer.embedding).all()
    assert np.isfinite(trainer.linear).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, "overflow"])
def test_a_loss_that_is_not_finite_changes_nothing(library, model, make_counts, wrong):
    """The number is set after the parameters were checked, and is found before the first step."""
    embedding, linear, _ = model(20, 1100, 10, library.dtype)
    _, counts = make_counts(20, 1100)
    trainer = Trainer(embedding, linear, threads=2)
    if wrong == "overflow":
        embedding[:] = trainer.linear[:] = np.sqrt(np.finfo(library.dtype).max)
    else:
        trainer.linear[3, 1050] = wrong
    before, before_linear = embedding.copy(), trainer.linear.copy()
    with pytest.raises(FloatingPointError, match=r"block 0 in epoch 1 is (nan|inf|-inf)"):
        trainer.fit_counts(counts)
    assert_array_equal(trainer.embedding, before)
    assert_array_equal(trainer.linear, before_linear)


def poisoned_update(monkeypatch, step, wrong):
    """Make step number `step` leave a number that is not finite in the embedding, although its loss is finite."""
    original = BlockSteps._step

    def poison(self, rows, next_rows, fall, number):
        nll = original(self, rows, next_rows, fall, number)
        if number == step:
            self.parameters.embedding[rows[-1], 0] = wrong
        return nll

    monkeypatch.setattr(BlockSteps, "_step", poison)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("step", "epoch", "block", "message"),
    [
        (4, 1, None, r"embedding\[\d+, 0\] is (nan|inf|-inf) at the end of epoch 1"),  # the last of four blocks
        (12, 3, None, r"embedding\[\d+, 0\] is (nan|inf|-inf) at the end of epoch 3"),
        (8, 2, None, r"at the end of epoch 2"),
    ],
)
def test_divergence_puts_back_the_last_good_parameters(
    library, model, make_counts, monkeypatch, wrong, step, epoch, block, message
):
    """They are those at the end of the epoch before, with the same bits."""
    embedding, linear, bias = model(24, 1100, 4, library.dtype)
    _, counts = make_counts(24, 1100)
    kept = [(embedding.copy(), linear.copy())]
    trainer = Trainer(embedding, linear, bias=bias, threads=2)
    poisoned_update(monkeypatch, step, wrong)
    with pytest.raises(TrainingDivergedError, match=message) as caught:
        trainer.fit_counts(
            counts,
            epochs=3,
            block_size=4,
            on_epoch_end=lambda _, trainer: kept.append((trainer.embedding.copy(), trainer.linear.copy())),
        )
    assert (caught.value.epoch, caught.value.block) == (epoch, block)
    assert len(kept) == epoch
    assert_array_equal(trainer.embedding, kept[-1][0])
    assert_array_equal(trainer.linear, kept[-1][1])


def test_divergence_names_the_block(model, make_counts):
    """A callback spoils one row, which is in the third of the four blocks. The error can be pickled."""
    embedding, linear, _ = model(24, 1100, 4, "float32")
    dense, counts = make_counts(24, 1100)
    rng = np.random.default_rng(3)
    orders = [rng.permutation(np.flatnonzero(dense.sum(axis=1))) for _ in range(2)]
    kept = []

    def spoil(record, trainer):
        kept.append((trainer.embedding.copy(), trainer.linear.copy()))
        trainer.embedding[orders[1][9]] = np.nan

    trainer = Trainer(embedding, linear)
    with pytest.raises(TrainingDivergedError, match="the loss of block 2 in epoch 2 is nan") as caught:
        trainer.fit_counts(counts, block_size=4, seed=3, on_epoch_end=spoil)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.epoch, error.block, str(error)) == (2, 2, str(caught.value))
    assert len(kept) == 1
    assert_array_equal(trainer.embedding, kept[0][0])
    assert_array_equal(trainer.linear, kept[0][1])


@pytest.mark.parametrize("rate", [1e25, 1e30, 1e38])
def test_rates_far_too_large_diverge_and_put_back_the_last_good_parameters(model, make_counts, rate):
    """Wherever float32 overflows: in a loss, a parameter or a sum of squares."""
    embedding, linear, _ = model(24, 1100, 4, "float32")
    _, counts = make_counts(24, 1100)
    kept = [(embedding.copy(), linear.copy())]
    trainer = Trainer(embedding, linear)
    with pytest.raises(TrainingDivergedError) as caught:
        trainer.fit_counts(
            counts,
            epochs=50,
            block_size=4,
            learning_rate=rate,
            linear_learning_rate=rate,
            on_epoch_end=lambda *_: kept.append((trainer.embedding.copy(), trainer.linear.copy())),
        )
    assert len(kept) == caught.value.epoch
    assert_array_equal(trainer.embedding, kept[-1][0])
    assert_array_equal(trainer.linear, kept[-1][1])


@pytest.mark.parametrize("overflowed", [False, True])
def test_an_interrupt_in_an_epoch_leaves_finite_parameters(model, make_counts, monkeypatch, overflowed):
    """They are those of the steps made so far or, where these overflowed, those at the last epoch's end."""
    embedding, linear, bias = model(24, 1100, 4, "float32")
    _, counts = make_counts(24, 1100)
    original, kept = BlockSteps._step, []

    def interrupt(self, rows, next_rows, fall, number):
        if number == 6:
            self._trainer.finish()  # the fifth step
            self.parameters.embedding[3, 1] = np.inf if overflowed else self.parameters.embedding[3, 1]
            kept.append(self.parameters.embedding.copy())
            raise KeyboardInterrupt
        return original(self, rows, next_rows, fall, number)

    monkeypatch.setattr(BlockSteps, "_step", interrupt)
    trainer = Trainer(embedding, linear, bias=bias, threads=2)
    before = threadpool_info()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit_counts(counts, block_size=4, on_epoch_end=lambda *_: kept.append(trainer.embedding.copy()))
    assert threadpool_info() == before
    assert (kept[0] != kept[1]).any()
    assert_array_equal(trainer.embedding, kept[0 if overflowed else 1])
    assert np.isfinite(trainer.linear).all()
    assert math.isfinite(trainer.nll(counts))


def test_validation_counts_are_evaluated_and_train_nothing(library, model, make_counts, near):
    """Their nll after each epoch is the reference's on the parameters of that moment."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    _, counts = make_counts(30, 1100)
    dense, validation = make_counts(30, 1100, seed=1)
    expected, own = [], []

    def look(record, trainer):
        x = reference.matvec(trainer.embedding, trainer.linear, trainer.bias)
        expected.append(reference.block_loss(x, dense) / dense.sum())
        own.append(trainer.nll(validation) == record["validation_nll"])

    trainer, plain = (Trainer(embedding.copy(), linear, bias=bias, threads=2) for _ in range(2))
    history = trainer.fit_counts(counts, epochs=4, validation_counts=validation, on_epoch_end=look)
    near([record["validation_nll"] for record in history], expected, scale=10)
    assert own == [True] * 4
    plain.fit_counts(counts, epochs=4)
    assert_array_equal(trainer.embedding, plain.embedding)
    assert_array_equal(trainer.linear, plain.linear)


@pytest.mark.parametrize("patience", [1, 3, 100])
def test_early_stopping_restores_the_best_parameters(library, model, make_counts, patience):
    """The validation counts are independent of the others, so their nll falls for a few epochs only."""
    embedding, linear, _ = model(30, 1100, 6, library.dtype)
    _, counts = make_counts(30, 1100)
    kept = []
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(
        counts,
        epochs=12,
        learning_rate=0.17,
        linear_learning_rate=0.25,
        validation_counts=make_counts(30, 1100, seed=1)[1],
        n_iter_no_change=patience,
        on_epoch_end=lambda _, trainer: kept.append((trainer.embedding.copy(), trainer.linear.copy())),
    )
    nlls = [record["validation_nll"] for record in history]
    best = int(np.argmin(nlls))
    assert len(history) == min(12, best + 1 + patience)
    assert 0 < best < len(history) - 1
    assert [record["kept"] for record in history] == [epoch == best for epoch in range(len(history))]
    assert_array_equal(trainer.embedding, kept[best][0])
    assert_array_equal(trainer.linear, kept[best][1])


def test_validation_that_overflows_is_divergence(model, make_counts, monkeypatch):
    embedding, linear, bias = model(30, 1100, 6, "float32")
    _, counts = make_counts(30, 1100)
    start = embedding.copy()
    monkeypatch.setattr(BlockSteps, "nll", lambda self: (_ for _ in ()).throw(FloatingPointError("the loss is nan")))
    trainer = Trainer(embedding, linear, bias=bias)
    with pytest.raises(TrainingDivergedError, match="at the end of epoch 1, on the validation counts, the loss is nan"):
        trainer.fit_counts(counts, validation_counts=counts)
    assert_array_equal(trainer.embedding, start)


def test_the_nll_of_logits_that_overflow_is_an_error():
    large = np.full((2, 3), 1e30, np.float32)
    with pytest.raises(FloatingPointError, match="logits overflow float32; the parameters are too large"):
        Trainer(large, large.T.copy()).nll(sparse.csr_array(np.eye(2)))


def test_a_warm_start_carries_the_step_sizes_on(library, model, make_counts, near):
    """A warm start is the reference's with the sums of before; a cold start is a new trainer's."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    dense, counts = make_counts(30, 1100)
    warm, cold = (Trainer(embedding.copy(), linear, bias=bias, threads=2) for _ in range(2))
    options = {"epochs": 2, "block_size": 7}
    for trainer in (warm, cold):
        trainer.fit_counts(counts, **options)
    new = Trainer(cold.embedding.copy(), cold.linear, bias=bias)
    squares = np.zeros(30), np.zeros(1100)
    first = reference.fit_counts(embedding, linear, dense, bias=bias, squares=squares, **options)
    second = reference.fit_counts(*first[1:], dense, bias=bias, squares=squares, seed=1, **options)
    warm.fit_counts(counts, warm_start=True, seed=1, **options)
    near(warm.embedding, second[1], times=100)
    near(warm.linear, second[2], times=100)
    for trainer in (cold, new):
        trainer.fit_counts(counts, seed=1, **options)
    assert_array_equal(cold.embedding, new.embedding)
    moved = [np.abs(trainer.embedding - first[1]).sum() for trainer in (warm, cold)]
    assert moved[0] < moved[1] / 1.2
    warm.nll(counts)  # leaves the sums as they are
    grown = warm.grown(embedding[:0])
    for trainer in (warm, grown):
        trainer.fit_counts(counts, warm_start=True, **options)
    assert_array_equal(grown.embedding, warm.embedding)
    assert_array_equal(grown.linear, warm.linear)


def test_a_grown_trainer_keeps_the_old_rows_and_starts_the_new_ones(library, model, make_counts):
    """The old rows keep their bits until they are trained; a new row's first step has the length of the rate."""
    embedding, linear, bias = model(30, 1100, 6, library.dtype)
    _, counts = make_counts(30, 1100)
    trainer = Trainer(embedding, linear, bias=bias, loss_scale=0.5, threads=2)
    trainer.fit_counts(counts, epochs=2)
    rows = np.ones((2, 6), library.dtype)
    before = trainer.embedding.tobytes(), trainer.linear.tobytes()
    grown = trainer.grown(rows)
    assert grown.embedding[:30].tobytes() == before[0]
    assert_array_equal(grown.embedding[30:], rows)
    assert_array_equal(grown.linear, trainer.linear)
    assert_array_equal(grown.bias, trainer.bias)
    assert (grown.loss_scale, grown.threads) == (0.5, 2)
    last = sparse.vstack([sparse.csr_array((30, 1100)), sparse.csr_array(np.eye(2, 1100, 5))])
    grown.fit_counts(last, epochs=1, warm_start=True, linear_learning_rate=0)
    assert grown.embedding[:30].tobytes() == before[0]
    steps = np.linalg.norm((grown.embedding[30:] - rows).astype(float), axis=1)
    assert steps == pytest.approx(0.7)
    assert (trainer.embedding.tobytes(), trainer.linear.tobytes()) == before
    with pytest.raises(TypeError, match="rows must be a NumPy array, got list"):
        trainer.grown(rows.tolist())
    with pytest.raises(TypeError, match=f"rows are int64, but the embedding is {library.dtype}"):
        trainer.grown(np.ones((2, 6), np.int64))
    with pytest.raises(ValueError, match=r"rows must have shape \(N, 6\), got \(2, 5\)"):
        trainer.grown(rows[:, :5])
    with pytest.raises(ValueError, match="must be finite"):
        trainer.grown(rows * np.nan)


def rows_in_block(monkeypatch):
    """Record the number of rows of each block."""
    sizes = []
    step = BlockSteps._step
    monkeypatch.setattr(
        BlockSteps, "_step", lambda self, rows, *rest: sizes.append(len(rows)) or step(self, rows, *rest)
    )
    return sizes


def test_the_block_has_block_size_rows_whatever_the_outputs(model, make_counts, monkeypatch):
    """Not fewer because there are many outputs or threads; only the last block of an epoch is smaller."""
    sizes = rows_in_block(monkeypatch)
    for outputs in (20, 3001, 40_000):
        embedding, linear, _ = model(40, outputs, 4, "float32")
        dense, counts = make_counts(40, outputs)
        visited = int((dense.sum(axis=1) > 0).sum())
        for threads, asked in ((1, 256), (2, 256), (8, 5)):
            sizes.clear()
            Trainer(embedding.copy(), linear, threads=threads).fit_counts(counts, epochs=1, block_size=asked)
            assert set(sizes[:-1]) <= {asked}
            assert sum(sizes) == visited
            assert max(sizes) == min(asked, visited)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("outputs", "dim"), [(1, 1), (1025, 17), (3001, 100), (40_000, 20)])
def test_row_bytes_is_what_the_workspace_of_a_row_takes(dtype, outputs, dim):
    parameters = Parameters.untrained(np.zeros((1, dim), dtype), np.zeros((dim, outputs), dtype), None)
    scratch = vars(Scratch(parameters, shard_bounds(outputs), rows=7, threads=2))
    taken = sum(array.nbytes for name, array in scratch.items() if name not in ("momentum", "gradients"))
    assert taken == 7 * row_bytes(outputs, dim, np.dtype(dtype).itemsize)


def test_on_epoch_end_may_use_the_trainer(model, make_counts):
    embedding, linear, _ = model(10, 20, 4, "float64")
    _, counts = make_counts(10, 20)
    trainer = Trainer(embedding, linear)
    seen = []

    def look(_, model):
        assert model is trainer
        seen.append(model.nll(counts))

    trainer.fit_counts(counts, epochs=2, on_epoch_end=look)
    assert seen[1] < seen[0]


@pytest.mark.parametrize("stop", [True, np.True_])
def test_on_epoch_end_may_stop_the_fit(library, model, make_counts, stop):
    """After two of three epochs, with the bits of the parameters after two."""
    embedding, linear, bias = model(20, 1100, 4, library.dtype)
    _, counts = make_counts(20, 1100)
    copies = []

    def keep(record, trainer):
        copies.append((trainer.embedding.copy(), trainer.linear.copy()))
        return stop if record["epoch"] == stop_after else None

    for stop_after in (3, 2):
        trainer = Trainer(embedding.copy(), linear, bias=bias)
        history = trainer.fit_counts(counts, epochs=3, block_size=6, on_epoch_end=keep)
        assert [record["epoch"] for record in history] == list(range(1, stop_after + 1))
    assert_array_equal(trainer.embedding, copies[1][0])
    assert_array_equal(trainer.linear, copies[1][1])


def test_the_order_of_rows_follows_the_seed(model, make_counts):
    embedding, linear, _ = model(40, 20, 4, "float64")
    _, counts = make_counts(40, 20)

    def fit(seed):
        trainer = Trainer(embedding.copy(), linear)
        trainer.fit_counts(counts, epochs=1, block_size=5, seed=seed)
        return trainer.embedding

    assert_array_equal(fit(3), fit(np.random.default_rng(3)))
    assert (fit(3) != fit(4)).any()


def test_a_callback_cannot_change_the_counts_that_are_trained_on():
    dense = np.array([[0.0, 5, 1], [5, 0, 0], [1, 0, 0]])
    results = []
    for change in (False, True):
        counts, validation = sparse.csr_array(dense), sparse.csr_array(dense)

        def spoil(record, trainer, change=change, given=(counts, validation)):
            if change:
                for matrix in given:
                    matrix.indices[:] = 1 << 30
                    matrix.data[:] = -1

        trainer = Trainer.random(3, 2, seed=0)
        trainer.fit_counts(counts, validation_counts=validation, epochs=3, on_epoch_end=spoil)
        results.append(trainer.embedding)
    assert_array_equal(*results)


def test_a_callback_cannot_start_another_fit_of_its_trainer():
    trainer = Trainer.random(3, 2, seed=0)
    with pytest.raises(RuntimeError, match="cannot call fit_counts of the trainer that is in a fit"):
        trainer.fit_counts(sparse.eye_array(3), on_epoch_end=lambda record, own: own.fit_counts(sparse.eye_array(3)))
    assert len(trainer.fit_counts(sparse.eye_array(3), on_epoch_end=lambda record, own: own.step(0))) == 5


@pytest.mark.parametrize(
    ("answer", "epochs"), [(True, 1), (np.True_, 1), (1, 3), ("yes", 3), ([0], 3), (False, 3), (None, 3)]
)
def test_only_true_ends_the_training(answer, epochs):
    history = Trainer.random(3, 2, seed=0).fit_counts(sparse.eye_array(3), epochs=3, on_epoch_end=lambda *_: answer)
    assert len(history) == epochs
