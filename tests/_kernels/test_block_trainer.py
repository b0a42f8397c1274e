"""The trainer of blocks and its crew of threads, without the library around it."""

import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import reference
from fastembed._base.threads import matrix_product, single_threaded_blas
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.blocks import Scratch
from fastembed.trainer.parameters import Parameters

TIME_LIMIT = 300  # seconds, for threads that would otherwise hang
INPUTS, OUTPUTS, DIM = 60, 2500, 5  # four shards
BLOCKS = [slice(0, 20), slice(20, 40), slice(40, 45)]


class Bound:
    """Parameters, and counts without empty rows, bound to a trainer with a number of threads."""

    def __init__(self, kernels, model, make_counts, threads, biased=True):
        embedding, linear, bias = model(INPUTS, OUTPUTS, DIM, kernels.dtype)
        self.start = embedding.copy(), linear, bias if biased else None
        dense, _ = make_counts(INPUTS, OUTPUTS)
        self.dense = dense + np.eye(INPUTS, OUTPUTS)
        counts = [np.flatnonzero(row) for row in self.dense]
        self.parameters = p = Parameters.untrained(embedding, linear, self.start[2])
        self.rows = np.arange(INPUTS)[::-1].copy()
        bounds = shard_bounds(OUTPUTS)
        self.trainer = kernels.block_trainer(
            p.embedding,
            p.weights,
            p.bias,
            p.squares,
            p.linear_squares,
            bounds,
            np.ones(INPUTS),
            np.ones(INPUTS, kernels.dtype),
            np.cumsum([0, *map(len, counts[:-1])]),
            np.cumsum([*map(len, counts)]),
            np.concatenate(counts).astype(np.int32),
            self.dense[self.dense != 0],
            self.dense.sum(axis=1),
            matrix_product(np.dtype(kernels.dtype)),
            0.9,
            Scratch(p, bounds, 20, threads),
            None,
            None,
            None,
            None,
        )

    def run(self, rates=(0.3, 0.2), pause=0.0):
        """Make a step on each of the blocks; return their nlls."""
        blocks = [self.rows[block] for block in BLOCKS]
        nlls = []
        with single_threaded_blas():
            for t, (rows, next_rows) in enumerate(zip(blocks, [*blocks[1:], None], strict=True), 1):
                time.sleep(pause)
                nlls.append(self.trainer.step(rows, next_rows, *rates, 1 - 0.9**t))
            self.trainer.finish()
        return nlls

    def bits(self):
        p = self.parameters
        return [a.tobytes() for a in (p.embedding, p.weights, p.squares, p.linear_squares)]


@pytest.mark.parametrize("biased", [False, True])
def test_a_step_is_the_references(kernels, model, make_counts, near, biased):
    bound = Bound(kernels, model, make_counts, threads=1, biased=biased)
    rows = bound.rows[:20]
    embedding, linear, bias = bound.start
    x = reference.matvec(embedding[rows], linear, bias)
    residual = reference.block_residual(x, bound.dense[rows])
    with single_threaded_blas():
        nll = bound.trainer.step(rows, None, 0.3, 0.2, 0.1)
    near(nll, reference.block_loss(x, bound.dense[rows]))
    assert_array_equal(bound.parameters.embedding, embedding)  # its update waits
    bound.trainer.finish()
    g = residual @ linear.T.astype(np.float64)
    expected, _ = reference.momentum_adagrad(embedding[rows], g, g, np.zeros(20), 0.3)
    near(bound.parameters.embedding[rows], expected, times=10)
    g = residual.T @ embedding[rows].astype(np.float64)
    expected, _ = reference.momentum_adagrad(linear.T, g, g, np.zeros(OUTPUTS), 0.2)
    near(bound.parameters.linear.T, expected, times=10)


@pytest.mark.parametrize("pause", [0, 0.01])
@pytest.mark.parametrize("threads", [2, 4, 7])
def test_a_crew_gives_the_same_bits_awake_and_asleep(kernels, model, make_counts, threads, pause):
    """Its members spin for microseconds and then sleep; it can be opened again."""
    alone, shared = (Bound(kernels, model, make_counts, n) for n in (1, threads))
    for _ in range(2):
        shared.trainer.open()
        members = [threading.Thread(target=shared.trainer.work, args=(m,), daemon=True) for m in range(1, threads)]
        for member in members:
            member.start()
        nlls = shared.run(pause=pause)
        shared.trainer.close()
        for member in members:
            member.join(TIME_LIMIT)
            assert not member.is_alive()
        assert nlls == alone.run()
        assert shared.bits() == alone.bits()


def test_members_of_a_closed_crew_return_at_once(kernels, model, make_counts):
    bound = Bound(kernels, model, make_counts, threads=3)
    bound.trainer.work(1)
    bound.trainer.open()
    bound.trainer.close()
    bound.trainer.work(2)
    assert np.isfinite(bound.run()).all()  # the leader makes all steps alone


@pytest.mark.parametrize("rates", [(0, 0), (0.3, 0), (0, 0.2)])
def test_a_rate_of_zero_changes_nothing_of_its_own(kernels, model, make_counts, rates):
    bound = Bound(kernels, model, make_counts, threads=1)
    bound.run(rates)
    assert (bound.parameters.embedding != bound.start[0]).any() == (rates[0] > 0)
    assert (bound.parameters.linear != bound.start[1]).any() == (rates[1] > 0)


def test_a_loss_that_is_not_finite_changes_nothing(kernels, model, make_counts):
    bound = Bound(kernels, model, make_counts, threads=1)
    bound.parameters.weights[7, 0] = np.nan
    before = bound.bits()
    assert not np.isfinite(bound.run()).any()
    assert bound.bits() == before
