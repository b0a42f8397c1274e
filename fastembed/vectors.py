"""Vectors: tokens and their vectors; lookup, similarity, neighbours and analogies."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed import formats
from fastembed._neighbors import Matrix
from fastembed._queries import Queries, Token
from fastembed._validation import check_integer, check_token_counts

Number = TypeVar("Number", bound=np.generic)


class Vectors(Queries):
    """One vector for each of V tokens.

    ``len``, ``in`` and iteration are about the tokens. ``v["king"]`` is a vector, ``v[["king", "queen"]]`` a matrix of
    two. Wherever a method takes a token, its id will do: the place among the tokens.

    Parameters
    ----------
    tokens : sequence of str, length V
        All different.
    matrix : ndarray of float32 or float64, shape (V, D)
        Row i is the vector of token i. Copied, unless it is C-contiguous and already read-only, as a memory-mapped file
        can be.
    counts : array_like of int, shape (V,), optional
        How often each token occurred.

    Attributes
    ----------
    tokens : tuple of str
    matrix : ndarray, shape (V, D)
        C-contiguous and read-only.
    counts : ndarray of int64, shape (V,), or None
        Read-only.

    Raises
    ------
    TypeError
        If a token is not text, the matrix is not an array of float32 or float64, or the counts are no integers.
    ValueError
        If the shapes do not match, a token comes twice, a count is negative, or a number is NaN or infinite.

    Examples
    --------
    >>> v = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> len(v), "queen" in v
    (3, True)
    >>> v["king"]
    array([2., 1.])
    >>> v[["king", "cabbage"]]
    array([[ 2. ,  1. ],
           [-1. ,  0.5]])
    >>> round(v.similarity("king", "queen"), 4)
    0.9487
    """

    def __init__(self, tokens: Sequence[str], matrix: Matrix, *, counts: npt.ArrayLike | None = None) -> None:
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a sequence of str, got the single str {tokens!r}")
        self._tokens = tuple(tokens)
        self._matrix = _checked(self._tokens, matrix)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        if len(self._ids) < len(self._tokens):
            twice = next(token for i, token in enumerate(self._tokens) if self._ids[token] != i)
            raise ValueError(f"every token must be there once, {twice!r} comes more than once")
        self._counts = None if counts is None else _frozen(check_token_counts(counts, self._tokens))

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in the order of the matrix's rows."""
        return self._tokens

    @property
    def matrix(self) -> Matrix:
        """The vectors, shape (V, D), read-only."""
        return self._matrix

    @property
    def counts(self) -> npt.NDArray[np.int64] | None:
        """How often each token occurred, shape (V,), read-only; None if that is not known."""
        return self._counts

    def __repr__(self) -> str:
        return f"<Vectors: {len(self)} tokens, {self._matrix.shape[1]} dimensions, {self._matrix.dtype}>"

    def subset(self, tokens: int | np.integer[Any] | Iterable[Token]) -> Self:
        """Return the vectors of some tokens.

        Parameters
        ----------
        tokens : int or iterable of str or int
            The first so many tokens, whose memory is shared; or tokens and ids, in the order of the result.

        Returns
        -------
        Vectors

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If something is neither a token nor an id, a token comes twice, or the number is below 1 or above V.

        Examples
        --------
        >>> v = Vectors(["a", "b", "c"], np.eye(3))
        >>> v.subset(["c", "a"]).tokens, v.subset(2).tokens
        (('c', 'a'), ('a', 'b'))
        """
        if isinstance(tokens, int | np.integer):
            first = slice(check_integer("tokens", tokens, low=1, high=len(self)))
            counts = None if self._counts is None else self._counts[first]
            return type(self)(self._tokens[first], self._matrix[first], counts=counts)
        ids = self._several("tokens", tokens)
        counts = None if self._counts is None else self._counts[ids]
        return type(self)([self._tokens[i] for i in ids], _frozen(self._matrix[ids]), counts=counts)

    def normalized(self) -> Self:
        """Return the vectors divided by their lengths, in the same dtype; zero stays zero.

        Returns
        -------
        Vectors

        Examples
        --------
        >>> Vectors(["a", "zero"], np.array([[3.0, 4.0], [0.0, 0.0]])).normalized().matrix
        array([[0.6, 0.8],
               [0. , 0. ]])
        """
        return type(self)(self._tokens, _frozen(self._neighbors.normalized()), counts=self._counts)

    def save(self, path: str | os.PathLike[str], *, settings: Mapping[str, Any] | None = None) -> None:
        """Write tokens and vectors to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The file to make or to replace.
        settings : mapping, optional
            Kept in the file's header as JSON, to say how the vectors were made.

        Raises
        ------
        OSError
            If the folder is missing or the disk refuses the data; the old file is then untouched.
        TypeError, ValueError
            If the settings are not JSON.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Vectors(["a", "b"], np.eye(2)).save(f"{folder}/v.safetensors")
        ...     Vectors.load(f"{folder}/v.safetensors")
        <Vectors: 2 tokens, 2 dimensions, float64>
        """
        tensors = {"matrix": self._matrix, **formats.pack_tokens(self._tokens)}
        formats.write_tensors(path, tensors, formats.header("vectors", settings))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file of :meth:`save`.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If it is not a whole file of vectors.

        Examples
        --------
        See :meth:`save`.
        """
        tensors, metadata = formats.read_tensors(path)
        formats.check_header(metadata, "vectors", path)
        tokens = formats.unpack_tokens(tensors, path)
        if "matrix" not in tensors:
            raise ValueError(f"{str(path)!r} holds no tensor 'matrix': it holds {sorted(tensors)}")
        return cls._from_file(tokens, tensors["matrix"], path)

    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False) -> None:
        """Write the text or binary form of the word2vec tool, which holds float32 only.

        Parameters
        ----------
        path : path-like
            The file to make or to replace.
        binary : bool

        Raises
        ------
        ValueError
            If a token is empty or contains white space, or a number exceeds float32.
        OSError
            If the folder is missing or the disk refuses the data; the old file is then untouched.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Vectors(["a", "b"], np.eye(2)).save_word2vec_format(f"{folder}/v.txt")
        ...     Vectors.load_word2vec_format(f"{folder}/v.txt")
        <Vectors: 2 tokens, 2 dimensions, float32>
        """
        formats.write_word2vec(path, self._tokens, self._matrix, binary)

    @classmethod
    def load_word2vec_format(cls, path: str | os.PathLike[str], binary: bool = False) -> Self:
        """Read the text or binary form of the word2vec tool, as gensim and fastText write it too.

        Parameters
        ----------
        path : path-like
        binary : bool
            Which of the two forms the file is in.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If it is not such a file; the line or vector is named.

        Examples
        --------
        See :meth:`save_word2vec_format`.
        """
        return cls._from_file(*formats.read_word2vec(path, binary), path)

    @classmethod
    def _from_file(cls, tokens: Sequence[str], matrix: Matrix, path: str | os.PathLike[str]) -> Self:
        """Build from what a file held, naming the file if that does not fit together."""
        try:
            return cls(tokens, _frozen(matrix))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r}: {error}") from error


def _checked(tokens: tuple[str, ...], matrix: Matrix) -> Matrix:
    """Return the matrix, C-contiguous and read-only, after checking it against the tokens."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in (np.float32, np.float64):
        found = matrix.dtype if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"matrix must be an array of float32 or float64, got {found}")
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, got {token!r}")
    if matrix.ndim != 2 or matrix.shape[0] != len(tokens) or matrix.shape[1] == 0:
        raise ValueError(f"matrix must have the shape ({len(tokens)}, D), one row a token, got {matrix.shape}")
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~finite)[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return _frozen(np.array(matrix, order="C", copy=matrix.flags.writeable or not matrix.flags.aligned or None))


def _frozen(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return the array after making it read-only."""
    array.flags.writeable = False
    return array
