"""The form of a source (paths, a matrix, a table, items), the files that paths stand for, and files with fields."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, TypeGuard, cast

import numpy as np
from scipy import sparse

from fastembed._base.optional import require
from fastembed._base.validation import check_flag, shown, without_password

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")  # suffixes of the files that are decompressed
FILE_NAME = re.compile(r"\S{1,200}\.\w{1,8}")  # what looks like a file name rather than a text
LONGEST_PATTERN = 1 << 12  # characters: no path is longer

Form: TypeAlias = Literal["files", "matrix", "table", "graph", "items", "other"]


def form_of(source: Any, *, texts: bool = True) -> Form:
    """Return the form of a source of data. All functions that take several forms call this function.

    Parameters
    ----------
    source : object
    texts : bool
        Whether a str in a list is a text. Otherwise it is a path.

    Returns
    -------
    str
        "files": a path, or a list or tuple of paths. "matrix": a sparse matrix, or numbers in two dimensions. "table":
        columns with names, of pandas, Polars, Arrow or Hugging Face, or a mapping. "graph": of networkx. "items": any
        other iterable, as of documents, records, baskets or edges. "other": anything else.

    Raises
    ------
    TypeError
        For a LazyFrame of Polars.

    Examples
    --------
    >>> [form_of(source) for source in ("a.txt", [Path("a.txt")], ["a.txt"], [["a"]], {"text": ["a"]}, 7)]
    ['files', 'files', 'items', 'items', 'table', 'other']
    >>> form_of(["a.txt"], texts=False)
    'files'
    """
    paths = os.PathLike if texts else str | os.PathLike
    if isinstance(source, str | os.PathLike):
        return "files"
    if isinstance(source, list | tuple) and source and all(isinstance(item, paths) for item in source):
        return "files"
    if sparse.issparse(source) or (isinstance(source, np.ndarray) and source.ndim == 2 and source.dtype.kind != "U"):
        return "matrix"  # before tables: SciPy's dok_array is a Mapping
    if type(source).__name__ == "LazyFrame":  # of Polars
        raise TypeError("a LazyFrame has no rows yet: pass its DataFrame, frame.collect()")
    if column_names(source) is not None:
        return "other" if hasattr(source, "isdisjoint") else "table"  # edges of networkx are a set
    if hasattr(source, "adj") and hasattr(source, "is_directed"):
        return "graph"
    return "items" if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray) else "other"


def column_names(source: Any) -> list[Any] | None:
    """Return the names of the columns of a table in memory; None if it is not a table."""
    if isinstance(source, Mapping):
        return list(source)
    columns = getattr(source, "column_names", None)  # of a table of Arrow or Hugging Face
    if columns is None:
        columns = getattr(source, "columns", None)  # of pandas or Polars
    return None if columns is None else list(columns)


# ---------------------------------------------------------------- files


class RegularFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def size(self) -> int:
        """Return its number of bytes on disk."""
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        """Return a stream of its bytes on disk, from the first one."""
        return self.path.open("rb")


class Spool:
    """The content of a pipe, in a temporary file that is deleted with this object."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._spool.close)
        shutil.copyfileobj(stream, self._spool)
        self._spool.flush()

    def size(self) -> int:
        """Return its number of bytes."""
        return os.fstat(self._spool.fileno()).st_size

    def open(self) -> BinaryIO:
        """Return a stream of its bytes, from the first one."""
        copy = os.fdopen(os.dup(self._spool.fileno()), "rb")
        copy.seek(0)
        return copy


class UrlFile:
    """A file at a URL. Its name is the URL without a password."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, without_password(url)

    def size(self) -> int:
        """Return its number of bytes; 0 if the server does not tell the size."""
        system, path = file_system(self.url)
        with naming(self.name):
            return int(system.size(path) or 0)

    def open(self) -> BinaryIO:
        """Return a stream of its bytes, from the first one."""
        system, path = file_system(self.url)
        with naming(self.name):
            return cast("BinaryIO", system.open(path, "rb"))

    def read(self, offset: int, size: int) -> bytes:
        """Return just `size` bytes from an offset on, by one request."""
        system, path = file_system(self.url)
        with naming(self.name):
            data = bytes(system.cat_file(path, start=offset, end=offset + size)) if size else b""
        if len(data) < size:
            raise OSError(f"the file ends {size - len(data):,} bytes too early")
        return data


@lru_cache(maxsize=1)
def _spooled(stream: Any) -> Spool:
    if stream is None:
        raise OSError("standard input is closed")
    return Spool("standard input", getattr(stream, "buffer", stream))


def path_list(paths: Any) -> list[Any]:
    """Return paths as a list, in which files that were found may be, too; raise TypeError if an item is no path."""
    if isinstance(paths, str | os.PathLike):
        return [paths]
    listed = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, bytes | bytearray) else [paths]
    for path in listed:
        if not isinstance(path, str | os.PathLike | TextFile):
            raise TypeError(f"paths must be a path or several, each a str or a pathlib.Path, got {shown(path)}")
    return listed


def check_texts(texts: Any) -> None:
    """Raise TypeError if all items of a list are names of files: the user may mean the files."""
    names = texts if isinstance(texts, list | tuple) else ()
    if names and all(isinstance(name, str) and FILE_NAME.fullmatch(name) and Path(name).is_file() for name in names):
        raise TypeError(f"a str in a list is a text: for files pass one str, or [pathlib.Path({names[0]!r}), ...]")


def find_files(path: str | os.PathLike[str] | TextFile, hint: str = "") -> list[TextFile]:
    """Return the files that a path stands for, in the order of their names.

    Standard input and named pipes are copied to a temporary file. A pipe can be found only once.

    Parameters
    ----------
    path : path-like
        A file; a folder, for all files below that are not hidden, without linked folders; a pattern of :mod:`glob`; or
        ``-`` for standard input. Each may be a URL of fsspec, such as ``s3://bucket/texts/*.gz``. A file that was found
        stands for itself.
    hint : str
        The end of the error for a str that looks like data rather than a path: how to pass data.

    Raises
    ------
    OSError
        If the path stands for no file, a folder below cannot be read, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.txt", "a.txt", "c.md"):
    ...         Path(folder, name).touch()
    ...     [Path(file.name).name for path in (f"{folder}/*.txt", folder) for file in find_files(path)]
    ['a.txt', 'b.txt', 'a.txt', 'b.txt', 'c.md']
    """
    if isinstance(path, TextFile):
        return [path]
    name = os.fspath(path)
    if is_url(path):
        return _files_of_url(path)
    if name == "-":
        return [_spooled(sys.stdin)]
    if os.path.isfile(name):  # noqa: PTH113 - a Path raises for a name that is too long
        return [RegularFile(Path(name))]
    if os.path.isdir(name):  # noqa: PTH112
        inside = (Path(root, file) for root, _, files in os.walk(name, onerror=_raise) for file in files)
        candidates = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(name).parts)]
    elif os.path.exists(name):  # noqa: PTH110
        with Path(name).open("rb") as stream:
            return [Spool(name, stream)]
    else:
        candidates = list(map(Path, _matches(name)))
    files = sorted(p for p in candidates if p.is_file())
    if not files:
        if os.path.isdir(name):  # noqa: PTH112
            raise FileNotFoundError(f"the folder {name!r} holds no file")
        end = f"; {hint}" if hint and isinstance(path, str) and not FILE_NAME.fullmatch(name) else ""
        raise FileNotFoundError(f"no such file: {name[:500]!r}{end}")
    return [RegularFile(p) for p in files]


def _matches(pattern: str) -> list[str]:
    """Return the files and folders of a pattern; raise OSError if one of its folders cannot be read."""
    if len(pattern) > LONGEST_PATTERN:  # a text, not a path: a search for its brackets would take minutes
        return []
    matches, folders = glob.glob(pattern, recursive=True), pattern  # noqa: PTH207 - absolute
    while glob.has_magic(folders):
        folders = os.path.dirname(folders)  # noqa: PTH120
        for folder in glob.glob(folders or ".", recursive=True):  # noqa: PTH207
            if os.path.isdir(folder):  # noqa: PTH112
                os.scandir(folder).close()
    return matches


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path or URL names a folder."""
    if not is_url(path):
        return Path(path).is_dir()
    system, place = file_system(path)
    with naming(path):
        return bool(system.isdir(place))


def _files_of_url(url: str) -> list[TextFile]:
    system, path = file_system(url)
    with naming(url):
        if glob.has_magic(path):
            candidates = [name for name in system.glob(path) if system.isfile(name)]
            candidates = [name for name in candidates if not name.rpartition("/")[2].startswith(".")]
        elif system.isdir(path):
            candidates = [name for name in system.find(path) if name.startswith(path)]
            candidates = [name for name in candidates if "/." not in name[len(path.rstrip("/")) :]]
        else:
            candidates = [path] if system.exists(path) else []
    if not candidates:
        raise FileNotFoundError(f"no such file: {without_password(url)!r}")
    return [UrlFile(url if name == path else system.unstrip_protocol(name)) for name in sorted(candidates)]


def _raise(error: OSError) -> None:
    raise error


class FilePart:
    """Whole sequences of a file that is not compressed.

    Parameters
    ----------
    part : (int, int)
        The places of the first byte, and of the byte behind the last one; see `file_parts`.
    """

    def __init__(self, file: TextFile, part: tuple[int, int]) -> None:
        self.file, self.part = file, part
        self.name: str = file.name

    def size(self) -> int:
        """Return its number of bytes."""
        return self.part[1] - self.part[0]

    def open(self) -> BinaryIO:
        """Return a stream of the bytes of the whole file."""
        return self.file.open()


# A file that can be read again: `name`, `size()` in bytes on disk, and `open()` for a stream from its first byte
TextFile: TypeAlias = RegularFile | Spool | UrlFile | FilePart


def shared_file(file: TextFile) -> TextFile:
    """Return a file with a name that other processes can open; raise ValueError if it has none."""
    if isinstance(file, FilePart):
        return FilePart(shared_file(file.file), file.part)
    if isinstance(file, Spool):
        raise ValueError(f"{file.name} cannot be read by other processes: write it to a file that they can open")
    return RegularFile(file.path.absolute()) if isinstance(file, RegularFile) else file


_URL = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)


def is_url(name: object) -> TypeGuard[str]:
    """Return whether a name is a URL.

    Examples
    --------
    >>> is_url("s3://bucket/text.gz"), is_url("C:/text"), is_url("a://b c")
    (True, False, True)
    """
    return isinstance(name, str) and _URL.match(name) is not None


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Turn any error of a file system into an OSError or ImportError that names the URL.

    An error whose message holds a password is not chained.
    """
    try:
        yield
    except Exception as error:
        name, reason = repr(without_password(url)), str(error) or type(error).__name__
        cause = error if reason == without_password(reason, url) else None
        reason = without_password(reason, url)
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"there is no {name}: {reason}") from cause
        if isinstance(error, ImportError):
            raise ImportError(f"{name} needs a library: {reason}") from cause
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        raise kind(f"{name} cannot be read or written: {reason}") from cause


def file_system(url: str, **options: Any) -> tuple[Any, str]:
    """Return the file system of fsspec for a URL, and the path in it."""
    core = require("fsspec.core", "remote")
    with naming(url):
        return core.url_to_fs(url, **options)


# ---------------------------------------------------------------- structured files

STRUCTURED = {
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".parquet": "Parquet",
}


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case; a suffix of compression at the end is ignored.

    Examples
    --------
    >>> suffix_of("a.jsonl.gz"), suffix_of("a.CSV"), suffix_of("a.gz")
    ('.jsonl', '.csv', '')
    """
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


@dataclass(frozen=True)
class Structure:
    """Which part of structured files is text.

    Attributes
    ----------
    field : str, int or None
        The name of a field, or its number from 1. A str of digits is a number if no field has this name.
    header : bool
        Whether the first row of CSV and TSV holds the names of the fields. Without names and a field, a row of CSV is
        a list of tokens.
    skip_bad : bool
        Whether rows without text in the field are left out and counted. Otherwise they are an error.
    """

    field: str | int | None = None
    header: bool = True
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.field, bool) or not isinstance(self.field, str | int | None):
            raise TypeError(f"field must be the name of a field or its number, got {self.field!r}")
        if isinstance(self.field, int) and self.field < 1:
            raise ValueError(f"field must be a name, or a number from 1 on, got {self.field}")
        for name in ("header", "skip_bad"):
            vars(self)[name] = check_flag(name, getattr(self, name))
        if not self.header and not str(self.field or 1).isdecimal():
            raise ValueError(f"header=False needs the number of a field, got field={self.field!r}")

    def applies(self, file: TextFile) -> bool:
        """Return whether the rows of a file have fields: its name says so, a field is given, or there is no header."""
        return self.field is not None or not self.header or suffix_of(file.name) in STRUCTURED

    def find(self, paths: Any) -> list[TextFile]:
        """Return the files that paths stand for. With a field, a folder stands for its structured files only.

        Raises
        ------
        ValueError
            If there is no field, and the rows of a file have fields; or if a file is of a store of counts.
        """
        files: list[TextFile] = []
        for path in path_list(paths):
            inside = find_files(path, "pass [text] if it is a text")
            if self.field is not None and is_folder(path) and not (inside := [*filter(Structure().applies, inside)]):
                names = ", ".join(STRUCTURED)
                raise FileNotFoundError(f"the folder {os.fspath(path)!r} has no file that ends in one of {names}")
            files += inside
        for file in files:
            if suffix_of(file.name) == ".tiles":
                folder = os.path.dirname(file.name)  # noqa: PTH120 - a Path changes a URL
                raise ValueError(f"{folder!r} holds counts: pass Counts.open({folder!r}), or --counts {folder}")
            if self.field is None and STRUCTURED.get(suffix_of(file.name)) in (
                "Parquet",
                *("CSV", "TSV") * self.header,
            ):
                lists = "CSV of lists needs FileCorpus(header=False) or --no-header"
                raise ValueError(f"{file.name!r} has fields: name one by field or --field; {lists}")
        return files
