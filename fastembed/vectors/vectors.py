"""Vectors: tokens and their vectors; lookup, similarity, neighbours and analogies."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed import formats
from fastembed._base.validation import check_integer
from fastembed.formats.table import check_token_counts, check_vectors
from fastembed.vectors.neighbors import Matrix
from fastembed.vectors.queries import Queries, Token

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

    Notes
    -----
    Nothing changes them, so any number of threads may ask at once.

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
        self._ids = check_vectors(self._tokens, matrix)
        writeable, aligned = matrix.flags.writeable, matrix.flags.aligned
        self._matrix = _frozen(np.array(matrix, order="C", copy=writeable or not aligned or None))
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

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - a user's word
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the vectors to a file in the format that its suffix tells, whole or not at all.

        ===================== =================== =================================================================
        suffix                format              what it is
        ===================== =================== =================================================================
        ``.safetensors``, ""  ``safetensors``     the library's own: any token, float32 or float64, counts, settings
        ``.txt``              ``word2vec``        text of word2vec and gensim, float32
        ``.bin``              ``word2vec-binary`` binary form of word2vec and gensim, float32
        ``.vec``              ``fasttext``        text of fastText, float32
        ``.glove``            ``glove``           text of GloVe, without the first line "V D", float32
        ``.npy``              ``npy``             NumPy's array in ``x.npy``, the tokens in ``x.tokens.txt``
        ``.tsv``              ``tsv``             TensorBoard's projector: ``vectors.tsv`` with ``metadata.tsv``, or
                                                  ``x.tsv`` with ``x.metadata.tsv``; float32, counts
        ``.parquet``          ``parquet``         Parquet, float32 or float64, counts; needs the extra [parquet]
        ``.arrow .feather``   ``arrow``           Arrow, float32 or float64, counts; needs the extra [parquet]
        ===================== =================== =================================================================

        In those of word2vec, fastText and GloVe ``.gz`` may follow the suffix.

        Parameters
        ----------
        path : path-like
            The file to make or to replace.
        format : str, optional
            One of the table, whatever the suffix.
        settings : mapping, optional
            Kept in the header of safetensors files as JSON, to say how the vectors were made. Other formats have no
            place for it.

        Raises
        ------
        OSError
            If the folder is missing or the disk refuses the data; the old file is then untouched.
        TypeError, ValueError
            If the suffix tells no format, there are no vectors, the settings are not JSON, or the format cannot hold a
            token, which is named: white space in those of word2vec, fastText and GloVe, a line end in "npy", a line
            end or a tab in "tsv".
        ImportError
            If the format needs an extra, which is named.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Vectors(["a", "b"], np.eye(2)).save(f"{folder}/v.vec.gz")
        ...     Vectors.load(f"{folder}/v.vec.gz")
        <Vectors: 2 tokens, 2 dimensions, float32>
        """
        formats.save(self._tokens, self._matrix, path, format, counts=self._counts, settings=settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str], format: str | None = None) -> Self:  # noqa: A002 - a user's word
        """Read a file of vectors, in one of the formats of :meth:`save`; safetensors and npy are mapped into memory.

        A file that is mapped must not be shortened; it may be replaced, but on Windows only once its vectors are gone.

        Parameters
        ----------
        path : path-like
        format : str, optional
            One of the formats of :meth:`save`; otherwise the suffix tells.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If the suffix tells no format, or the file is not a whole one of it; the place is named.
        ImportError
            If the format needs an extra, which is named.

        Examples
        --------
        See :meth:`save`.
        """
        return cls._of(formats.load(path, format))

    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False) -> None:
        """Write the text or binary form of word2vec, under gensim's name for it; as :meth:`save`.

        Parameters
        ----------
        path : path-like
            The file to make or to replace. If it ends in ``.gz``, the file is compressed.
        binary : bool

        Raises
        ------
        ValueError, OSError
            As :meth:`save`.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Vectors(["a", "b"], np.eye(2)).save_word2vec_format(f"{folder}/v", binary=True)
        ...     Vectors.load_word2vec_format(f"{folder}/v", binary=True)
        <Vectors: 2 tokens, 2 dimensions, float32>
        """
        self.save(path, "word2vec-binary" if binary else "word2vec")

    @classmethod
    def load_word2vec_format(cls, path: str | os.PathLike[str], binary: bool = False) -> Self:
        """Read the text or binary form of word2vec, under gensim's name for it; as :meth:`load`.

        Parameters
        ----------
        path : path-like
        binary : bool

        Raises
        ------
        ValueError, OSError
            As :meth:`load`.

        Examples
        --------
        See :meth:`save_word2vec_format`.
        """
        return cls.load(path, "word2vec-binary" if binary else "word2vec")

    def to_gensim(self) -> Any:
        """Return a gensim.models.KeyedVectors; counts are its attribute "count".

        The way back is ``Vectors(keyed.index_to_key, keyed.vectors)``.

        Raises
        ------
        ImportError
            Without gensim: the extra [gensim].
        """
        return formats.to_gensim(self._table())

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame: the tokens are its index, and each dimension is a column.

        Raises
        ------
        ImportError
            Without pandas: the extra [pandas].
        ValueError
            If a token has no UTF-8 form.
        """
        return formats.to_pandas(self._table())

    @classmethod
    def from_pandas(cls, frame: Any) -> Self:
        """Return the vectors of a pandas.DataFrame in the form of :meth:`to_pandas`.

        Parameters
        ----------
        frame : pandas.DataFrame

        Raises
        ------
        TypeError, ValueError
            If it is none, the index does not hold different strings, or a column is not float32 or float64, or not
            finite.
        """
        return cls._of(formats.from_pandas(frame))

    def _table(self) -> formats.Table:
        return formats.Table(self._tokens, self._matrix, self._counts)

    @classmethod
    def _of(cls, table: formats.Table) -> Self:
        return cls(table.tokens, table.matrix, counts=table.counts)


def _frozen(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return the array after making it read-only."""
    array.flags.writeable = False
    return array
