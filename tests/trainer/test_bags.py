"""`Trainer.fit_counts` on weighted bags: against the reference, derivatives, and the same model without bags."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer, TrainingDivergedError, reference
from fastembed._kernels import runnable_builds
from fastembed.counts.groups import CSRGroups
from fastembed.trainer.blocks import BagScratch, BlockSteps, bag_bytes
from fastembed.trainer.inputs import FitOptions, check_bags
from fastembed.trainer.parameters import Parameters

NAN, INF = float("nan"), float("inf")
OPTIONS = {"epochs": 3, "block_size": 6, "seed": 5}


@pytest.fixture
def make_bags():
    """Make signed bags (N, V_in) of about three rows, every fifth bag empty, as (dense, csr_array)."""

    def make(count, inputs, seed=0):
        rng = np.random.default_rng(seed)
        dense = rng.normal(size=(count, inputs)) * (rng.random((count, inputs)) < 3 / inputs)
        dense[4::5] = 0
        dense[0, 0] = 0.5
        return dense, sparse.csr_array(dense)

    return make


def bits(trainer):
    arrays = trainer.embedding, trainer.linear, *trainer.squares
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "dim", "block_size"),
    [
        (1, 1, 1, 1, 256),
        (2, 1, 2, 1, 1),
        (30, 12, 7, 3, 4),
        (20, 50, 1024, 16, 256),  # one shard
        (40, 9, 1025, 17, 7),  # two shards
        (70, 300, 3001, 31, 33),  # four shards, several pieces of rows, and of named rows
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_a_fit_is_the_references(
    library, model, make_counts, make_bags, near, count, inputs, outputs, dim, block_size, biased
):
    embedding, linear, bias = model(inputs, outputs, dim, library.dtype)
    bias = bias if biased else None
    dense, counts = make_counts(count, outputs)
    dense_bags, bags = make_bags(count, inputs)
    options = {"epochs": 2, "block_size": block_size, "seed": 5}
    nlls, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, **options
    )
    trainers = [Trainer(embedding.copy(), linear, bias=bias, threads=n) for n in (1, 2, 5)]
    for trainer in trainers:
        history = trainer.fit_counts(counts, bags=bags, **options)
        near([record["nll"] for record in history], nlls, scale=10)
        near(trainer.embedding, expected, times=100)
        near(trainer.linear, expected_linear, times=100)
        assert bits(trainer) == bits(trainers[0])
    unnamed = ~dense_bags[dense.sum(axis=1) > 0].any(axis=0)
    assert_array_equal(trainer.embedding[unnamed], embedding[unnamed])


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
    for record in (*records, *found):
        del record["seconds"]
    assert found == records
    assert trainer.embedding[order].tobytes() == plain.embedding.tobytes()
    assert trainer.linear.tobytes() == plain.linear.tobytes()
    assert trainer.squares[0][order].tobytes() == plain.squares[0].tobytes()
    assert trainer.nll(validation, bags=bags) == plain.nll(validation)


@pytest.mark.parametrize("outputs", [3, 1025])
@pytest.mark.parametrize("build", runnable_builds())
def test_a_first_step_is_along_the_derivative(set_constant, model, make_bags, build, outputs):
    """Four-point differences of the compiled nll of one block, in float64. Its length is the rate."""
    set_constant("fastembed._kernels.BUILD", build)
    embedding, linear, bias = model(7, outputs, 4, "float64")
    dense_bags, bags = make_bags(12, 7)
    counts = np.random.default_rng(1).gamma(1, size=(12, outputs))
    counts = sparse.csr_array(counts / counts.sum(axis=1, keepdims=True))  # so the mean residual is that of the nll
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    trainer.fit_counts(counts, bags=bags, epochs=1, learning_rate=1e-3, linear_learning_rate=0)
    steps = (embedding - trainer.embedding) / 1e-3

    def total(f, d, by):
        moved = embedding.copy()
        moved[f, d] += by
        return 12 * Trainer(moved, linear, bias=bias).nll(counts, bags=bags)

    step = 1e-3
    derivative = np.array(
        [
            [
                sum(w * total(f, d, k * step) for k, w in ((-2, 1), (-1, -8), (1, 8), (2, -1))) / (12 * step)
                for d in range(4)
            ]
            for f in range(7)
        ]
    )
    named = dense_bags.any(axis=0)
    assert named.sum() > 3
    lengths = np.linalg.norm(derivative[named], axis=1, keepdims=True)
    np.testing.assert_allclose(steps[named], derivative[named] / lengths, rtol=1e-7, atol=1e-7)
    assert_array_equal(steps[~named], 0)


def test_the_first_step_agrees_with_a_calculation_by_hand(library, near):
    """h = 2 E_0 - E_1 = 0; residual (-1/2, 1/2), dL/dh = -2; one step of the rate's length for each row."""
    trainer = Trainer(np.array([[1], [2]], library.dtype), np.array([[2, -2]], library.dtype), threads=1)
    history = trainer.fit_counts(
        sparse.csr_array([[6, 0]]), bags=sparse.csr_array([[2.0, -1.0]]), epochs=1, learning_rate=0.5
    )
    near(trainer.embedding, [[1.5], [1.5]])
    assert_array_equal(trainer.linear, np.array([[2, -2]], library.dtype))  # g = h * residual = 0
    near(history[0]["nll"], np.log(2))
    near(trainer.squares[0], [16, 4])


def test_repeated_ids_are_summed_and_zeros_name_nothing(library, make_counts):
    embedding = np.ones((4, 3), library.dtype)
    _, counts = make_counts(3, 5)
    rows, ids, weights = [0, 0, 0, 1, 1, 2], [1, 3, 1, 2, 2, 0], [0.5, 1, 0.25, 2, -2, 0]
    repeated = sparse.coo_array((weights, (rows, ids)), (3, 4))
    summed = sparse.csr_array([[0, 0.75, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    trainers = [Trainer(embedding.copy(), np.eye(3, 5, dtype=library.dtype)) for _ in range(3)]
    unordered = sparse.csr_array((weights, ids, np.array([0, 3, 5, 6])), (3, 4))
    for trainer, bags in zip(trainers, (repeated, summed, unordered), strict=True):
        trainer.fit_counts(counts, bags=bags)
        assert bits(trainer) == bits(trainers[0])
    assert_array_equal(unordered.indices, ids)  # the caller's matrix is as it was
    assert (trainers[0].embedding[[1, 3]] != 1).all()
    assert_array_equal(trainers[0].embedding[[0, 2]], 1)


def test_a_bag_of_many_rows_is_trained_as_the_reference_does(library, near):
    inputs, dim = 100_000, 3
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(inputs, dim)).astype(library.dtype)
    linear = rng.normal(size=(dim, 5)).astype(library.dtype)
    dense = np.zeros((3, inputs))
    dense[1] = rng.normal(size=inputs) / 300
    dense[0, :2] = dense[2, 7] = 1
    counts = np.eye(3, 5)
    _, expected, expected_linear = reference.fit_counts(embedding, linear, counts, bags=dense, epochs=1)
    trainers = [Trainer(embedding.copy(), linear, threads=n) for n in (1, 2)]
    for trainer in trainers:
        trainer.fit_counts(sparse.csr_array(counts), bags=sparse.csr_array(dense), epochs=1)
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)
    assert bits(trainers[0]) == bits(trainers[1])


def test_inputs_whose_bags_are_all_empty_train_nothing_but_count(library, model, near):
    """Their h is 0: the logits are the bias."""
    embedding, linear, bias = model(5, 7, 3, library.dtype)
    counts = np.eye(4, 7)
    bags = np.zeros((4, 5))
    bags[3, 2] = 1
    trainer = Trainer(embedding.copy(), linear, bias=bias)
    near(
        trainer.nll(sparse.csr_array(counts[:2]), bags=sparse.csr_array(bags[[0, 3]])),
        reference.block_loss(reference.matvec(bags[[0, 3]] @ embedding, linear, bias), counts[:2]) / 2,
        scale=10,
    )
    trainer.fit_counts(sparse.csr_array(counts), bags=sparse.csr_array(bags), block_size=1, epochs=2, seed=0)
    still = [0, 1, 3, 4]
    assert_array_equal(trainer.embedding[still], embedding[still])
    assert (trainer.embedding[2] != embedding[2]).any()


@pytest.mark.parametrize("share", [0.3, 1])
def test_frozen_rows_keep_their_bits_and_still_count(library, model, make_counts, make_bags, near, share):
    embedding, linear, bias = model(20, 1100, 10, library.dtype)
    embedding[0, :2] = -0.0, np.finfo(library.dtype).smallest_subnormal
    dense, counts = make_counts(40, 1100)
    dense_bags, bags = make_bags(40, 20)
    frozen = np.union1d(np.flatnonzero(np.random.default_rng(1).random(20) < share), [0])
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    trainer.fit_counts(counts, bags=bags, frozen_rows=frozen, **OPTIONS)
    assert trainer.embedding[frozen].tobytes() == embedding[frozen].tobytes()
    assert_array_equal(trainer.squares[0][frozen], 0)
    _, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, frozen_rows=frozen, **OPTIONS
    )
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)


@pytest.mark.parametrize("with_bags", [False, True])
def test_row_rates_are_factors_on_the_rate_of_each_row(library, model, make_counts, make_bags, near, with_bags):
    embedding, linear, bias = model(40, 1100, 10, library.dtype)
    dense, counts = make_counts(40, 1100)
    dense_bags, bags = make_bags(40, 40) if with_bags else (None, None)
    rates = np.random.default_rng(0).gamma(1, size=40)
    rates[::7] = 0
    trainers = [Trainer(embedding.copy(), linear, bias=bias, threads=2) for _ in range(4)]
    trainers[0].fit_counts(counts, bags=bags, row_rates=rates, frozen_rows=[1], **OPTIONS)
    _, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, row_rates=rates, frozen_rows=[1], **OPTIONS
    )
    near(trainers[0].embedding, expected, times=100)
    near(trainers[0].linear, expected_linear, times=100)
    trainers[1].fit_counts(counts, bags=bags, row_rates=np.ones(40, int), **OPTIONS)
    trainers[2].fit_counts(counts, bags=bags, **OPTIONS)
    trainers[3].fit_counts(counts, bags=bags, row_rates=np.full(40, 2), learning_rate=0.35, **OPTIONS)
    assert bits(trainers[1]) == bits(trainers[2]) == bits(trainers[3])


@pytest.mark.parametrize("with_bags", [False, True])
def test_input_weights_are_those_in_both_gradients(library, model, make_counts, make_bags, near, with_bags):
    embedding, linear, bias = model(40, 1100, 10, library.dtype)
    dense, counts = make_counts(40, 1100)
    dense_bags, bags = make_bags(40, 40) if with_bags else (None, None)
    weights = np.random.default_rng(0).gamma(1, size=40)
    weights[::7] = 0
    weights[5] = 1e6  # has no counts, and so no share in the mean
    trainers = [Trainer(embedding.copy(), linear, bias=bias, threads=threads) for threads in (1, 2)]
    for trainer in trainers:
        history = trainer.fit_counts(counts, bags=bags, input_weights=weights, **OPTIONS)
        assert bits(trainer) == bits(trainers[0])
    nlls, expected, expected_linear = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, input_weights=weights, **OPTIONS
    )
    near([record["nll"] for record in history], nlls, scale=10)
    near(trainer.embedding, expected, times=100)
    near(trainer.linear, expected_linear, times=100)


@pytest.mark.parametrize("power", [1023, -1000])
def test_the_scale_of_input_weights_does_not_matter_even_where_their_sum_overflows(library, model, make_counts, power):
    embedding, linear, bias = model(40, 1100, 10, library.dtype)
    weights = 1 + np.random.default_rng(0).random(40) / 2
    trainers = [Trainer(embedding.copy(), linear, bias=bias) for _ in range(2)]
    for trainer, scaled in zip(trainers, (weights, np.ldexp(weights, power)), strict=True):
        trainer.fit_counts(make_counts(40, 1100)[1], input_weights=scaled, **OPTIONS)
    assert np.any(trainers[0].linear != linear)
    assert bits(trainers[0]) == bits(trainers[1])


def test_an_input_of_weight_zero_trains_nothing(library, model, make_bags):
    embedding, linear, _ = model(5, 7, 3, library.dtype)
    bags, counts = sparse.csr_array(np.eye(3, 5)), sparse.csr_array(np.eye(3, 7))
    trainer, without = Trainer(embedding.copy(), linear), Trainer(embedding.copy(), linear)
    trainer.fit_counts(counts, bags=bags, input_weights=[1, 0, 1], epochs=1)
    assert_array_equal(trainer.embedding[1], embedding[1])
    counts.data[1] = 0
    without.fit_counts(counts, bags=bags, input_weights=[1, 1, 1], epochs=1)
    np.testing.assert_allclose(trainer.linear, without.linear, rtol=1e-4, atol=1e-5)


def test_validation_has_bags_of_its_own_or_those_of_the_fit(library, model, make_counts, make_bags, near):
    embedding, linear, bias = model(20, 1100, 6, library.dtype)
    _, counts = make_counts(30, 1100)
    dense_bags, bags = make_bags(30, 20)
    own_dense, own = make_bags(11, 20, seed=1)
    for given, x, count in ((None, dense_bags, 30), (own, own_dense, 11)):
        dense, validation = make_counts(count, 1100, seed=2)
        expected, same = [], []

        def look(record, trainer, x=x, dense=dense, validation=validation, expected=expected, same=same):
            h = reference.gather(x, trainer.embedding)
            expected.append(reference.block_loss(reference.matvec(h, trainer.linear, bias), dense) / dense.sum())
            same.append(trainer.nll(validation, bags=sparse.csr_array(x)) == record["validation_nll"])

        trainer, plain = (Trainer(embedding.copy(), linear, bias=bias, threads=2) for _ in range(2))
        history = trainer.fit_counts(
            counts, bags=bags, validation_counts=validation, validation_bags=given, epochs=3, on_epoch_end=look
        )
        near([record["validation_nll"] for record in history], expected, scale=10)
        assert same == [True] * 3
        plain.fit_counts(counts, bags=bags, epochs=3)
        assert bits(trainer) == bits(plain)


def test_early_stopping_restores_the_best_parameters(library, model, make_counts, make_bags):
    embedding, linear, _ = model(20, 1100, 6, library.dtype)
    kept = []
    trainer = Trainer(embedding, linear)
    history = trainer.fit_counts(
        make_counts(30, 1100)[1],
        bags=make_bags(30, 20)[1],
        epochs=12,
        learning_rate=0.17,
        linear_learning_rate=0.25,
        validation_counts=make_counts(30, 1100, seed=1)[1],
        n_iter_no_change=1,
        on_epoch_end=lambda _, trainer: kept.append(bits(trainer)),
    )
    best = int(np.argmin([record["validation_nll"] for record in history]))
    assert 0 < best < len(history) - 1
    assert [record["kept"] for record in history] == [epoch == best for epoch in range(len(history))]
    assert bits(trainer) == kept[best]


def test_a_warm_start_and_grown_rows_carry_on(library, model, make_counts, make_bags, near):
    """A row that is new, and frozen ones, in the bags of a second fit."""
    embedding, linear, bias = model(20, 1100, 6, library.dtype)
    dense, counts = make_counts(30, 1100)
    dense_bags, bags = make_bags(30, 20)
    trainer = Trainer(embedding.copy(), linear, bias=bias, threads=2)
    trainer.fit_counts(counts, bags=bags, **OPTIONS)
    squares = np.zeros(22), np.zeros(1100)
    first = reference.fit_counts(
        embedding, linear, dense, bags=dense_bags, bias=bias, squares=(squares[0][:20], squares[1]), **OPTIONS
    )
    new = np.ones((2, 6), library.dtype)
    grown = trainer.grown(new)
    wide = np.hstack([dense_bags, np.eye(30, 2)])
    grown.fit_counts(counts, bags=sparse.csr_array(wide), warm_start=True, frozen_rows=range(20), **OPTIONS)
    second = reference.fit_counts(
        np.vstack([first[1], new]), first[2], dense, bags=wide, bias=bias, squares=squares, frozen_rows=range(20),
        **OPTIONS,
    )  # fmt: skip
    near(grown.embedding, second[1], times=100)
    near(grown.linear, second[2], times=100)
    assert grown.embedding[:20].tobytes() == trainer.embedding.tobytes()


def test_divergence_puts_back_the_last_good_parameters(model, make_counts, make_bags):
    embedding, linear, _ = model(20, 1100, 4, "float32")
    trainer = Trainer(embedding, linear, threads=2)
    kept = [bits(trainer)]
    with pytest.raises(TrainingDivergedError) as caught:
        trainer.fit_counts(
            make_counts(24, 1100)[1],
            bags=make_bags(24, 20)[1],
            epochs=50,
            learning_rate=1e30,
            linear_learning_rate=1e30,
            on_epoch_end=lambda *_: kept.append(bits(trainer)),
        )
    assert len(kept) == caught.value.epoch
    assert bits(trainer) == kept[-1]


def test_an_interrupt_leaves_whole_steps(model, make_counts, make_bags, monkeypatch):
    embedding, linear, bias = model(20, 1100, 4, "float32")
    _, counts = make_counts(24, 1100)
    _, bags = make_bags(24, 20)
    original, kept = BlockSteps._step, []

    def interrupt(self, rows, next_rows, fall, number):
        if number == 6:
            kept.append(self.parameters.embedding.copy())
            raise KeyboardInterrupt
        return original(self, rows, next_rows, fall, number)

    monkeypatch.setattr(BlockSteps, "_step", interrupt)
    trainer = Trainer(embedding, linear, bias=bias, threads=2)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit_counts(counts, bags=bags, block_size=4)
    assert (kept[0] != model(20, 1100, 4, "float32")[0]).any()
    assert_array_equal(trainer.embedding, kept[0])


def test_a_callback_cannot_change_the_bags_that_are_trained_on(make_counts, make_bags):
    results = []
    for change in (False, True):
        bags, validation_bags = make_bags(9, 4)[1], make_bags(9, 4, seed=1)[1]

        def spoil(record, trainer, change=change, given=(bags, validation_bags)):
            if change:
                for matrix in given:
                    matrix.indices[:] = 1 << 30
                    matrix.data[:] = NAN

        trainer = Trainer.random(4, 2, output_size=5, dtype="float64", seed=0)
        trainer.fit_counts(
            make_counts(9, 5)[1],
            bags=bags,
            validation_counts=make_counts(9, 5, seed=1)[1],
            validation_bags=validation_bags,
            epochs=3,
            on_epoch_end=spoil,
        )
        results.append(bits(trainer))
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("inputs", "entries"), [(1, 1), (10, 100), (100, 10)])
def test_bag_bytes_is_what_the_workspace_of_bags_takes(dtype, inputs, entries):
    parameters = Parameters.untrained(np.zeros((inputs, 3), dtype), np.zeros((3, 5), dtype), None)
    scratch = vars(BagScratch(parameters, entries, threads=2))
    taken = sum(array.nbytes for name, array in scratch.items() if name != "row_gradients")
    assert taken == bag_bytes(inputs, entries, np.dtype(dtype).itemsize)


def test_the_workspace_holds_the_largest_bags_of_any_block(model, make_counts):
    """Three of the four bags, of 1, 2, 30 and 4 ids, and those without counts do not matter."""
    ids = [[0], [0, 1], range(30), range(4), range(40)]
    bags = sparse.csr_array((np.ones(77), np.concatenate(ids).astype(int), np.cumsum([0, *map(len, ids)])), (5, 40))
    counts = np.eye(5)
    counts[4] = 0
    trainer = Trainer.random(40, 2, output_size=5, seed=0)
    checked = check_bags("bags", bags, 40, np.dtype("float32"))
    groups, options = CSRGroups(sparse.csr_array(counts)), FitOptions(block_size=3)
    fit = BlockSteps(trainer._parameters, groups, options, trainer._pool, bags=checked)
    assert fit._most_entries(checked) == 36


# ---------------------------------------------------------------- bad input


def one_entry(value):
    return sparse.csr_array(([1.0, value], ([0, 2], [1, 3])), (3, 4))


BAD_BAGS = [
    (np.ones((3, 4)), TypeError, "bags must be a SciPy sparse array, got ndarray"),
    ([[0, 1]], TypeError, "bags must be a SciPy sparse array, got list"),
    (sparse.csr_array((3, 5)), ValueError, "bags must have shape (N, 4), a column for each row of the embedding, got"),
    (sparse.csr_array((4, 3)), ValueError, "bags must have shape (N, 4), a column for each row of the embedding, got"),
    (sparse.csr_array((3, 4)), ValueError, "bags of shape (3, 4) must hold at least one weight, but all are zero"),
    (sparse.csr_array((0, 4)), ValueError, "bags of shape (0, 4) must hold at least one weight, but all are zero"),
    (one_entry(NAN), ValueError, "bags must be finite, but bags[1] is nan"),
    (one_entry(-INF), ValueError, "bags must be finite, but bags[1] is -inf"),
    (one_entry(1e39), ValueError, "bags in float32 must be finite, but bags in float32[1] is inf"),
    (one_entry(1j), TypeError, "bags must hold real numbers, got dtype complex128"),
    (
        sparse.csr_array(([1e308, 1e308], [1, 1], [0, 2, 2, 2]), (3, 4)),
        ValueError,
        "the sums of bags must be finite, but the sums of bags[0] is inf",
    ),
]


def with_ids(*ids):
    matrix = sparse.csr_array((np.ones(3), np.array([0, 1, 2]), np.arange(4)), (3, 4))
    matrix.indices[:] = ids
    return matrix


@pytest.mark.parametrize(
    ("bags", "error", "message"),
    [
        *BAD_BAGS,
        (with_ids(0, 4, 1), ValueError, "bags.indices must be ids from 0 to 3, but bags.indices[1] is 4"),
        (with_ids(0, 1, -1), ValueError, "bags.indices must be ids from 0 to 3, but bags.indices[2] is -1"),
    ],
)
def test_bags_are_checked_and_nothing_is_changed(bags, error, message):
    trainer = Trainer.random(4, 2, output_size=3, seed=0)
    trainer.fit_counts(sparse.eye_array(4, 3), epochs=1)
    before, counts = bits(trainer), sparse.eye_array(3)
    for call in (
        lambda: trainer.fit_counts(counts, bags=bags),
        lambda: trainer.nll(counts, bags=bags),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
    validation = message.replace("bags ", "validation_bags ").replace("bags[", "validation_bags[")
    validation = validation.replace("bags.", "validation_bags.")
    with pytest.raises(error, match=re.escape(validation)):
        trainer.fit_counts(counts, bags=one_entry(1.0), validation_counts=counts, validation_bags=bags)
    assert bits(trainer) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bags": sparse.eye_array(2, 4)}, ValueError, "counts must have shape (2, 3), bags by outputs, got (3, 3)"),
        ({"bags": None}, ValueError, "counts must have shape (4, 3), inputs by outputs, got (3, 3)"),
        ({"validation_bags": one_entry(1.0)}, ValueError, "validation_bags need validation_counts"),
        (
            {"validation_counts": sparse.eye_array(2, 3)},
            ValueError,
            "validation_counts must have shape (3, 3), bags by outputs, got (2, 3)",
        ),
        ({"row_rates": [1, 1, 1]}, ValueError, "row_rates must have shape (4,), one for each input, got (3,)"),
        ({"row_rates": [1, 1, -1, 1]}, ValueError, "row_rates must be non-negative, but row_rates[2] is -1"),
        ({"row_rates": [1, 1, NAN, 1]}, ValueError, "row_rates must be finite, but row_rates[2] is nan"),
        (
            {"input_weights": [1, 1]},
            ValueError,
            "input_weights must have shape (3,), one for each row of counts, got (2,)",
        ),
        ({"input_weights": [1, 1, -1]}, ValueError, "input_weights must be non-negative, but input_weights[2] is -1"),
        ({"input_weights": [1, 1, INF]}, ValueError, "input_weights must be finite, but input_weights[2] is inf"),
        ({"input_weights": [0, 0, 0]}, ValueError, "input_weights must be positive for at least one input with counts"),
        ({"row_rates": "1111"}, TypeError, "row_rates must hold real numbers, got dtype <U4"),
        ({"frozen_rows": [4]}, ValueError, "frozen_rows must be ids from 0 to 3"),
    ],
)
def test_what_goes_with_bags_is_checked(options, error, message):
    trainer = Trainer.random(4, 2, output_size=3, seed=0)
    before = bits(trainer)
    with pytest.raises(error, match=re.escape(message)):
        trainer.fit_counts(sparse.eye_array(3), **{"bags": one_entry(1.0)} | options)
    assert bits(trainer) == before


def test_the_bits_of_a_fit_do_not_depend_on_the_dtype_of_the_bags(make_counts, make_bags):
    dense = make_bags(9, 4)[0] > 0
    results = []
    for dtype in (bool, np.int8, np.int64, np.float32, np.float64):
        trainer = Trainer.random(4, 2, output_size=5, seed=0)
        trainer.fit_counts(make_counts(9, 5)[1], bags=sparse.csr_array(dense.astype(dtype)))
        results.append(bits(trainer))
    assert all(found == results[0] for found in results)
