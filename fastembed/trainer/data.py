"""The data of a fit: counts, the bags and the weights of their inputs, and held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed._base.threads import Pool
from fastembed.counts.groups import CSRGroups, GroupedCounts, Totals
from fastembed.trainer.bags import Bags, check_bags
from fastembed.trainer.checks import check_counts, check_input_weights, check_row_rates
from fastembed.trainer.parameters import Parameters


class FitData(NamedTuple):
    """The checked data of a fit: counts, bags, factors on the learning rates of rows of E, weights of the inputs."""

    counts: GroupedCounts
    bags: Bags | None = None
    row_rates: NDArray[np.float64] | None = None
    input_weights: NDArray[np.float64] | None = None
    validation_counts: GroupedCounts | None = None
    validation_bags: Bags | None = None


@dataclass(frozen=True, eq=False)
class GivenData:
    """The unchecked data arguments of a fit, as documented by `Trainer.fit_counts`."""

    counts: Any
    bags: Any = None
    row_rates: ArrayLike | None = None
    frozen_rows: ArrayLike = ()
    input_weights: ArrayLike | None = None
    validation_counts: Any = None
    validation_bags: Any = None

    def checked(self, parameters: Parameters, pool: Pool, *, own: bool = False) -> FitData:
        """Check the data for a fit of these parameters and return it; with `own` in arrays without other references.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as documented.
        """
        if self.validation_bags is not None and self.validation_counts is None:
            raise ValueError("validation_bags need validation_counts")
        rates = check_row_rates(self.row_rates, self.frozen_rows, parameters.inputs)
        bags = _bags("bags", self.bags, parameters, own)
        counts, weights = _counts("counts", self.counts, bags, parameters, own), None
        if self.input_weights is not None:
            weights = check_input_weights(self.input_weights, Totals.of(counts, pool).rows)
        data = FitData(counts, bags, rates, weights)
        if self.validation_counts is None:
            return data
        others = bags
        if self.validation_bags is not None:
            others = _bags("validation_bags", self.validation_bags, parameters, own)
        held_out = _counts("validation_counts", self.validation_counts, others, parameters, own)
        return data._replace(validation_counts=held_out, validation_bags=others)


def _bags(name: str, bags: Any, parameters: Parameters, own: bool) -> Bags | None:
    if bags is None:
        return None
    checked = check_bags(name, bags, parameters.inputs, parameters.dtype)
    return checked.copy() if own else checked


def _counts(name: str, counts: Any, bags: Bags | None, parameters: Parameters, own: bool) -> GroupedCounts:
    rows, what = (parameters.inputs, "inputs") if bags is None else (len(bags), "bags")
    groups = check_counts(counts, (rows, parameters.outputs), name, what)
    return groups.own() if own and isinstance(groups, CSRGroups) else groups
