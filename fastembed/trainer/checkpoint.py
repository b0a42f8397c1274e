"""Checkpoints: the file that a fit goes on from, to the bits that it would have ended in without a break.

It holds the arrays that steps change, as they are, at the end of the last epoch, and after the best one; how far the
fit has come; and what it was called with, so that no other call takes it for its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.calls import Call, in_background
from fastembed._base.printable import shown
from fastembed._base.validation import all_finite, check_flag, check_integer, check_number
from fastembed._versions import origin_of_bits
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.tensors import check_header, header, map_tensors, write_tensors
from fastembed.trainer.data import FitData
from fastembed.trainer.options import FitOptions
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.snapshot import Snapshot

MINUTES = 10.0  # minutes between two checkpoints within an epoch

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class CheckpointFile:
    """What a fit is told about its checkpoint.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of that kind.
    OSError
        If the file cannot be written.
    """

    path: str
    minutes: float = MINUTES
    keep: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(f"checkpoint must be the path of a file, got {shown(self.path)}")
        if not os.fspath(self.path):
            raise ValueError(f"checkpoint must be the path of a file, got {shown(self.path)}")
        path = os.path.abspath(self.path)  # noqa: PTH100 - a name, as it was given; the folder may change
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "minutes", check_number("checkpoint_minutes", self.minutes, above=True))
        object.__setattr__(self, "keep", check_flag("keep_checkpoint", self.keep))
        check_writable(self.path)
        remove_leftovers(self.path)
        if Path(self.path).exists():
            check_header(map_tensors(self.path)[1], "checkpoint", self.path)  # no other file is to be replaced

    @classmethod
    def from_arguments(cls, path: Any, minutes: Any, keep: Any) -> CheckpointFile | None:
        """Return what the arguments of a fit ask for; None without a path."""
        if path is not None:
            return cls(path, minutes, keep)
        minutes = check_number("checkpoint_minutes", minutes, above=True)
        if check_flag("keep_checkpoint", keep) or minutes != MINUTES:
            raise ValueError("checkpoint_minutes and keep_checkpoint need checkpoint, the path of a file")
        return None


@dataclass(frozen=True)
class Position:
    """How far a fit has come.

    Attributes
    ----------
    epoch : int
        The one in progress, or the next one.
    blocks : int
        How many of its blocks have been trained on.
    nll : float
        The sum of their negative log-likelihoods.
    seconds : float
        The time that they took.
    generator : dict
        The state of the generator before the order of this epoch is drawn.
    history : tuple of dict
        The records of the epochs that have ended.
    best_epoch : int
    lowest : float
        The validation nll of that epoch.
    decided : bool
        Whether `on_epoch_end` has been called with the last record, and whether to go on been decided.
    stopped : bool
        Whether it was decided not to.
    """

    generator: Mapping[str, Any]
    epoch: int = 1
    blocks: int = 0
    nll: float = 0.0
    seconds: float = 0.0
    history: tuple[dict[str, Any], ...] = ()
    best_epoch: int = 0
    lowest: float = math.inf
    decided: bool = True
    stopped: bool = False

    def has_ended(self, epochs: int) -> bool:
        """Return whether a fit of `epochs` epochs has ended."""
        return self.decided and (self.stopped or self.epoch > epochs)

    @classmethod
    def of_record(cls, record: Any) -> Position:
        """Return the position of a file, checked."""
        if not isinstance(record, dict) or set(record) != {each.name for each in fields(cls)}:
            raise TypeError(f"a position must be a record of its parts, got {record!r}")
        at = cls(**record | {"history": tuple(record["history"])})
        check_integer("epoch", at.epoch, low=1)
        for name in ("blocks", "best_epoch"):
            check_integer(name, getattr(at, name), low=0)
        for name in ("nll", "seconds"):
            check_number(name, getattr(at, name), low=-math.inf)
        for name in ("decided", "stopped"):
            check_flag(name, getattr(at, name))
        if not isinstance(at.lowest, float) or not isinstance(at.generator, dict):
            raise TypeError(f"a position must have a lowest nll and a generator, got {at.lowest!r}, {at.generator!r}")
        for k, each in enumerate(at.history, 1):
            if not isinstance(each, dict) or each["epoch"] != k:
                raise TypeError(f"history must be a list of records of epochs, got {at.history!r}")
        if len(at.history) != at.epoch - 1:
            raise ValueError(f"{len(at.history)} records of epochs before epoch {at.epoch}")
        return at


@dataclass(frozen=True)
class Stored:
    """What a checkpoint holds: the position, and the tensors, mapped into memory."""

    position: Position
    tensors: Tensors = field(repr=False)

    def tensor(self, name: str) -> NDArray[Any]:
        """Return one of them; ValueError if it is missing or no matrix of finite numbers."""
        array = self.tensors.get(name)
        if array is None or array.ndim != 2 or array.dtype.kind != "f" or not all_finite(array):
            raise ValueError(f"a checkpoint must hold {name!r}, a matrix of finite numbers")
        return array

    def part(self, prefix: str, like: Mapping[str, NDArray[Any]]) -> Tensors | None:
        """Return the arrays under a prefix, in the shapes and dtypes of others; None if there are none."""
        found = {name: self.tensors[prefix + name] for name in like if prefix + name in self.tensors}
        if not found:
            return None
        for name, own in like.items():
            if name not in found:
                raise ValueError(f"the checkpoint has no tensor {prefix + name!r}")
            if found[name].shape != own.shape or found[name].dtype != own.dtype:
                raise ValueError(
                    f"{prefix + name!r} must be {own.dtype} of shape {own.shape}, got {found[name].dtype} of shape"
                    f" {found[name].shape}"
                )
        return found


class Checkpoint:
    """The checkpoint of one fit: what it reads at its start, and writes beside the training.

    Parameters
    ----------
    file : CheckpointFile
    identity : mapping of str to object
        What the fit is called with, by the names that errors give it. What else its bits depend on is added to it.
    start : mapping of str to object, optional
        What `start_of` returns. Where an interrupted fit has left the same objects, they are where the file is.
    """

    def __init__(
        self, file: CheckpointFile, identity: Mapping[str, Any], start: Mapping[str, Any] | None = None
    ) -> None:
        self.file, self._start = file, _plain(start or {})
        self._call = _plain({**origin_of_bits(), **identity})
        self._identity = self._call | self._start  # of the call that wrote first
        self._last = time.monotonic()
        self._writing: Call[None] | None = None
        self.failed = False

    def read(self, trained: Iterable[str], epochs: int) -> Stored | None:
        """Return what the file holds; None if there is no file.

        Parameters
        ----------
        trained : iterable of str
            The names of the arrays of which `start_of` was told.
        epochs : int
            Of the fit.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is no checkpoint, is damaged, or was written by another call; the message says in what it differs.
        """
        try:
            tensors, metadata = map_tensors(self.file.path)
        except FileNotFoundError:
            return None
        found = check_header(metadata, "checkpoint", self.file.path)
        check_identity(self.file.path, found, self._call)
        stored, now = Stored(_position(metadata, self.file.path), tensors), {}
        if metadata.get("sha256") != contents_digest(tensors, metadata["position"]):
            raise ValueError(f"the checkpoint {self.file.path!r} is damaged: it is not what was written")
        if not stored.position.has_ended(epochs):
            arrays = {name: tensors[name] for name in trained if name in tensors}
            now = _plain(start_of(arrays, stored.position.generator))
        for name, value in self._start.items():
            if value != now.get(name):
                check_identity(self.file.path, found, {name: value})
        self._identity = found
        return stored

    def due(self) -> bool:
        """Return whether it is time to write within an epoch; raise what went wrong with the last one."""
        if self._writing is not None and self._writing.has_ended():
            self.wait()
        return self._writing is None and time.monotonic() - self._last >= 60 * self.file.minutes

    def write(self, position: Position, state: Snapshot, **others: Snapshot) -> None:
        """Write how far the fit has come, in another thread.

        Parameters
        ----------
        position : Position
        state : Snapshot
            Is taken here, and left alone until `wait` has been called.
        **others : Snapshot
            Are written as they were taken, under these names, and must not be taken again before that either.
        """
        self.wait()
        state.take()
        tensors = dict(state.copies)
        for prefix, snapshot in others.items():
            tensors |= {f"{prefix}.{name}": copy for name, copy in snapshot.copies.items()}
        where = json.dumps(position, default=_as_json)
        fields = header("checkpoint", self._identity) | {"position": where}
        self._last = time.monotonic()
        self._writing = Call(
            lambda: write_tensors(self.file.path, tensors, fields | {"sha256": contents_digest(tensors, where)})
        )
        in_background(self._writing)  # known before it begins, so that after a Ctrl-C here it is waited for, too

    def wait(self) -> None:
        """Wait until what was written last is on disk; raise OSError if that failed."""
        if self._writing is not None:
            try:
                self._writing.result()
            except Exception:
                self.failed = True
                raise
            finally:
                if self._writing.has_ended():
                    self._writing = None


def check_identity(path: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError if a file was written by a call that differs in one of these things."""
    for name, value in wanted.items():
        if name not in found or found[name] != value:
            raise ValueError(
                f"the checkpoint {path!r} is that of another fit, with {name} {shown(found.get(name))} instead of"
                f" {shown(value)}: go on with the same, or remove the file to begin again"
            )


def epochs_done(path: str | os.PathLike[str]) -> int | None:
    """Return how many epochs have ended at a checkpoint; None if there is no file.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is no checkpoint.
    """
    try:
        metadata = map_tensors(path)[1]
    except FileNotFoundError:
        return None
    check_header(metadata, "checkpoint", path)
    return len(_position(metadata, path).history)


def _position(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> Position:
    """Return the position of a file's header, checked."""
    try:
        return Position.of_record(json.loads(metadata["position"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)!r} does not hold a checkpoint that fits together: {error}") from error


def fit_identity(options: FitOptions, counts: str, data: FitData) -> dict[str, Any]:
    """Return what a fit to counts is called with, beside where it starts, by the names that errors give it.

    Parameters
    ----------
    options : FitOptions
    counts : str
        The SHA-256 of the counts.
    data : FitData
    """
    held_out = None if data.validation_counts is None else data.validation_counts.sha256()
    bags = {name: getattr(data, name) for name in ("bags", "validation_bags")}
    factors = {name: getattr(data, name) for name in ("row_rates", "input_weights")}
    return {
        "counts": counts,
        "validation_counts": held_out,
        **{name: None if each is None else arrays_digest(vars(each)) for name, each in bags.items()},
        **{name: None if each is None else arrays_digest({name: each}) for name, each in factors.items()},
        **asdict(options),
    }


def fit_counts_identity(parameters: Parameters, options: FitOptions, seed: Any, data: FitData) -> dict[str, Any]:
    """Return what a call of `Trainer.fit_counts` is known by, beside where it starts."""
    bias = None if parameters.bias is None else arrays_digest({"bias": parameters.bias})
    shape = {name: getattr(parameters, name) for name in ("inputs", "dim", "outputs")}
    seeded = {"seed": "a Generator" if isinstance(seed, np.random.Generator) else seed}
    how = fit_identity(options, data.counts.sha256(), data)
    return {"dtype": str(parameters.dtype)} | shape | how | seeded | {"bias": bias}


def start_of(trained: Mapping[str, NDArray[Any]], generator: Any = None) -> dict[str, Any]:
    """Return where a fit starts, by the names that errors give it.

    Parameters
    ----------
    trained : mapping of str to ndarray
        The parameters.
    generator : Generator or its state, optional
        If it was given by the caller.
    """
    state = generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator
    return {"parameters": arrays_digest(trained), "state of the generator": state}


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of the bits of some arrays, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def contents_digest(tensors: Mapping[str, NDArray[Any]], position: str) -> str:
    """Return the SHA-256 of what a checkpoint holds: its tensors, and its position as JSON."""
    return hashlib.sha256((arrays_digest(tensors) + position).encode()).hexdigest()


class FilesUntilSaved:
    """Files, and folders, that are needed until what was trained has been saved."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int]] = {}

    def set(self, path: str, *, keep: bool) -> None:
        """Add a file, if it exists; or let it be kept, though it was added before."""
        self._files.pop(path, None)
        if not keep and (found := _identification(path)) is not None:
            self._files[path] = found

    def remove(self) -> None:
        """Remove the files that are still the same: another fit may have begun under their names."""
        for path, known in list(self._files.items()):
            if _identification(path) == known:
                if Path(path).is_dir():
                    shutil.rmtree(path)
                else:
                    Path(path).unlink(missing_ok=True)
            del self._files[path]


def _identification(path: str) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None if there is none."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they come back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_as_json))
    return plain


def _as_json(value: Any) -> Any:
    """Return what JSON does not have, in records or in the state of a generator, as what it has."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Position):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise TypeError(
        f"a checkpoint holds numbers, text and lists, got {shown(value)} in a record or in the state of the generator"
    )
