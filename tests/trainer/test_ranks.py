"""Fits by several ranks: the bits of one process; ranks that differ or fail; and checkpoints."""

from functools import partial

import numpy as np
import pytest
from scipy import sparse

from fastembed import Trainer
from fastembed.counts.store import GroupedCounts

ROWS, OUTPUTS, DIM = 50, 5000, 5  # eight shards
OPTIONS = {"epochs": 3, "block_size": 7, "learning_rate": 0.2}


@pytest.fixture
def new(model):
    """Make a trainer, always the same but for the seed."""

    def make(threads=1, dtype="float32", seed=0, outputs=OUTPUTS):
        embedding, linear, bias = model(ROWS, outputs, DIM, dtype, seed)
        return Trainer(embedding, linear, bias=bias, threads=threads)

    return make


@pytest.fixture
def counts(make_counts):
    """Counts of all rows but every third."""
    return make_counts(ROWS, OUTPUTS)[1]


@pytest.fixture
def make_bags():
    """Make bags, three rows of the embedding each, of signed weights."""

    def make(seed=0):
        rng = np.random.default_rng(seed)
        return sparse.random_array((ROWS, ROWS), density=3 / ROWS, random_state=rng, format="csr") - sparse.eye_array(
            ROWS, format="csr"
        )

    return make


def bits(trainer):
    return [trainer.embedding.tobytes(), trainer.linear.tobytes(), *(each.tobytes() for each in trainer.squares)]


@pytest.fixture
def check(new, on_ranks):
    """Fit on one process, and on each of some numbers of ranks; the bits and records must be the same on all."""

    def run(sizes, dtype="float32", **options):
        options = OPTIONS | options
        alone = new(2, dtype)
        records = alone.fit_counts(**options)
        start = bits(new(1, dtype))
        assert bits(alone) != start
        for size in sizes:

            def fit(comm):
                trainer = new(1 + comm.rank % 2, dtype)
                history = trainer.fit_counts(comm=comm, **options)
                return history, bits(trainer)

            for history, found in on_ranks(size, fit):
                assert history == records
                assert found == bits(alone)

    return run


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_ranks_ends_with_the_bits_of_one_process(check, counts, dtype):
    check([1, 2, 3, 4, 5, 7, 8], dtype, counts=counts)


def test_the_embedding_may_be_joined_several_times_in_an_epoch(check, counts, set_constant):
    """The memory is large enough for dH of two blocks. Arrays are sent in several messages."""
    set_constant("fastembed.trainer.exchange.KEPT_BYTES", 1)
    set_constant("fastembed.trainer.ranks.SENT_BYTES", 1000)
    check([2, 3, 4], counts=counts)


@pytest.mark.parametrize("with_bags", [False, True])
def test_a_rank_may_have_several_nodes_of_several_shards(check, counts, make_bags, set_constant, with_bags):
    """One of three ranks has two nodes of two shards, the others one; of five, three have two nodes of one shard."""
    set_constant("fastembed.trainer.ranks.RANK_NODES", 1)
    check([3, 5], counts=counts, bags=make_bags() if with_bags else None)


@pytest.mark.parametrize(
    "options",
    [
        {"block_size": 1, "epochs": 1},
        {"block_size": 1000, "frozen_rows": [0, 3], "row_rates": np.linspace(0, 1, ROWS), "learning_rate": 0.1},
        {"optimizer": "sgd", "l2": 0.1, "linear_l2": 0.2},
        {"input_weights": np.linspace(1, 2, ROWS), "linear_learning_rate": 0},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("with_bags", [False, True])
def test_the_options_are_those_of_one_process(check, counts, make_bags, options, with_bags):
    check([3], counts=counts, bags=make_bags() if with_bags else None, **options)


def test_validation_ends_all_ranks_at_once_with_the_best_parameters(check, counts, make_counts, make_bags):
    others = {"validation_counts": make_counts(ROWS, OUTPUTS, 1)[1], "n_iter_no_change": 1}
    check([2], counts=counts, epochs=20, **others)
    check([2], counts=counts, epochs=20, bags=make_bags(), validation_bags=make_bags(1), **others)


def test_groups_of_rows_may_be_read_while_training(check, counts, set_constant, monkeypatch):
    """Each rank asks the counts for the columns of its shards."""
    set_constant("fastembed.counts.groups.GROUP_ROWS", 8)
    asked, of_shards = [], GroupedCounts.of_shards

    def asking(counts, shards):
        asked.append((shards.start, shards.stop))
        return of_shards(counts, shards)

    monkeypatch.setattr(GroupedCounts, "of_shards", asking)
    check([4], counts=counts)
    assert sorted(asked) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    asked.clear()
    check([3], counts=counts)
    assert sorted(asked) == [(0, 2), (2, 5), (5, 8)]


# ---------------------------------------------------------------- rank 0 leads


def test_all_start_from_the_parameters_and_the_generator_of_rank_0(new, on_ranks, counts):
    alone = new(seed=0)
    alone.fit_counts(counts, seed=np.random.default_rng(0), **OPTIONS)

    def fit(comm):
        trainer = new(seed=comm.rank)
        trainer.bias[:] = new().bias
        trainer.fit_counts(counts, seed=np.random.default_rng(comm.rank), comm=comm, **OPTIONS)
        return bits(trainer)

    assert on_ranks(2, fit) == [bits(alone)] * 2


def test_rank_0_alone_calls_back_and_may_end_training_on_all(new, on_ranks, counts):
    calls = []

    def fit(comm):
        trainer = new()

        def on_epoch_end(record):
            calls.append((comm.rank, record["epoch"], bits(trainer)))
            return record["epoch"] == 2

        history = trainer.fit_counts(counts, on_epoch_end=on_epoch_end, comm=comm, **OPTIONS)
        return history, bits(trainer)

    results = on_ranks(4, fit)
    assert [call[:2] for call in calls] == [(0, 1), (0, 2)]
    assert all(history == results[0][0] and len(history) == 2 for history, _ in results)  # their times too
    assert all(found == calls[-1][2] for _, found in results)


# ---------------------------------------------------------------- ranks that differ


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"epochs": 4}, "rank 1 on .* has epochs 4, but rank 0 on .* has 3"),
        ({"seed": 1}, "rank 1 on .* has seed 1, but rank 0 on .* has 0"),
        ({"counts": None}, "rank 1 on .* has counts [0-9a-f]+, but rank 0"),
    ],
)
def test_ranks_with_other_arguments_are_named(new, on_ranks, counts, make_counts, what, message):
    others = make_counts(ROWS, OUTPUTS, 5)[1]

    def fit(comm):
        trainer = new()
        options = OPTIONS | {"counts": counts}
        if comm.rank:
            options |= {"counts": others} if "counts" in what else what
        with pytest.raises(ValueError, match=message):
            trainer.fit_counts(comm=comm, **options)
        return bits(trainer)

    assert on_ranks(2, fit) == [bits(new())] * 2
    assert on_ranks.aborted == []


def test_what_one_rank_rejects_all_raise(new, on_ranks, counts):
    def fit(comm):
        new().fit_counts(counts if comm.rank == 0 else counts[:-1], comm=comm)

    errors = on_ranks(2, fit)
    assert str(errors[0]).startswith("rank 1: counts must have shape (50, 5000)")
    assert str(errors[1]).startswith("counts must have shape (50, 5000)")
    assert [type(error) for error in errors] == [ValueError] * 2
    assert on_ranks.aborted == []


@pytest.mark.parametrize("wrong", [{"learning_rate": -1}, {"on_epoch_end": 3}, {"n_iter_no_change": 1}], ids=str)
def test_a_wrong_option_of_one_rank_is_an_error_of_all(new, on_ranks, counts, wrong):
    errors = on_ranks(2, lambda comm: new().fit_counts(counts, comm=comm, **wrong if comm.rank else {}))
    assert str(errors[0]).startswith("rank 1: ")
    assert all(isinstance(error, ValueError | TypeError) for error in errors)
    assert on_ranks.aborted == []


def test_a_communicator_has_the_methods_of_mpi4py(new, counts):
    with pytest.raises(TypeError, match=r"comm must be a communicator, such as mpi4py's MPI\.COMM_WORLD, got 4"):
        new().fit_counts(counts, comm=4)


def test_there_are_at_most_as_many_ranks_as_shards(new, on_ranks, make_counts):
    for error in on_ranks(3, lambda comm: new(outputs=2000).fit_counts(make_counts(ROWS, 2000)[1], comm=comm)):
        assert isinstance(error, ValueError)
        assert "ranks must be at most 2, the number of shards of the outputs, got 3" in str(error)


# ---------------------------------------------------------------- ranks that fail


def test_an_exception_of_one_rank_in_the_middle_ends_all(new, on_ranks, counts):
    def fit(comm):
        def on_epoch_end(record):
            raise KeyError("of the callback")

        return new().fit_counts(counts, on_epoch_end=on_epoch_end, comm=comm, **OPTIONS)

    results = on_ranks(2, fit)
    assert isinstance(results[0], KeyError)
    assert on_ranks.aborted[0] == (0, 1)
    assert "on rank 0 of 2" in results[0].__notes__[0]


# ---------------------------------------------------------------- checkpoints


def test_another_number_of_ranks_goes_on_from_a_checkpoint_to_the_same_bits(new, on_ranks, counts, tmp_path):
    alone = new()
    alone.fit_counts(counts, **OPTIONS)
    path = tmp_path / "checkpoint"

    def fit(comm, fails_at=0):
        def on_epoch_end(record):
            if record["epoch"] == fails_at:
                raise OSError

        trainer = new()
        options = {"checkpoint": path} if comm is None or comm.rank == 0 else {}
        trainer.fit_counts(counts, on_epoch_end=on_epoch_end, comm=comm, **OPTIONS, **options)
        return bits(trainer)

    on_ranks(2, partial(fit, fails_at=2))
    written = path.read_bytes()
    for size in (1, 3, 4):
        path.write_bytes(written)
        assert on_ranks(size, fit) == [bits(alone)] * size
    path.write_bytes(written)
    assert fit(None) == bits(alone)
