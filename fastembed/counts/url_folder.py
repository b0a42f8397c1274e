"""A folder at a URL, which fsspec reads and writes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.optional import file_system, is_url, naming
from fastembed.counts.folders import MANIFEST, Bytes, LocalFolder, Manifest, NoManifestError, StoreFolder
from fastembed.formats.tensors import dump_tensors, load_tensors


@dataclass(frozen=True)
class UrlFolder:
    """A folder of a file system of fsspec. It has no lock: concurrent writers are not detected.

    Attributes
    ----------
    path : str
        The URL.
    """

    path: str

    @property
    def _system(self) -> Any:
        return file_system(self.path, use_listings_cache=False)[0]  # other processes may write

    def _place(self, name: str) -> str:
        return f"{file_system(self.path)[1].rstrip('/')}/{name}"

    def _url(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def manifest(self) -> Manifest:
        """Return the manifest."""
        try:
            data = self.read(MANIFEST)
        except FileNotFoundError as error:
            if self._exists():
                raise NoManifestError(self.path) from error
            raise
        return load_tensors(data.tobytes(), self._url(MANIFEST))

    def _exists(self) -> bool:
        with suppress(FileNotFoundError):
            return bool(self.names())
        return False

    def write_manifest(self, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, str]) -> None:
        """Write the manifest."""
        self._put(MANIFEST, dump_tensors(tensors, fields))

    def names(self) -> list[str]:
        """Return the names of all files but the manifest; none if there is no folder."""
        system, path = self._system, self._place("").rstrip("/")
        with naming(self.path):
            try:
                found = system.ls(path, detail=True)
            except FileNotFoundError:
                return []
        names = [entry["name"].rstrip("/") for entry in found if entry["name"].rstrip("/") != path]
        return [name.rpartition("/")[2] for name in names if name.rpartition("/")[2] != MANIFEST]

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        with naming(self._url(name)):
            return int(self._system.size(self._place(name)))

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them."""
        if begin == end:
            return np.empty(0, np.uint8)
        with naming(self._url(name)):
            return np.frombuffer(self._system.cat_file(self._place(name), start=begin, end=end), np.uint8)

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file; it is first written locally, so that a failure leaves no partial file at the URL."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "part")
            with local.open("wb") as file:
                for part in parts:
                    file.write(part.data)
            with naming(self._url(name)):
                self._system.put_file(os.fspath(local), self._place(name))

    def _put(self, name: str, data: bytes) -> None:
        with naming(self._url(name)):
            self._system.pipe_file(self._place(name), data)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError), naming(self._url(name)):
            self._system.rm_file(self._place(name))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Create the folder, on file systems that have folders."""
        with naming(self.path), suppress(FileExistsError):
            self._system.mkdir(self._place("").rstrip("/"), create_parents=False)
        yield


def open_folder(store: str | os.PathLike[str] | StoreFolder) -> StoreFolder:
    """Return the folder of a path or of a URL; file:// URLs give a local folder, with a lock."""
    if not isinstance(store, str | os.PathLike):
        return store
    if not is_url(store):
        return LocalFolder.of(store)
    system, path = file_system(store)
    return LocalFolder.of(path) if "file" in system.protocol else UrlFolder(store)
