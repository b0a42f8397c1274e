"""Which format a file has, and saving and loading through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.extras import require
from fastembed.formats import arrow, npy, tsv
from fastembed.formats import safetensors_table as own
from fastembed.formats import word2vec_binary as binary
from fastembed.formats import word2vec_text as text
from fastembed.formats.atomic import writable
from fastembed.formats.table import Matrix, PathLike, Table, check_table


@dataclass(frozen=True)
class Format:
    """A format of files of vectors.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        The ends of the names of files that have it, in lower case.
    description : str
        One line for users.
    read : callable
        ``read(path) -> Table``
    write : callable
        ``write(path, table)``
    gzip : bool
        Whether ``.gz`` may follow the suffix.
    library : str or None
        What the extra [parquet] has to have installed.
    beside : callable or None
        ``beside(path) -> Path``, the second file of a pair.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    read: Callable[[PathLike], Table]
    write: Callable[[PathLike, Table], None]
    gzip: bool = False
    library: str | None = None
    beside: Callable[[PathLike], Path] | None = None

    def files(self, path: PathLike) -> list[Path]:
        """Return all files that are read or written under a name.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        list of Path

        Examples
        --------
        >>> [file.name for file in FORMATS["npy"].files("wiki.npy")]
        ['wiki.npy', 'wiki.tokens.txt']
        """
        return [Path(path), *([self.beside(path)] if self.beside else [])]


_NPY = npy.read, npy.write, False, None, npy.tokens_path
_TSV = tsv.read, tsv.write, False, None, tsv.metadata_path
_TEXT = text.read_word2vec, text.write_word2vec, True
_GLOVE = text.read_glove, text.write_glove, True
_BINARY = binary.read, binary.write, True
_PARQUET = arrow.read_parquet, arrow.write_parquet, False, "pyarrow"
_ARROW = arrow.read_arrow, arrow.write_arrow, False, "pyarrow"
FORMATS: Mapping[str, Format] = {
    form.name: form
    for form in (
        Format("safetensors", (".safetensors", ""), "the library's own: nothing is lost", own.read, own.write),
        Format("word2vec", (".txt",), "text of word2vec and gensim, float32", *_TEXT),
        Format("word2vec-binary", (".bin",), "binary form of word2vec and gensim, float32", *_BINARY),
        Format("fasttext", (".vec",), "text of fastText, float32", *_TEXT),
        Format("glove", (".glove",), "text of GloVe, without a first line 'V D', float32", *_GLOVE),
        Format("npy", (".npy",), "NumPy's array in x.npy, tokens in x.tokens.txt", *_NPY),
        Format("tsv", (".tsv",), "TensorBoard's projector: vectors.tsv, metadata.tsv, float32", *_TSV),
        Format("parquet", (".parquet",), "Parquet, with the extra [parquet]", *_PARQUET),
        Format("arrow", (".arrow", ".feather"), "Arrow, with the extra [parquet]", *_ARROW),
    )
}
"""Every format by its name."""


def format_of(path: PathLike, format: str | None = None) -> Format:  # noqa: A002 - a user's word
    """Return the format of a file: the one named, or the one its suffix tells. The file need not exist.

    Parameters
    ----------
    path : path-like
    format : str, optional
        A name in `FORMATS`.

    Raises
    ------
    ValueError
        If there is no such format, the suffix tells none, or the name ends in ``.gz`` and the format has no such form.

    Examples
    --------
    >>> format_of("wiki.vec.gz").name
    'fasttext'
    >>> format_of("glove.6B.100d.txt", "glove").name
    'glove'
    >>> format_of("wiki.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: 'wiki.npz': the suffix '.npz' tells no format; name one of safetensors, word2vec, ...
    """
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if format is None:
        found = next((form for form in FORMATS.values() if suffix in form.suffixes), None)
        if found is None:
            raise ValueError(f"{str(path)!r}: the suffix {suffix!r} tells no format; name one of {', '.join(FORMATS)}")
    elif format in FORMATS:
        found = FORMATS[format]
    else:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if name.endswith(".gz") and not found.gzip:
        raise ValueError(f"{str(path)!r}: files of the format {found.name!r} are not compressed with gzip")
    return found


def check_output(path: PathLike, format: str | None = None) -> None:  # noqa: A002 - a user's word
    """Raise what :func:`save` would raise for this name, before there is anything to save.

    Parameters
    ----------
    path : path-like
    format : str, optional

    Raises
    ------
    ValueError, OSError, ImportError
        As :func:`save`.

    Examples
    --------
    >>> check_output("wiki.vec.gz")
    >>> check_output("wiki.pkl")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: 'wiki.pkl': the suffix '.pkl' tells no format; name one of safetensors, word2vec, ...
    """
    library = format_of(path, format).library
    if library is not None:
        require(library, "parquet")
    writable(path)


def save(
    tokens: Sequence[str],
    matrix: Matrix,
    path: PathLike,
    format: str | None = None,  # noqa: A002 - a user's word
    *,
    counts: npt.NDArray[np.int64] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write vectors to a file, or to two that belong together, whole or not at all.

    Parameters
    ----------
    tokens : sequence of str, length V
    matrix : ndarray of float32 or float64, shape (V, D)
    path : path-like
        The file to make or to replace.
    format : str, optional
        A name in `FORMATS`; otherwise the suffix tells.
    counts : ndarray of integers, shape (V,), optional
        Kept by "safetensors", "tsv", "parquet" and "arrow".
    settings : mapping, optional
        Kept as JSON by "safetensors".

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together, there is no vector, or the format cannot hold a token, which is named.
    OSError
        If the folder is missing or the disk refuses the data; old files are then untouched.
    ImportError
        If the format needs an extra, which is named.

    Examples
    --------
    >>> save(["one", "two"], np.eye(2), "v.vec.gz")
    >>> load("v.vec.gz").tokens
    ['one', 'two']
    """
    form = format_of(path, format)
    form.write(path, check_table(Table(tokens, matrix, counts, settings or {})))


def load(path: PathLike, format: str | None = None) -> Table:  # noqa: A002 - a user's word
    """Read a file of vectors. Nothing in it is ever unpickled or executed.

    Parameters
    ----------
    path : path-like
    format : str, optional
        A name in `FORMATS`; otherwise the suffix tells.

    Returns
    -------
    Table
        Its matrix is read-only and in native byte order.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole file of that format, or what it holds does not fit together; the place is named.
    ImportError
        If the format needs an extra, which is named.

    Examples
    --------
    See :func:`save`.
    """
    table = format_of(path, format).read(path)
    try:
        table = check_table(table)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r}: {error}") from error
    table.matrix.flags.writeable = False
    return table
