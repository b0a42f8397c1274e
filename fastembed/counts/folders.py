"""Storage of the files of a store: a local folder, or an unnamed temporary file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import RandomAccessFile
from fastembed.formats.atomic import LOCK_NAME, replacing, sole_writer
from fastembed.formats.tensors import map_tensors, write_tensors

Bytes = npt.NDArray[np.uint8]
Manifest = tuple[Mapping[str, npt.NDArray[Any]], Mapping[str, str]]  # tensors, and fields of text

MANIFEST = "manifest.safetensors"


class StoreFolder(Protocol):
    """Storage of the files of a store. Several threads may read at the same time."""

    @property
    def path(self) -> str:
        """The name of the folder."""

    def __hash__(self) -> int:
        """Return the same number for the same folder."""

    def manifest(self) -> Manifest:
        """Return the manifest; raise OSError or ValueError if this is not a store."""

    def write_manifest(self, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, str]) -> None:
        """Write the manifest atomically."""

    def names(self) -> list[str]:
        """Return the names of all files but the manifest and the lock; none if there is no folder."""

    def size(self, name: str) -> int:
        """Return the number of bytes of a file; raise FileNotFoundError if it does not exist."""

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them."""

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file in parts, atomically."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def writing(self) -> AbstractContextManager[None]:
        """Create the folder if it does not exist, and lock it against other writers."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a local or mounted file system.

    Attributes
    ----------
    path : str
    fields : tuple of (str, str)
        Further text fields of the manifest.
    """

    path: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, path: str | os.PathLike[str], fields: Mapping[str, str] | None = None) -> LocalFolder:
        """Return the folder of a path, made absolute so that a later change of directory has no effect."""
        absolute = os.path.abspath(path)  # noqa: PTH100 - a name, as it was given; the folder may change
        return cls(absolute, tuple((fields or {}).items()))

    @property
    def _folder(self) -> Path:
        return Path(self.path)

    def manifest(self) -> Manifest:
        """Return the manifest."""
        if not self._folder.is_dir():
            if not self._folder.exists():
                raise FileNotFoundError(f"there is no folder {self.path!r}")
            raise NotADirectoryError(
                f"{self.path!r} is a file, not a store: open it with Counts.load if it holds counts"
            )
        if not (self._folder / MANIFEST).exists():
            raise NoManifestError(self.path)
        return map_tensors(self._folder / MANIFEST)

    def write_manifest(self, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, str]) -> None:
        """Write the manifest."""
        write_tensors(self._folder / MANIFEST, tensors, dict(fields) | dict(self.fields))

    def names(self) -> list[str]:
        """Return the names of all files but the manifest and the lock; none if there is no folder."""
        if not self._folder.exists():
            return []
        if not self._folder.is_dir():
            raise NotADirectoryError(f"{self.path!r} is a file: a store is a folder, choose another name")
        return [file.name for file in self._folder.iterdir() if file.name not in (MANIFEST, LOCK_NAME)]

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError as error:
            raise self._lost(name, error) from None

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or some of them."""
        try:
            return np.fromfile(self._folder / name, np.uint8, -1 if end is None else end - begin, offset=begin)
        except FileNotFoundError as error:
            raise self._lost(name, error) from None

    def _lost(self, name: str, error: FileNotFoundError) -> FileNotFoundError:
        return FileNotFoundError(error.errno, "the store has lost a file of tiles", str(self._folder / name))

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file."""
        with replacing(self._folder / name) as temporary, temporary.open("rb+") as file:
            for part in parts:
                file.write(part.data)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Create the folder if it does not exist, and hold its lock."""
        self._folder.mkdir(exist_ok=True)
        with sole_writer(self._folder):
            yield


class TemporaryFolder:
    """An unnamed temporary file that holds all files: it disappears however the process ends."""

    def __init__(self) -> None:
        self.path = f"a temporary file in {tempfile.gettempdir()!r}"
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this object
        self._reader = RandomAccessFile(self._file)
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._manifest: Manifest | None = None

    def manifest(self) -> Manifest:
        """Return the manifest."""
        if self._manifest is None:
            raise NoManifestError(self.path)
        return self._manifest

    def write_manifest(self, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, str]) -> None:
        """Keep the manifest."""
        self._manifest = tensors, fields

    def names(self) -> list[str]:
        """Return the names of all files."""
        return list(self._places)

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._places[name][1]

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or some of them."""
        place, size = self._places[name]
        return np.frombuffer(self._reader.read(place + begin, (size if end is None else end) - begin), np.uint8)

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file."""
        begin = self._end
        try:
            self._file.seek(begin)
            for part in parts:
                rest = part.data
                while len(rest):
                    rest = rest[self._file.write(rest) :]
                self._end += len(part)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot keep counts in {self.path}: {error}; raise memory_limit, or set the environment variable"
                " TMPDIR to a folder with more free space",
            ) from error
        self._places[name] = begin, self._end - begin

    def remove(self, name: str) -> None:
        """Forget a file, whose bytes stay."""
        self._places.pop(name, None)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Do nothing: nobody else knows the file."""
        yield


class NoManifestError(ValueError):
    """A folder has no manifest."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is not a store of counts, or one that was not finished: it has no {MANIFEST}")
