"""The arrays of a trainer as tensors of a file, alone or in the file of a model that has more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastembed._base.validation import check_amounts, check_finite

if TYPE_CHECKING:
    from fastembed.trainer.trainer import Trainer

SQUARES = ("squares.matrix", "squares.linear")  # the tensors of `Trainer.squares`


def trainer_tensors(trainer: Trainer) -> dict[str, NDArray[Any]]:
    """Return the tensors that hold all that training changes, and the bias if there is one."""
    bias = {} if trainer.bias is None else {"bias": trainer.bias}
    squares = dict(zip(SQUARES, trainer.squares, strict=True))
    return {"matrix": trainer.embedding, "linear": trainer.linear, **bias, **squares}


def check_trainer(trainer: Trainer) -> None:
    """Raise ValueError for what a file would not be read with: numbers that are not finite."""
    check_finite("embedding", trainer.embedding)
    check_finite("linear", trainer.linear)
    for name, squares in zip(SQUARES, trainer.squares, strict=True):
        check_amounts(name, squares)


def restore_squares(trainer: Trainer, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Set the sums of squared gradients of a new trainer to those of a file.

    Raises
    ------
    KeyError
        If a tensor is missing.
    TypeError, ValueError
        If a tensor has another dtype or shape, or holds no sums.
    """
    for name, own in zip(SQUARES, trainer.squares, strict=True):
        if tensors[name].dtype != own.dtype or tensors[name].shape != own.shape:
            found = f"{tensors[name].dtype} of shape {tensors[name].shape}"
            raise ValueError(f"{name!r} must be {own.dtype} of shape {own.shape}, got {found}")
        check_amounts(name, tensors[name])
        own[:] = tensors[name]
