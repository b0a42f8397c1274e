"""Where the files of counts are: in memory, in a folder, or at a URL."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from fastembed._base.arrays import mapped_zeros
from fastembed._base.memory import readable
from fastembed._base.validation import shown, without_password
from fastembed.corpus.sources import file_system, is_url, naming
from fastembed.counts.tiles import Bytes
from fastembed.formats.atomic import replacing


class Memory:
    """Files in memory.

    Parameters
    ----------
    limit : int, optional
        Largest number of bytes.
    """

    path = "memory"
    temporary = True

    def __init__(self, limit: int | None = None) -> None:
        self._limit, self._size = limit, 0
        self._files: dict[str, list[Bytes]] = {}

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them, within an array as it was written; they are not copied."""
        for array in self._files[name]:
            if begin < len(array):
                return array[begin:end]
            begin, end = begin - len(array), None if end is None else end - len(array)
        return np.empty(0, np.uint8)

    def write(self, name: str, arrays: Iterable[Bytes]) -> None:
        """Write arrays, one after the other, as a file.

        Raises
        ------
        MemoryError
            If the files take more bytes than the limit.
        """
        file = self._files[name] = []
        for array in filter(len, arrays):
            file.append(array)
            self._size += len(array)
            if self._limit is not None and self._size > self._limit:
                free = readable(self._limit)
                raise MemoryError(f"the counts take more than {free}, half of what is free: set a memory_limit")

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._size -= sum(map(len, self._files.pop(name)))


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a local or mounted file system.

    Attributes
    ----------
    path : str
        Absolute, so that a later change of directory has no effect.
    temporary : bool
        Whether it is of this process alone, which removes it: its files need neither outlive a crash nor be checked.
    """

    path: str
    temporary: bool = False

    def _file(self, name: str) -> Path:
        return Path(self.path, name)

    def names(self) -> list[str] | None:
        """Return the names of all files; None if there is no folder."""
        try:
            return os.listdir(self.path)  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise NotADirectoryError(f"{self.path!r} is a file: counts are a folder, which `count` writes") from None

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._file(name).stat().st_size

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them."""
        size = (self.size(name) if end is None else end) - begin
        data = mapped_zeros((size,), "u1")
        with self._file(name).open("rb") as file:
            file.seek(begin)
            if (count := file.readinto(data.data)) < size:
                raise OSError(f"{str(self._file(name))!r} has {begin + count:,} bytes, but {end:,} are needed")
        return data

    def write(self, name: str, arrays: Iterable[Bytes]) -> None:
        """Write arrays, one after the other, as a file."""
        target = self._file(name)
        with nullcontext(target) if self.temporary else replacing(target) as place, place.open("wb") as file:
            for array in arrays:
                file.write(array.data)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        self._file(name).unlink(missing_ok=True)

    @contextmanager
    def created(self) -> Iterator[None]:
        """Create the folder if it does not exist; remove it if nothing is written."""
        folder = Path(self.path)
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        try:
            yield
        finally:
            if new and not self.names():
                folder.rmdir()


@dataclass(frozen=True)
class UrlFolder:
    """A folder of a file system of fsspec.

    Attributes
    ----------
    url : str
    path : str
        The URL without a password.
    """

    temporary: ClassVar[bool] = False
    url: str = field(repr=False)

    @property
    def path(self) -> str:
        """The URL without a password."""
        return without_password(self.url)

    @property
    def _system(self) -> Any:
        return file_system(self.url, use_listings_cache=False)[0]  # other processes may write

    def _place(self, name: str = "") -> str:
        return f"{file_system(self.url)[1].rstrip('/')}/{name}".rstrip("/")

    def _naming(self, name: str) -> AbstractContextManager[None]:
        return naming(f"{self.path.rstrip('/')}/{name}")

    def names(self) -> list[str] | None:
        """Return the names of all files; None if there is no folder."""
        with naming(self.path):
            try:
                names = [entry["name"].rstrip("/") for entry in self._system.ls(self._place(), detail=True)]
            except FileNotFoundError:
                return None
        return [name.rpartition("/")[2] for name in names if name != self._place()]

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        with self._naming(name):
            return int(self._system.size(self._place(name)))

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them."""
        if begin == end:  # which servers refuse
            return np.empty(0, np.uint8)
        with self._naming(name):
            return np.frombuffer(self._system.cat_file(self._place(name), start=begin, end=end), np.uint8)

    def write(self, name: str, arrays: Iterable[Bytes]) -> None:
        """Write arrays as a file, one after the other: first locally, so that the URL never has a partial file."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "file")
            with local.open("wb") as file:
                for array in arrays:
                    file.write(array.data)
            with self._naming(name):
                self._system.put_file(os.fspath(local), self._place(name))

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with suppress(FileNotFoundError), self._naming(name):
            self._system.rm_file(self._place(name))

    @contextmanager
    def created(self) -> Iterator[None]:
        """Create the folder, on file systems that have folders."""
        with naming(self.path), suppress(FileExistsError):
            self._system.mkdir(self._place(), create_parents=False)
        yield


StoreFolder: TypeAlias = LocalFolder | UrlFolder
Folder: TypeAlias = Memory | StoreFolder


def open_folder(store: str | os.PathLike[str]) -> StoreFolder:
    """Return the folder of a path or of a URL; file:// URLs give a local folder."""
    if not isinstance(store, str | os.PathLike):
        raise TypeError(f"a store is the path or the URL of a folder, got {shown(store)}")
    if is_url(store):
        system, path = file_system(store)
        if "file" not in system.protocol:
            return UrlFolder(store)
        store = path
    return LocalFolder(os.path.abspath(store))  # noqa: PTH100 - a name, as it was given; the folder may change


def temporary_folder() -> LocalFolder:
    """Return a new folder, which is removed when nothing refers to what is returned."""
    folder = LocalFolder(tempfile.mkdtemp(prefix="fastembed-"), temporary=True)
    weakref.finalize(folder, _remove_folder, folder.path, os.getpid())
    return folder


def _remove_folder(path: str, process: int) -> None:
    """Remove a temporary folder, but not from a child of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
