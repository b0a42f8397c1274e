"""The trainer of blocks and its crew of threads, without the library around it."""

import threading
import time

import numpy as np
import pytest

from fastembed._base.threads import matrix_product, single_threaded_blas
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.blocks import Scratch
from fastembed.trainer.parameters import Parameters

TIME_LIMIT = 300  # seconds, for threads that would otherwise hang
INPUTS, OUTPUTS, DIM = 60, 2500, 5  # four shards
BLOCKS = [slice(0, 20), slice(20, 40), slice(40, 45)]


class Bound:
    """Parameters, and counts without empty rows, bound to a trainer with a number of threads."""

    def __init__(self, kernels, model, make_counts, threads):
        embedding, linear, bias = model(INPUTS, OUTPUTS, DIM, kernels.dtype)
        self.start = embedding.copy(), linear, bias
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
