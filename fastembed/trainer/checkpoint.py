"""Checkpoints: files from which a fit resumes, with the same bits as without an interruption.

A checkpoint holds the current values of the arrays that steps change, those at the end of the last epoch and those of
the best epoch; the position in the fit; and its arguments, so that no other call resumes from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import in_background
from fastembed._base.validation import all_finite, check_flag, check_integer, check_number, shown
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
    """The arguments of a fit that concern its checkpoint.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
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
            check_header(map_tensors(self.path)[1], "checkpoint", self.path)  # never replace another file

    @classmethod
    def from_arguments(cls, path: Any, minutes: Any, keep: Any) -> CheckpointFile | None:
        """Return the checkpoint file for the arguments of a fit; None without a path."""
        if path is not None:
            return cls(path, minutes, keep)
        minutes = check_number("checkpoint_minutes", minutes, above=True)
        if check_flag("keep_checkpoint", keep) or minutes != MINUTES:
            raise ValueError("checkpoint_minutes and keep_checkpoint need checkpoint, the path of a file")
        return None


@dataclass(frozen=True)
class Position:
    """The position of a fit in its epochs.

    Attributes
    ----------
    epoch : int
        The epoch in progress, or the next one.
    blocks : int
        The number of blocks of this epoch that have been trained on.
    nll : float
        The sum of their negative log-likelihoods.
    seconds : float
        Their training time.
    generator : dict
        The state of the generator before the order of this epoch is drawn.
    history : tuple of dict
        The records of the completed epochs.
    best_epoch : int
    lowest : float
        The validation nll of that epoch.
    decided : bool
        Whether `on_epoch_end` has been called with the last record and it has been decided whether to continue.
    stopped : bool
        Whether the decision was to stop.
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
        """Check the position of a file and return it."""
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
    """The contents of a checkpoint: the position, and memory-mapped tensors."""

    position: Position
    tensors: Tensors = field(repr=False)

    def tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor; raise ValueError if it is missing or not a matrix of finite numbers."""
        array = self.tensors.get(name)
        if array is None or array.ndim != 2 or array.dtype.kind != "f" or not all_finite(array):
            raise ValueError(f"a checkpoint must hold {name!r}, a matrix of finite numbers")
        return array

    def part(self, prefix: str, like: Mapping[str, NDArray[Any]]) -> Tensors | None:
        """Return the arrays under a prefix, with the shapes and dtypes of `like`; None if there are none."""
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
    """The checkpoint of one fit, which is read at its start and written during training.

    Parameters
    ----------
    file : CheckpointFile
    identity : mapping of str to object
        The arguments of the fit, under the names that errors use; whatever else its bits depend on is added.
    start : mapping of str to object, optional
        The result of `start_of`. If an interrupted fit left these objects, they match the state in the file.
    """

    def __init__(
        self, file: CheckpointFile, identity: Mapping[str, Any], start: Mapping[str, Any] | None = None
    ) -> None:
        self.file, self._start = file, _plain(start or {})
        self._call = _plain({**origin_of_bits(), **identity})
        self._identity = self._call | self._start  # of the call that wrote first
        self._last = time.monotonic()
        self._writing: Future[None] | None = None
        self.failed = False

    def read(self, trained: Iterable[str], epochs: int) -> Stored | None:
        """Return the contents of the file; None if there is no file.

        Parameters
        ----------
        trained : iterable of str
            The names of the arrays that were passed to `start_of`.
        epochs : int
            The number of epochs of the fit.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is not a checkpoint, is damaged, or was written by another call; the message names the
            difference.
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
        """Return whether it is time to write within an epoch; raise the error of the last write, if any."""
        if self._writing is not None and self._writing.done():
            self.wait()
        return self._writing is None and time.monotonic() - self._last >= 60 * self.file.minutes

    def write(self, position: Position, state: Snapshot, **others: Snapshot) -> None:
        """Write the state of the fit, in another thread.

        Parameters
        ----------
        position : Position
        state : Snapshot
            It is taken here, and must not be taken again before `wait` has been called.
        **others : Snapshot
            Snapshots that were taken before, written under these names; the same restriction applies.
        """
        self.wait()
        state.take()
        tensors = dict(state.copies)
        for prefix, snapshot in others.items():
            tensors |= {f"{prefix}.{name}": copy for name, copy in snapshot.copies.items()}
        where = json.dumps(position, default=_as_json)
        fields = header("checkpoint", self._identity) | {"position": where}
        self._last = time.monotonic()
        self._writing = in_background(
            lambda: write_tensors(self.file.path, tensors, fields | {"sha256": contents_digest(tensors, where)})
        )

    def wait(self) -> None:
        """Wait until the last write is on disk; raise OSError if it failed."""
        if self._writing is not None:
            try:
                self._writing.result()
            except Exception:
                self.failed = True
                raise
            finally:
                if self._writing.done():
                    self._writing = None


def check_identity(path: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError if a file was written by a call that differs in one of these values."""
    for name, value in wanted.items():
        if name not in found or found[name] != value:
            raise ValueError(
                f"the checkpoint {path!r} is that of another fit, with {name} {shown(found.get(name))} instead of"
                f" {shown(value)}: go on with the same, or remove the file to begin again"
            )


def epochs_done(path: str | os.PathLike[str]) -> int | None:
    """Return the number of completed epochs in a checkpoint; None if there is no file.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or is not a checkpoint.
    """
    try:
        metadata = map_tensors(path)[1]
    except FileNotFoundError:
        return None
    check_header(metadata, "checkpoint", path)
    return len(_position(metadata, path).history)


def _position(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> Position:
    """Check the position in the header of a file and return it."""
    try:
        return Position.of_record(json.loads(metadata["position"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)!r} does not hold a checkpoint that fits together: {error}") from error


def fit_identity(options: FitOptions, counts: str, data: FitData) -> dict[str, Any]:
    """Return the arguments of a fit to counts, except its start, under the names that errors use.

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
    """Return the identity of a call of `Trainer.fit_counts`, except its start."""
    bias = None if parameters.bias is None else arrays_digest({"bias": parameters.bias})
    shape = {name: getattr(parameters, name) for name in ("inputs", "dim", "outputs")}
    seeded = {"seed": "a Generator" if isinstance(seed, np.random.Generator) else seed}
    how = fit_identity(options, data.counts.sha256(), data)
    return {"dtype": str(parameters.dtype)} | shape | how | seeded | {"bias": bias}


def start_of(trained: Mapping[str, NDArray[Any]], generator: Any = None) -> dict[str, Any]:
    """Return the digests of the start of a fit, under the names that errors use.

    Parameters
    ----------
    trained : mapping of str to ndarray
        The parameters.
    generator : Generator or its state, optional
        The generator, if the caller passed one.
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
    """Return the SHA-256 of the contents of a checkpoint: its tensors, and its position as JSON."""
    return hashlib.sha256((arrays_digest(tensors) + position).encode()).hexdigest()


class FilesUntilSaved:
    """Files and folders that are needed until the trained model has been saved."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int]] = {}

    def set(self, path: str, *, keep: bool) -> None:
        """Add a file, if it exists; with `keep`, exclude it from removal, even if it was added before."""
        self._files.pop(path, None)
        if not keep and (found := _identification(path)) is not None:
            self._files[path] = found

    def remove(self) -> None:
        """Remove the files that have not been replaced since: another fit may use the same names."""
        for path, known in list(self._files.items()):
            if _identification(path) == known:
                if Path(path).is_dir():
                    shutil.rmtree(path)
                else:
                    Path(path).unlink(missing_ok=True)
            del self._files[path]


def _identification(path: str) -> tuple[int, int] | None:
    """Return an identification that tells a file from a later one of the same name; None if it does not exist."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values in the form in which a file returns them."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_as_json))
    return plain


def _as_json(value: Any) -> Any:
    """Convert values in records or in the state of a generator to types that JSON supports."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Position):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise TypeError(
        f"a checkpoint holds numbers, text and lists, got {shown(value)} in a record or in the state of the generator"
    )
