"""Vectors: tokens and their vectors; lookup, similarity, neighbours and analogies."""

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastembed import formats
from fastembed._validation import check_finite, check_integer

Matrix = npt.NDArray[np.floating]
Query = str | npt.NDArray[Any]


class Vectors:
    """One vector for each of V tokens.

    Parameters
    ----------
    tokens : sequence of str, length V
        All different.
    matrix : ndarray of float32 or float64, shape (V, D)
        Row i is the vector of token i. Copied, unless it is C-contiguous and already read-only.

    Attributes
    ----------
    tokens : tuple of str
    matrix : ndarray, shape (V, D)
        C-contiguous and read-only.

    Raises
    ------
    TypeError
        If a token is not text or the matrix is not an array of float32 or float64.
    ValueError
        If the shapes do not match, a token comes twice, or a number is NaN or infinite.

    Examples
    --------
    >>> v = Vectors(["king", "queen", "cabbage"], np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]))
    >>> len(v), "queen" in v
    (3, True)
    >>> v["king"]
    array([2., 1.])
    >>> round(v.similarity("king", "queen"), 4)
    0.9487
    """

    def __init__(self, tokens: Sequence[str], matrix: Matrix) -> None:
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a sequence of str, got the single str {tokens!r}")
        self._tokens = tuple(tokens)
        self._matrix = _checked(self._tokens, matrix)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        if len(self._ids) < len(self._tokens):
            twice = next(token for i, token in enumerate(self._tokens) if self._ids[token] != i)
            raise ValueError(f"every token must be there once, {twice!r} comes more than once")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in the order of the matrix's rows."""
        return self._tokens

    @property
    def matrix(self) -> Matrix:
        """The vectors, shape (V, D), read-only."""
        return self._matrix

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> Matrix:
        """Return the vector of a token, shape (D,), read-only."""
        vector: Matrix = self._matrix[self._id(token)]
        return vector

    def __repr__(self) -> str:
        return f"<Vectors: {len(self)} tokens, {self._matrix.shape[1]} dimensions, {self._matrix.dtype}>"

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of the angle between the vectors of two tokens; 0 if one of them is zero.

        Parameters
        ----------
        a, b : str

        Returns
        -------
        float
            Between -1 and 1.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.

        Examples
        --------
        >>> Vectors(["a", "b"], np.array([[3.0, 0.0], [4.0, 3.0]])).similarity("a", "b")
        0.8
        """
        return float(np.clip(_unit(self[a]) @ _unit(self[b]), -1.0, 1.0))

    def most_similar(
        self,
        positive: Query | Iterable[Query] = (),
        negative: Query | Iterable[Query] = (),
        topn: int = 10,
    ) -> list[tuple[str, float]]:
        """Return the tokens nearest to the mean of some vectors, by cosine (3CosAdd; the same numbers as gensim).

        Tokens count with their unit vectors, `negative` ones with a minus; the tokens of the query are left out of
        the answer. Vectors given as arrays count as they are.

        Parameters
        ----------
        positive, negative : str, ndarray of shape (D,), or iterable of both
        topn : int
            How many, at least 1; fewer are returned if there are no more.

        Returns
        -------
        list of (str, float)
            Token and cosine, falling; equals in the order of the tokens.

        Raises
        ------
        KeyError
            If a token is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If the query is empty, an array has another shape or is not finite, or `topn` is not a positive integer.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

        Examples
        --------
        >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
        >>> v.most_similar(["king", "woman"], negative="man", topn=1)[0][0]
        'queen'
        """
        topn = check_integer("topn", topn, low=1)
        query = [(item, 1.0) for item in _listed(positive)] + [(item, -1.0) for item in _listed(negative)]
        if not query:
            raise ValueError("most_similar needs at least one token or vector, got none")
        mean = np.sum([weight * self._query_vector(item) for item, weight in query], axis=0)
        asked = [self._ids[item] for item, _ in query if isinstance(item, str)]
        cosines = np.clip(self._cosines(_unit(mean)), -1.0, 1.0)
        cosines[asked] = -np.inf
        best = _largest(cosines, min(topn, len(self) - len(set(asked))))
        return [(self._tokens[i], float(cosines[i])) for i in best]

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
        matrix.flags.writeable = False
        try:
            return cls(tokens, matrix)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r}: {error}") from error

    @cached_property
    def _inverse_norms(self) -> npt.NDArray[np.float64]:
        """1 / |row|, shape (V,), and 0 for a zero row, whose cosine with anything is then 0."""
        norms: npt.NDArray[np.float64] = np.sqrt(np.einsum("vd,vd->v", self._matrix, self._matrix, dtype=np.float64))
        np.divide(1.0, norms, out=norms, where=norms > 0)
        return norms

    def _cosines(self, unit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the cosine of every vector with a unit vector, shape (V,)."""
        return np.asarray(self._matrix @ unit.astype(self._matrix.dtype) * self._inverse_norms)

    def _query_vector(self, item: Query) -> npt.NDArray[np.float64]:
        """Return what an item of a query adds to the mean: a token's unit vector, or the array itself."""
        if isinstance(item, str):
            return _unit(self[item])
        if not isinstance(item, np.ndarray) or item.dtype.kind not in "iuf":
            raise TypeError(f"a query is made of str and arrays of numbers, got {item!r}")
        if item.shape != self._matrix.shape[1:]:
            raise ValueError(f"a query vector must have the shape {self._matrix.shape[1:]}, got {item.shape}")
        check_finite("query vector", item)
        return item.astype(np.float64)

    def _id(self, token: str) -> int:
        """Return the row of a token, or say which tokens are spelled most like it."""
        try:
            return self._ids[token]
        except KeyError:
            pass
        if not isinstance(token, str):
            raise TypeError(f"a token is a str, got {token!r}")
        message = f"{token!r} is not among the {len(self)} tokens"
        similar = [other for other in self._tokens if abs(len(other) - len(token)) <= 2]
        close = get_close_matches(token, similar, n=3) or [t for t in (token.lower(),) if t in self]
        if close:
            message += f"; the closest spellings are {', '.join(map(repr, close))}"
        raise KeyError(message)


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
    frozen: Matrix = np.array(matrix, order="C", copy=matrix.flags.writeable or None)
    frozen.flags.writeable = False
    return frozen


def _listed(items: Query | Iterable[Query]) -> list[Query]:
    """Return a query as a list: one token or one vector may stand for itself."""
    single = isinstance(items, str) or (isinstance(items, np.ndarray) and items.ndim == 1)
    return [items] if single else list(items)  # type: ignore[list-item]


def _unit(vector: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the vector divided by its length, in float64; zero stays zero."""
    exact = vector.astype(np.float64)
    norm = float(np.linalg.norm(exact))
    return exact / norm if norm > 0 else exact


def _largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Return where the `count` largest values are, falling, equals by position."""
    if count < 1:
        return np.empty(0, dtype=np.intp)
    threshold = -np.partition(-values, count - 1)[count - 1]
    candidates = np.flatnonzero(values >= threshold)
    return candidates[np.argsort(-values[candidates], kind="stable")][:count]
