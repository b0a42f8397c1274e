"""Exceptions that only this library raises."""

from __future__ import annotations

import fastembed


class TrainingDivergedError(FloatingPointError):
    """A loss or a parameter is no longer finite; the parameters have been put back to the last good ones.

    Those are the parameters at the end of the last finished epoch, or at the start.

    Parameters
    ----------
    what : str
    epoch : int
    block : int or None

    Attributes
    ----------
    epoch : int
        The epoch, from 1.
    block : int or None
        The block of the epoch, from 0, whose loss was not finite; None if a parameter was not finite at its end.

    Examples
    --------
    >>> error = TrainingDivergedError("the loss is nan", 2, 7)
    >>> str(error), error.epoch, error.block
    ('the loss is nan', 2, 7)
    """

    def __init__(self, what: str, epoch: int, block: int | None = None) -> None:
        super().__init__(what, epoch, block)  # all arguments, so that the error can be pickled
        self.epoch = epoch
        self.block = block

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return fastembed._restore, ("TrainingDivergedError", *self.args)
