"""Which format a file has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastembed._base.validation import check_choice
from fastembed.formats import fasttext, tensors, word2vec
from fastembed.formats.atomic import check_writable
from fastembed.formats.table import PathLike, Table


@dataclass(frozen=True)
class Format:
    """A format of files of vectors, as `FORMATS` lists them.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        The suffixes of its files, in lower case.
    description : str
        One line for users.
    read : callable
        ``read(path) -> Table``.
    write : callable or None
        ``write(path, table)``; None if vectors cannot be saved in it.
    gzip : bool
        Whether ``.gz`` may follow the suffix.
    ngrams : bool
        Whether a file holds the vectors of character n-grams, as well as the vectors of the tokens.

    Examples
    --------
    >>> FORMATS["word2vec"].suffixes, FORMATS["fasttext-binary"].write is None
    (('.txt',), True)
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    read: Callable[[PathLike], Table] = field(repr=False)
    write: Callable[[PathLike, Table], None] | None = field(repr=False)
    gzip: bool = True
    ngrams: bool = False


TENSORS = tensors.read_vectors, tensors.write_vectors
TEXT = word2vec.read_text, word2vec.write_text
BINARY = word2vec.read_binary, word2vec.write_binary
GLOVE = word2vec.read_glove, word2vec.write_glove

FORMATS: Mapping[str, Format] = {
    form.name: form
    for form in (
        Format("safetensors", (".safetensors", ""), "the library's own", *TENSORS, gzip=False, ngrams=True),
        Format("word2vec", (".txt",), "text of word2vec and gensim, float32", *TEXT),
        Format("word2vec-binary", (".bin",), "binary form of word2vec and gensim, float32", *BINARY),
        Format("fasttext", (".vec",), "text of fastText, float32", *TEXT),
        # Its suffix is .bin too: `format_of_file` recognises the contents
        Format("fasttext-binary", (), "binary models of fastText, float32", fasttext.read_fasttext, None, ngrams=True),
        Format("glove", (".glove",), "text of GloVe, without a first line 'V D', float32", *GLOVE),
    )
}


def format_of(path: PathLike, format: str | None = None) -> Format:  # noqa: A002 - a user's word
    """Return the format of a file: the given one, or the one of its suffix. The file need not exist.

    Parameters
    ----------
    path : path-like
    format : str, optional
        A name in `FORMATS`.

    Examples
    --------
    >>> format_of("wiki.vec.gz").name
    'fasttext'
    >>> format_of("glove.6B.100d.txt", "glove").name
    'glove'
    >>> format_of("wiki.npz")
    Traceback (most recent call last):
        ...
    ValueError: 'wiki.npz': no format has the suffix '.npz'; name a format, such as word2vec, or use Vectors.from_gensim
    """
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if format is None:
        form = next((entry for entry in FORMATS.values() if suffix in entry.suffixes), None)
        if form is None:
            hint = "name a format, such as word2vec, or use Vectors.from_gensim"
            raise ValueError(f"{str(path)!r}: no format has the suffix {suffix!r}; {hint}")
    else:
        form = FORMATS[check_choice("format", format, list(FORMATS))]
    if name.endswith(".gz") and not form.gzip:
        raise ValueError(f"{str(path)!r}: files of the format {form.name!r} are not compressed with gzip")
    return form


def check_output(path: PathLike, format: str | None = None) -> Callable[[PathLike, Table], None]:  # noqa: A002 - a user's word
    """Return the function that writes vectors to a file of this name, after checking that it can.

    Raises
    ------
    ValueError
        If no format has the suffix, or files of the format can only be read.
    OSError
        If the folder is missing or not writable.

    Examples
    --------
    >>> check_output("wiki.pkl")
    Traceback (most recent call last):
        ...
    ValueError: 'wiki.pkl': no format has the suffix '.pkl'; name a format, such as word2vec, or use Vectors.from_gensim
    """
    form = format_of(path, format)
    if form.write is None:
        raise ValueError(f"{str(path)!r}: files of the format {form.name!r} can be read, but not written")
    check_writable(path)
    return form.write


def check_model_name(path: PathLike) -> None:
    """Raise ValueError if a file has the suffix of another format than safetensors, in which models are saved.

    Examples
    --------
    >>> check_model_name("wiki.txt")
    Traceback (most recent call last):
        ...
    ValueError: a model is a .safetensors file, got 'wiki.txt': vectors.save or `export` writes vectors
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".gz" or any(form.gzip and suffix in form.suffixes for form in FORMATS.values()):
        raise ValueError(f"a model is a .safetensors file, got {str(path)!r}: vectors.save or `export` writes vectors")


def format_of_file(path: PathLike, format: str | None = None) -> Format:  # noqa: A002 - a user's word
    """Return the format of a file to read: the given one, or that of its first bytes or else of its suffix.

    Raises
    ------
    ValueError
        As by :func:`format_of`.
    OSError
        If no format is given, and the file is missing or cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from fastembed.formats.tensors import write_tensors
    >>> write_tensors("v.model", {"matrix": np.eye(2)})
    >>> format_of_file("v.model").name
    'safetensors'
    """
    if format is None:
        if tensors.is_safetensors(path):
            return FORMATS["safetensors"]
        if format_of(path).name == "word2vec-binary" and fasttext.is_model(path):
            return FORMATS["fasttext-binary"]
        if format_of(path).name in ("word2vec", "fasttext") and word2vec.lacks_header(path):
            return FORMATS["glove"]
    return format_of(path, format)
