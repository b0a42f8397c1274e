"""The file of a trainer: its arrays as tensors, alone or as part of the file of a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import check_amounts, check_finite
from fastembed.formats.tensors import check_header, header, map_tensors, write_tensors

if TYPE_CHECKING:
    from fastembed.trainer.trainer import Trainer

T = TypeVar("T", bound="Trainer")

SQUARES = ("squares.matrix", "squares.linear")  # the tensors of `Trainer.squares`


def write_trainer(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Write a trainer; raise ValueError for numbers that are not finite, which could not be read."""
    check_finite("embedding", trainer.embedding)
    check_finite("linear", trainer.linear)
    for name, squares in zip(SQUARES, trainer.squares, strict=True):
        check_amounts(name, squares)
    factors = {"loss_scale": trainer.loss_scale, "learning_rate": trainer.learning_rate}
    write_tensors(path, trainer_tensors(trainer), header("parameters", factors))


def read_trainer(path: str | os.PathLike[str], make: Callable[..., T]) -> T:
    """Return a trainer from a file, created by a call of `make` like that of `Trainer`; raise as `Trainer.load`."""
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "parameters", path)
    try:
        embedding, linear, bias = np.array(tensors["matrix"]), tensors["linear"], tensors.get("bias")
        factors = {name: settings[name] for name in ("loss_scale", "learning_rate")}
        trainer = make(embedding, linear, bias=bias, **factors)
        restore_squares(trainer, tensors)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a trainer that fits together: {what}") from error
    return trainer


def trainer_tensors(trainer: Trainer) -> dict[str, NDArray[Any]]:
    """Return the tensors of all arrays that training changes, and of the bias if there is one."""
    bias = {} if trainer.bias is None else {"bias": trainer.bias}
    squares = dict(zip(SQUARES, trainer.squares, strict=True))
    return {"matrix": trainer.embedding, "linear": trainer.linear, **bias, **squares}


def restore_squares(trainer: Trainer, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Set the sums of squared gradients of a new trainer to those of a file.

    Raises
    ------
    KeyError
        If a tensor is missing.
    TypeError, ValueError
        If a tensor has another dtype or shape, or its values are not valid sums.
    """
    for name, own in zip(SQUARES, trainer.squares, strict=True):
        if tensors[name].dtype != own.dtype or tensors[name].shape != own.shape:
            found = f"{tensors[name].dtype} of shape {tensors[name].shape}"
            raise ValueError(f"{name!r} must be {own.dtype} of shape {own.shape}, got {found}")
        check_amounts(name, tensors[name])
        own[:] = tensors[name]
