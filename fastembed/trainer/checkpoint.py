"""Checkpoints: files from which a fit resumes, with the same bits as without an interruption.

A checkpoint is written after each epoch. It holds the arrays that steps change and those of the best epoch; where the
fit is; and the arguments of the fit, so that no other call resumes from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import shown
from fastembed.formats.atomic import check_writable
from fastembed.formats.tensors import check_header, fitting, header, map_tensors, read_fields, write_tensors

DIGITS = 64  # of a SHA-256 in hexadecimal
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Position:
    """Where a fit is between two epochs.

    Attributes
    ----------
    generator : dict
        The state of the generator that draws the order of the next epoch.
    history : list of dict
        The records of the completed epochs.
    best_epoch : int
    lowest : float
        The validation nll of that epoch.
    ended : bool
        Whether training has ended.
    """

    generator: Mapping[str, Any]
    history: list[dict[str, Any]]
    best_epoch: int = 0
    lowest: float = math.inf
    ended: bool = False


class Checkpoint:
    """The file of one fit, which the fit reads when it starts and writes after each epoch.

    Parameters
    ----------
    path : str
        From `check_checkpoint`.
    identity : mapping of str to object
        The arguments of the fit, under the names that errors use.
    parameters : mapping of str to ndarray
        What the fit trains, before it starts.
    generator : mapping or None
        The state of the caller's generator.
    """

    def __init__(self, path: str, identity: Mapping[str, Any], parameters: Arrays, generator: Any) -> None:
        self._path, self._parameters, self._has_generator = path, parameters, generator is not None
        all_facts = {**identity, "start": _start_digest(parameters, generator)}
        self._identity: dict[str, Any] = json.loads(json.dumps(all_facts))

    def read(self) -> tuple[Position, Arrays] | None:
        """Return where the fit in the file is, and the arrays; None if there is no file.

        The parameters must be those that the first call started from, or those in the file of an unfinished fit.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is damaged, or was written by another call.
        """
        try:
            tensors, metadata = map_tensors(self._path)
        except FileNotFoundError:
            return None
        found = check_header(metadata, "checkpoint", self._path)
        with fitting(self._path, "a checkpoint that fits"):
            position = Position(**json.loads(metadata["position"]))
        if not position.ended:
            stored = {name: tensors[name] for name in self._parameters if name in tensors}
            if self._identity["start"] == _start_digest(stored, position.generator if self._has_generator else None):
                self._identity["start"] = found.get("start")
        for name, value in self._identity.items():
            if (other := found.get(name)) != value:
                what = f"{name}={shown(other)} instead of {shown(value)}"
                if DIGITS in (len(str(other)), len(str(value))):
                    what = "another seed or start" if name == "start" else f"other {name}"
                raise ValueError(f"checkpoint {self._path!r} is of a fit with {what}: delete it, or pass another path")
        return position, tensors

    def write(self, position: Position, arrays: Arrays) -> None:
        """Replace the file."""
        place = {"position": json.dumps(vars(position), default=_as_json)}
        write_tensors(self._path, arrays, header("checkpoint", self._identity) | place)


def check_checkpoint(path: Any) -> str:
    """Return the absolute path of a file that a fit may write, a new one or a checkpoint.

    Raises
    ------
    TypeError, OSError, ValueError
        If it is not such a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"checkpoint must be the path of a file, got {shown(path)}")
    absolute = str(check_writable(path))  # the current folder may change
    with suppress(FileNotFoundError):
        check_header(read_fields(absolute), "checkpoint", absolute)
    return absolute


def arrays_digest(arrays: Arrays) -> str:
    """Return the SHA-256 of the bits of some arrays, in hexadecimal digits."""
    digest = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _start_digest(parameters: Arrays, generator: Any) -> str:
    state = json.dumps(generator, default=_as_json, sort_keys=True)
    return arrays_digest({**parameters, "generator": np.frombuffer(state.encode(), np.uint8)})


def _as_json(value: Any) -> Any:
    """Convert the arrays and numbers of NumPy in the state of a generator."""
    return value.tolist()
