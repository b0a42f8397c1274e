"""Checkpoints: files from which a fit resumes, with the same bits as without an interruption.

A checkpoint holds the current values of the arrays that steps change, those at the end of the last epoch and those of
the best epoch; the position in the fit; and its arguments, so that no other call resumes from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.threads import awaited, in_background
from fastembed._base.validation import check_flag, check_number, shown
from fastembed._versions import origin_of_bits
from fastembed.counts.store import remove_store
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.tensors import check_header, fitting, header, map_tensors, read_fields, write_tensors

MINUTES = 10.0  # minutes between two checkpoints within an epoch

Tensors = dict[str, NDArray[Any]]


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
    ended : bool
        Whether the decision was to end training.
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
    ended: bool = False


@dataclass(frozen=True)
class Stored:
    """The contents of a checkpoint: the position, memory-mapped tensors, and what it was claimed with."""

    position: Position
    tensors: Tensors = field(repr=False)
    identity: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def part(self, prefix: str, like: Iterable[str]) -> Tensors | None:
        """Return the arrays of these names under a prefix; None if there are none."""
        found = {name: self.tensors[prefix + name] for name in like if prefix + name in self.tensors}
        return found or None


class Checkpoint:
    """The checkpoint of one fit, which is read at its start and written during training; a path-like object.

    Parameters
    ----------
    minutes : float
        The interval at which it is also written within an epoch.
    keep : bool
        Whether it stays when the trained model has been saved.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value, or the file is not a checkpoint.
    OSError
        If the file cannot be written.
    """

    def __init__(self, path: Any, minutes: float = MINUTES, keep: bool = False) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            kind = ValueError if isinstance(path, str | os.PathLike) else TypeError
            raise kind(f"checkpoint must be the path of a file, got {shown(path)}")
        self.path = os.path.abspath(path)  # noqa: PTH100 - a name, as it was given; the folder may change
        self.minutes = check_number("checkpoint_minutes", minutes, above=True)
        self.keep = check_flag("keep_checkpoint", keep)
        check_writable(self.path)
        remove_leftovers(self.path)
        epochs_done(self.path)  # never replace another file
        self._owner: dict[str, Any] = {}  # see `claim`
        self._identity: Mapping[str, Any] = {}  # of the call that wrote first
        self._read: Stored | None = None  # the contents of the file, from when they are read to when the fit goes on
        self.last = time.monotonic()  # when it was written; -inf lets it be written after the next block
        self._writing: Future[None] | None = None
        self.failed = False

    def __fspath__(self) -> str:
        return self.path

    def claim(self, identity: Mapping[str, Any]) -> Stored | None:
        """Let it belong to a model, which makes the start of the fit; return its contents, if there is a file.

        The start is a function of `identity`, the arguments of the model under the names that errors use. A further
        call adds to them.

        Raises
        ------
        OSError, ValueError
            As `read` does.
        """
        self._owner |= _plain({**origin_of_bits(), **identity})
        return self._contents(self._owner)

    def read(self, identity: Mapping[str, Any], trained: Mapping[str, NDArray[Any]], generator: Any) -> Stored | None:
        """Return the contents of the file; None if there is no file.

        Parameters
        ----------
        identity : mapping of str to object
            The arguments of the fit, under the names that errors use; whatever else its bits depend on is added.
        trained : mapping of str to ndarray
            The parameters. Unless the checkpoint was claimed, they must be those of the first call, or those that an
            interrupted call left, which are the ones in the file.
        generator : mapping or None
            The state of the caller's generator, for which the same holds.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is not a checkpoint, is damaged, or was written by another call; the message names the
            difference.
        """
        call: dict[str, Any]
        call, start, now = _plain({**origin_of_bits(), **identity}) | self._owner, {}, {}
        if not self._owner:
            start = _plain({"parameters": arrays_digest(trained), "state of the generator": generator})
        self._identity = call | start
        stored = self._contents(call)
        if stored is None:
            return None
        if not stored.position.ended:
            digest = arrays_digest(stored.part("", trained) or {}) if start else None
            now = _plain({"parameters": digest, "state of the generator": stored.position.generator})
        self._identity, self._read = stored.identity, None  # a file that has been replaced does not stay mapped
        changed = {name: value for name, value in start.items() if value != now.get(name)}
        check_identity(self.path, self._identity, changed)
        return stored

    def _contents(self, wanted: Mapping[str, Any]) -> Stored | None:
        """Return what the file holds, which is read and hashed once, if its identity has these values."""
        if self._read is None:
            try:
                tensors, metadata = map_tensors(self.path)
            except FileNotFoundError:
                return None
            identity = check_header(metadata, "checkpoint", self.path)
            self._read = Stored(_position(metadata, self.path), tensors, identity)
        check_identity(self.path, self._read.identity, wanted)
        return self._read

    def due(self) -> bool:
        """Return whether it is time to write within an epoch; raise the error of the last write, if any."""
        if self._writing is not None and self._writing.done():
            self.wait()
        return self._writing is None and time.monotonic() - self.last >= 60 * self.minutes

    def write(self, position: Position, tensors: Tensors) -> None:
        """Write where a fit is, in another thread; the arrays must not change until `wait` has been called."""
        fields = header("checkpoint", self._identity) | {"position": json.dumps(position, default=_as_json)}
        self.last = time.monotonic()
        self._writing = in_background(write_tensors, self.path, tensors, fields)

    def wait(self) -> None:
        """Wait until the last write is on disk; raise OSError if it failed."""
        if self._writing is not None:
            try:
                awaited(self._writing)
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
            before = f"with {name} {shown(found[name])}" if name in found else f"or of another version, without {name}"
            raise ValueError(
                f"the checkpoint {path!r} is that of another fit, {before} instead of {shown(value)} as now: go on with"
                " the same, or remove the file to begin again"
            )


def epochs_done(path: str | os.PathLike[str]) -> int | None:
    """Return the number of completed epochs in a checkpoint; None if there is no file.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or is not a checkpoint.
    """
    try:
        metadata = read_fields(path)
        check_header(metadata, "checkpoint", path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else OSError
        raise kind(f"{error}; a checkpoint is a new file, or one that a checkpoint was written to") from error
    return len(_position(metadata, path).history)


def _position(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> Position:
    """Return the position in the header of a file."""
    with fitting(path, "a checkpoint that fits"):
        record = json.loads(metadata["position"])
        return Position(**record | {"history": tuple(record["history"])})


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of the bits of some arrays, in hexadecimal digits."""
    digest = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


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
                    remove_store(path)
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
    return json.loads(json.dumps(values, default=_as_json))


def _as_json(value: Any) -> Any:
    """Convert values in records or in the state of a generator to types that JSON supports."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Position):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise TypeError(
        f"a checkpoint holds numbers, text and lists, got {shown(value)} in a record or in the state of the generator"
    )
