"""`CountsFit`: one fit of an embedding and a linear layer to counts, from its arguments to its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastembed._base.threads import Pool
from fastembed.trainer.blocks import BlockFit
from fastembed.trainer.checkpoint import Checkpoint, CheckpointFile
from fastembed.trainer.data import FitData, GivenData
from fastembed.trainer.epochs import Record, run_epochs
from fastembed.trainer.options import FitOptions
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.ranks import Ranks, agreed


@dataclass(frozen=True, eq=False)
class CountsFit:
    """The arguments of a fit.

    Parameters
    ----------
    given : GivenData
    options : FitOptions
    rng : Generator
        The generator of the order of the inputs.
    identity : callable
        Returns, for the checked data, the identity of the fit that checkpoints and ranks compare.
    start : callable, optional
        Returns the `start` of a `Checkpoint`.
    on_epoch_end : callable, optional
        Called with the record of each epoch; training ends early if it returns True.
    file : CheckpointFile, optional
    ranks : Ranks, optional
        The ranks that make this fit together.
    """

    given: GivenData
    options: FitOptions
    rng: np.random.Generator
    identity: Callable[[FitData], dict[str, Any]]
    start: Callable[[], Mapping[str, Any]] = dict
    on_epoch_end: Callable[[Record], object] | None = None
    file: CheckpointFile | None = None
    ranks: Ranks | None = None

    def prepare(self, parameters: Parameters, pool: Pool) -> Callable[[], list[Record]]:
        """Check the data; return the function that trains the parameters in place and returns the records.

        See `Trainer.fit_counts`.
        """
        data, fit, validation = agreed(self.ranks, lambda: self._block_fits(parameters, pool))
        if self.ranks is not None:
            return partial(self._run_with, self.ranks, data, fit, validation)
        return lambda: run_epochs(fit, self.rng, validation, self.on_epoch_end, self._checkpoint(data))

    def _run_with(self, ranks: Ranks, data: FitData, fit: BlockFit, validation: BlockFit | None) -> list[Record]:
        assert fit.exchange is not None
        checkpoint = self._checkpoint(data)
        ranks.compare(self.identity(data))
        ranks.start(fit.parameters, self.rng)
        ranks.warn_if_slower(fit.exchange)
        shared = ranks.checkpoint(checkpoint)
        return ranks.shared(run_epochs(fit, self.rng, validation, ranks.deciding(self.on_epoch_end), shared))

    def _block_fits(self, parameters: Parameters, pool: Pool) -> tuple[FitData, BlockFit, BlockFit | None]:
        """Return the checked data, and the fits to the counts and to the validation counts."""
        patience = self.options.n_iter_no_change
        if patience is not None and self.given.validation_counts is None:
            raise ValueError(f"n_iter_no_change={patience} needs validation_counts")
        data = self.given.checked(parameters, pool, own=self.on_epoch_end is not None)  # the callback may change arrays
        fit = BlockFit(
            parameters, data.counts, self.options, pool, data.row_rates, data.bags, data.input_weights, self.ranks
        )
        if data.validation_counts is None:
            return data, fit, None
        held_out = data.validation_counts
        validation = BlockFit(parameters, held_out, self.options, pool, bags=data.validation_bags, ranks=self.ranks)
        return data, fit, validation

    def _checkpoint(self, data: FitData) -> Checkpoint | None:
        return None if self.file is None else Checkpoint(self.file, self.identity(data), self.start())
