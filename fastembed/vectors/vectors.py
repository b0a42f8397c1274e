"""Vectors: tokens and their vectors; lookup, similarity, neighbours and analogies."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import read_only
from fastembed._base.optional import require
from fastembed._base.progress import bar, bars
from fastembed._base.threads import SingleThreadedBlas, cached_property
from fastembed._base.validation import (
    check_choice,
    check_finite,
    check_ids,
    check_integer,
    check_number,
    check_token,
    check_token_counts,
    known_token,
    shown,
    token_of,
    warn_user,
)
from fastembed.formats.registry import check_output, format_of, format_of_file
from fastembed.formats.table import Table, check_vectors
from fastembed.vectors.neighbors import METHODS, Among, Exact, Ids, Matrix, Neighbors, rounded_products, unit_vectors
from fastembed.vectors.subwords import BucketComposer, Composer, composer_of

Kind = TypeVar("Kind", bound="Vectors")
Token = str | int | np.integer[Any]  # a token, or an integer whose digits are a token
Query = Token | npt.NDArray[np.floating[Any]]  # a token, or a vector (D,)
Weighted = Query | tuple[Query, float]
Restriction = int | np.integer[Any] | Iterable[Token] | None
Entry = int | Matrix  # the row of a token, or the vector (D,) composed for an unknown word

QUERIES = 2048  # the number of queries between two updates of a progress bar
# Attributes of `gensim.models.KeyedVectors`, and their equivalents here
GENSIM = {"vectors": "matrix", "vector_size": "matrix.shape[1]", "index_to_key": "tokens"}
GENSIM |= {"get_vector": "vectors[token]", "key_to_index": "{token: row for row, token in enumerate(vectors.tokens)}"}


class Vectors:
    """Tokens and their vectors: look them up, compare them, search among them, read and write files.

    ``v["king"]`` is a vector, ``v[["king", "queen"]]`` a matrix of two rows. ``len``, ``in`` and iteration apply to the
    tokens. If all tokens are integers, ``v[33]`` is ``v["33"]``. Row 33 is ``v.matrix[33]``. A word in the form
    NFD of Unicode finds its token in the form NFC.

    Vectors of a model with subwords, or of fastText, hold character n-grams, and compose the vector of an unseen word
    of them: ``v["kingly"]``. All methods take unseen words, except :meth:`subset` and the argument ``restrict``.
    ``"kingly" in v`` is False.

    Parameters
    ----------
    tokens : sequence of str, length V
        The tokens, without duplicates.
    matrix : ndarray of float32 or float64, shape (V, D)
        Row i is the vector of token i. Copied, unless it is C-contiguous and read-only.
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
    KeyError
        By any method, for an unknown word. The message has the closest spellings.
    TypeError, ValueError
        By any method, for an argument of another type or value than documented, and for a damaged file.
    OSError
        By :meth:`save` and :meth:`load`. A file that cannot be replaced stays as it was.

    Notes
    -----
    Instances are immutable, so any number of threads may share an instance.

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
        self._rows = check_vectors(self._tokens, matrix)
        writeable, aligned = matrix.flags.writeable, matrix.flags.aligned
        self._matrix = read_only(np.array(matrix, order="C", copy=writeable or not aligned or None))
        self._counts = None if counts is None else read_only(check_token_counts(counts, self._tokens))
        self._composer: Composer | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return attribute_of(self, name, GENSIM)

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
        """How often each token occurred, shape (V,), read-only; None if not known."""
        return self._counts

    def __repr__(self) -> str:
        more = "" if self._composer is None else f", {self._composer}"
        return f"<Vectors: {len(self)} tokens, {self._matrix.shape[1]} dimensions, {self._matrix.dtype}{more}>"

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __contains__(self, token: object) -> bool:
        return known_token(token, self._rows) in self._rows

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the matrix, so that ``np.asarray(v)`` is the matrix of the vectors."""
        return np.array(self._matrix, dtype=dtype, copy=copy)

    def __getitem__(self, tokens: Token | Iterable[Token]) -> Matrix:
        """Return the vector of one token, shape (D,), read-only; or of N tokens, a new array of shape (N, D)."""
        if not isinstance(tokens, str | int | np.integer):
            return self._vectors_of(as_items("tokens", tokens, "one token or several"))
        (entry,) = self._entries([tokens])
        return self._matrix[entry] if isinstance(entry, int) else read_only(entry)

    def subwords(self, token: Token) -> list[tuple[str, float]]:
        """Return how much a word itself and each of its character n-grams contribute to its vector.

        Parameters
        ----------
        token : str or int
            One of the tokens, or another word that has known n-grams.

        Returns
        -------
        list of (str, float)
            The word itself, if it is a token, then its known n-grams in their order in the word; each with its share.

        Notes
        -----
        N-grams are taken from the word between < and >, such as ``<king>``. A share is the projection of a part onto
        the vector, divided by the length of the vector. Shares sum to 1 and may be negative; shares of a zero vector
        are 0.

        Examples
        --------
        >>> Vectors(["a", "b"], np.eye(2)).subwords("a")  # these vectors hold no n-grams
        [('a', 1.0)]
        """
        (entry,) = self._entries([token])
        name, row = str(token_of(token)), entry if isinstance(entry, int) else None
        vector = (self._matrix[entry] if isinstance(entry, int) else entry).astype(np.float64)
        parts = [] if self._composer is None else self._composer.parts(name, row)
        unit = unit_vectors(vector[None])[0]
        length = float(unit @ vector) or math.inf  # shares of a zero vector are 0
        shares: dict[str, float] = {}
        for ngram, part in parts:
            shares[ngram] = shares.get(ngram, 0.0) + float(unit @ part) / length
        token_share = [] if row is None else [(name, float(unit @ (vector - sum(part for _, part in parts))) / length)]
        return [*token_share, *shares.items()]

    def subset(
        self, tokens: int | np.integer[Any] | Iterable[Token] | None = None, *, ids: npt.ArrayLike | None = None
    ) -> Self:
        """Return the vectors of some tokens.

        Parameters
        ----------
        tokens : int or iterable of str or int
            The tokens, in the order of the result; or n for the first n tokens, whose vectors are not copied.
        ids : array_like of int, optional
            The ids of the tokens, instead of `tokens`.

        Returns
        -------
        Vectors

        Examples
        --------
        >>> v = Vectors(["a", "b", "c"], np.eye(3))
        >>> v.subset(["c", "a"]).tokens, v.subset(2).tokens, v.subset(ids=[2]).tokens
        (('c', 'a'), ('a', 'b'), ('c',))
        """
        _check_one("tokens", tokens, ids)
        if isinstance(tokens, int | np.integer):
            rows: Any = slice(check_integer("tokens", tokens, low=1, high=len(self)))
        else:
            rows = self._rows_of("tokens", tokens) if tokens is not None else self._checked_ids(ids)
        counts = None if self._counts is None else self._counts[rows]
        names = self._tokens[rows] if isinstance(rows, slice) else [self._tokens[i] for i in rows]
        composer = None if self._composer is None else self._composer.subset(rows)
        return composing_vectors(type(self), names, read_only(self._matrix[rows]), counts, composer)

    def normalized(self) -> Self:
        """Return the vectors divided by their lengths, in the same dtype; zero vectors stay zero.

        Returns
        -------
        Vectors
            Without n-grams: vectors composed of n-grams would not have unit length.

        Examples
        --------
        >>> Vectors(["a", "zero"], np.array([[3.0, 4.0], [0.0, 0.0]])).normalized().matrix
        array([[0.6, 0.8],
               [0. , 0. ]])
        """
        return type(self)(self._tokens, read_only(self._neighbors.normalized()), counts=self._counts)

    def align(self, other: Vectors, tokens: Iterable[Token] | None = None) -> Self:
        """Return these vectors aligned with other vectors, by the rotation or reflection that fits shared tokens best.

        Words of two corpora, or of two periods, can then be compared. Cosines within these vectors stay the same.

        Parameters
        ----------
        other : Vectors
            Vectors of the same dimension.
        tokens : iterable of str or int, optional
            Shared tokens that determine the rotation; by default all shared tokens.

        Returns
        -------
        Vectors
            With the tokens and the dtype of these vectors, without n-grams.

        Notes
        -----
        With A and B the unit vectors of the tokens, one per row, the orthogonal matrix R that minimises the Frobenius
        norm of A R - B is U V', where A' B = U S V' is the singular value decomposition. Zero vectors have no weight.

        References
        ----------
        P. Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 31, 1966.

        Examples
        --------
        >>> old = Vectors(["a", "b"], np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> new = Vectors(["b", "a", "c"], np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        >>> old.align(new).matrix.round(12) + 0.0
        array([[0., 1.],
               [2., 0.]])
        """
        check_is_vectors("other", other)
        if self._matrix.shape[1] != other.matrix.shape[1]:
            dimensions = f"{self._matrix.shape[1]} and {other.matrix.shape[1]}"
            raise ValueError(f"vectors to align must have one dimension, got {dimensions}")
        shared = [token for token in self._tokens if token in other] if tokens is None else as_items("tokens", tokens)
        if not shared:
            raise ValueError("vectors to align must share tokens, got none in both")
        with SingleThreadedBlas():  # so that the order of sums does not depend on threads
            u, _, vt = np.linalg.svd(unit_vectors(self[shared]).T @ unit_vectors(other[shared]))
            turned = (self._matrix.astype(np.float64) @ (u @ vt)).astype(self._matrix.dtype)
        return type(self)(self._tokens, read_only(turned), counts=self._counts)

    def similarity(self, a: Token, b: Token) -> float:
        """Return the cosine of the vectors of two tokens, rounded to 12 decimals; 0 if a vector is zero.

        Parameters
        ----------
        a, b : str or int

        Examples
        --------
        >>> Vectors(["a", "b"], np.array([[3.0, 0.0], [4.0, 3.0]])).similarity("a", "b")
        0.8
        """
        unit_a, unit_b = unit_vectors(self._vectors_of([a, b]))
        return float(rounded_products(unit_a[None], unit_b)[0])

    def distance(self, a: Token, b: Token) -> float:
        """Return the cosine distance of two tokens, 1 - :meth:`similarity`: from 0 to 2.

        Parameters
        ----------
        a, b : str or int

        Examples
        --------
        >>> Vectors(["a", "b"], np.array([[3.0, 0.0], [0.0, -2.0]])).distance("a", "b")
        1.0
        """
        return 1.0 - self.similarity(a, b)

    def doesnt_match(self, tokens: Iterable[Token]) -> str:
        """Return the token whose vector has the smallest cosine with the mean of the unit vectors; of ties, the first.

        Parameters
        ----------
        tokens : iterable of str or int
            At least three: two are always equally far from their mean.

        Returns
        -------
        str

        Examples
        --------
        >>> v = Vectors(["red", "blue", "cat"], np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]))
        >>> v.doesnt_match(["red", "cat", "blue"])
        'cat'
        """
        items = as_items("tokens", tokens)
        unit = unit_vectors(self._vectors_of(items))
        if len(items) < 3:
            raise ValueError(f"doesnt_match needs at least three tokens, got {len(items)}")
        return str(token_of(items[int(np.argmin(rounded_products(unit, unit.mean(axis=0))))]))

    def most_similar(
        self,
        positive: Query | Iterable[Weighted] = (),
        negative: Query | Iterable[Weighted] = (),
        topn: int = 10,
        *,
        restrict: Restriction = None,
    ) -> list[tuple[str, float]]:
        """Return the tokens nearest to the mean of some vectors, by cosine (3CosAdd, as in gensim).

        Tokens contribute their unit vectors, and are left out of the result. Vectors contribute as they are. A zero
        vector, as of a word without pairs, is never a result, and an error as a query. :meth:`nearest` takes many
        queries at once.

        Parameters
        ----------
        positive, negative : str, int, ndarray of shape (D,), or iterable of them
            Tokens and vectors, alone or in pairs with a weight: ``[("king", 2.0), "woman"]``. By default weights are 1
            in `positive` and -1 in `negative`, where weights must not be positive.
        topn : int
            The number of tokens.
        restrict : int or iterable of str or int, optional
            The tokens to search, or n to search the first n tokens.

        Returns
        -------
        list of (str, float)
            Tokens and cosines, rounded to 12 decimals, in descending order; ties are in the order of the tokens.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

        Examples
        --------
        >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
        >>> v.most_similar(["king", "woman"], negative="man", topn=1)[0][0]
        'queen'
        >>> v.most_similar([("king", 2.0), "woman"], restrict=2)[0][0]
        'man'
        """
        topn = check_integer("topn", topn, low=1)
        among = self._searched(restrict)
        items = _weighted("positive", positive, 1.0) + _weighted("negative", negative, -1.0)
        if not items:
            raise ValueError("most_similar needs at least one token or vector, got none")
        vectors, rows = self._queried([item for item, _ in items])
        weights = np.array([weight for _, weight in items])
        with np.errstate(over="ignore", invalid="ignore"):
            total = (weights[:, None] * vectors).sum(axis=0)
        check_finite("the sum of the query", total)
        if not total.any():
            raise ValueError(f"the vector of {shown([item for item, _ in items])} is zero, which is near no token")
        asked = [row for query_rows in rows for row in query_rows]
        ((ids, cosines),) = self._neighbors.nearest(unit_vectors(total[None]), topn, excluded=[asked], among=among)
        return self._scored(ids, cosines)

    def nearest(
        self,
        queries: Query | Iterable[Query] | None = None,
        topn: int = 10,
        *,
        ids: npt.ArrayLike | None = None,
        restrict: Restriction = None,
        progress: bool = False,
    ) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Return the ids and cosines of the tokens nearest to each of many queries, many times faster than a loop.

        The result of a query has neither the query's token nor tokens with a zero vector, as in :meth:`most_similar`.
        The cosine of a zero query with every token is 0.

        Parameters
        ----------
        queries : ndarray of float, shape (Q, D) or (D,); or str, int, or iterable of str, int and ndarray (D,)
            Vectors and tokens.
        topn : int
            The number of tokens per query. If a query has fewer, all queries get as many as this query has.
        ids : array_like of int, shape (Q,), optional
            The ids of tokens, instead of `queries`.
        restrict : int or iterable of str or int, optional
            The tokens to search, or n to search the first n tokens.
        progress : bool
            Whether a progress bar is drawn.

        Returns
        -------
        ids : ndarray of intp, shape (Q, topn)
            Rows of the matrix, which are indices into :attr:`tokens`. For a single query the shape is (topn,).
        cosines : ndarray of float64, same shape
            Rounded to 12 decimals, in descending order; ties are in the order of the tokens.

        Notes
        -----
        The search compares each query with all tokens, in 64 MiB of memory. The result takes 16 bytes per neighbour,
        and 32 while it is built.

        Examples
        --------
        >>> v = Vectors(["a", "b", "c"], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        >>> ids, cosines = v.nearest(["a", "b"], topn=1)
        >>> [v.tokens[i] for i in ids[:, 0]], cosines.round(4).tolist()
        (['c', 'c'], [[0.7071], [0.7071]])
        >>> v.nearest(np.array([0.0, 3.0]), topn=2)[0]
        array([1, 2])
        >>> v.nearest(ids=[0, 1], topn=1)[0].tolist()
        [[2], [2]]
        """
        _check_one("queries", queries, ids)
        topn = check_integer("topn", topn, low=1)
        among = self._searched(restrict)
        dim = self._matrix.shape[1]
        if isinstance(queries, np.ndarray) and queries.dtype.kind == "f" and queries.ndim != 1:
            if queries.ndim != 2 or queries.shape[1] != dim:
                raise ValueError(f"queries must have the shape (Q, {dim}) or ({dim},), got {queries.shape}")
            vectors = _exact("queries", queries)
            rows: list[list[int]] = [[] for _ in queries]
        else:
            named = [self._tokens[i] for i in self._checked_ids(ids)] if queries is None else queries
            vectors, rows = self._queried(_listed("queries", named))
        unit, results = unit_vectors(vectors), []
        with bars(progress), bar(desc="neighbours", total=len(unit)) as done:
            for first in range(0, len(unit), QUERIES):
                part = slice(first, first + QUERIES)
                results += self._neighbors.nearest(unit[part], topn, excluded=rows[part], among=among)
                done.update(len(unit[part]))
        size = min((len(ids) for ids, _ in results), default=0)
        near = np.array([best[:size] for best, _ in results], np.intp).reshape(len(results), size)
        cosines = np.array([scores[:size] for _, scores in results]).reshape(len(results), size)
        return (near[0], cosines[0]) if _is_single(queries) else (near, cosines)

    def analogy(
        self, a: Token, b: Token, c: Token, topn: int = 10, *, method: str = "3CosAdd", restrict: Restriction = None
    ) -> list[tuple[str, float]]:
        """Return tokens that complete "a is to b as c is to ...", such as "man is to king as woman is to queen".

        Over the unit vectors v, 3CosAdd maximises cos(v, b - a + c), as ``most_similar([b, c], [a])`` does, with
        cosines of 0 if b - a + c is zero. 3CosMul maximises s(v, b) s(v, c) / (s(v, a) + 1e-6) with
        s = (1 + cos) / 2, as gensim's ``most_similar_cosmul`` does.

        Parameters
        ----------
        a, b, c : str or int
            Tokens, which are left out of the result.
        topn : int
            The number of tokens.
        method : {"3CosAdd", "3CosMul"}
        restrict : int or iterable of str or int, optional
            The tokens to search, or n to search the first n tokens.

        Returns
        -------
        list of (str, float)
            Tokens and scores, in descending order; ties are in the order of the tokens.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.

        Examples
        --------
        >>> v = Vectors(["man", "woman", "king", "queen"], np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]))
        >>> v.analogy("man", "king", "woman", topn=1, method="3CosMul")[0][0]
        'queen'
        """
        topn = check_integer("topn", topn, low=1)
        check_choice("method", method, METHODS)
        among = self._searched(restrict)
        vectors, rows = self._queried([a, b, c])
        asked = [row for query_rows in rows for row in query_rows]
        questions = list(vectors[:, None])
        ((ids, scores),) = self._neighbors.analogies(questions, topn, method=method, excluded=[asked], among=among)
        return self._scored(ids, scores)

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - a user's word
        *,
        progress: bool = False,
    ) -> None:
        """Write the vectors to a file in the format of its suffix, atomically.

        ===================== =================== =================================================================
        suffix                format              contents
        ===================== =================== =================================================================
        ``.safetensors``, ""  ``safetensors``     any token, float32 or float64, counts, character n-grams
        ``.txt``              ``word2vec``        text of word2vec and gensim, float32
        ``.bin``              ``word2vec-binary`` binary form of word2vec and gensim, float32
        ``.vec``              ``fasttext``        text of fastText, float32
        ``.glove``            ``glove``           text of GloVe, without the first line "V D", float32
        ===================== =================== =================================================================

        ``.gz`` may follow any suffix but ``.safetensors``. Only safetensors files hold tokens with white space, and
        character n-grams: from files of other formats unseen words have no vectors, which a warning says.

        Parameters
        ----------
        path : path-like
            The file to create or to replace.
        format : str, optional
            One of the formats in the table; by default that of the suffix.
        progress : bool
            Whether a progress bar is drawn; for safetensors there is none.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Vectors(["a", "b"], np.eye(2)).save(f"{folder}/v.vec.gz")
        ...     Vectors.load(f"{folder}/v.vec.gz")
        <Vectors: 2 tokens, 2 dimensions, float32>
        """
        table, write = self._table(), check_output(path, format)
        if not self._tokens:
            raise ValueError("there must be at least one vector, got none")
        with bars(progress):
            write(path, table)
        if self._composer is not None and not format_of(path, format).ngrams:
            warn_user(f"{str(path)!r} has the words without the {self._composer}: .safetensors keeps them")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - a user's word
        *,
        progress: bool = False,
    ) -> Self:
        """Read a file of vectors, in one of the formats of :meth:`save` or a binary model of fastText.

        A binary model of fastText (skip-gram, CBOW or supervised, not quantised) gives the vectors of fastText up to
        rounding, also for unseen words. Its first bytes tell it from word2vec's binary form.

        Safetensors and the n-grams of fastText are mapped into memory. Replace a mapped file by :meth:`save`, or by
        renaming another file to its name; never write into it.

        Parameters
        ----------
        path : path-like
        format : str, optional
            One of the formats of :meth:`save`, or ``fasttext-binary``; by default from the first bytes or the suffix.
        progress : bool
            Whether a progress bar is drawn; for safetensors there is none.

        Examples
        --------
        See :meth:`save`.
        """
        form = format_of_file(path, format)
        with bars(progress):
            table = form.read(path)
        try:
            if not len(table.tokens):
                raise ValueError("there must be at least one vector, got none")
            return cls._of(table)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r}: {error}") from error

    def to_gensim(self) -> Any:
        """Return a gensim.models.KeyedVectors, with the count of each token as its attribute "count".

        Vectors of a fastText model become a FastTextKeyedVectors, which composes vectors of unseen words. gensim has no
        class for the n-grams of a model with subwords: only the tokens are converted.

        Raises
        ------
        ImportError
            If gensim is not installed: the extra [gensim].
        """
        if isinstance(self._composer, BucketComposer):
            keyed = _to_gensim_fasttext(self._tokens, self._matrix, self._composer)
        else:
            keyedvectors = require("gensim.models.keyedvectors", "gensim")
            keyed = keyedvectors.KeyedVectors(self._matrix.shape[1], dtype=self._matrix.dtype)
            keyed.add_vectors(list(self._tokens), self._matrix)
        if self._counts is not None:
            for token, count in zip(self._tokens, self._counts.tolist(), strict=True):
                keyed.set_vecattr(token, "count", count)
        return keyed

    @classmethod
    def from_gensim(cls, keyed: Any) -> Self:
        """Return the vectors of a gensim.models.KeyedVectors, or of a gensim model with the attribute ``wv``.

        Vectors of a FastText model compose vectors of unseen words, as in gensim.

        Parameters
        ----------
        keyed : gensim.models.KeyedVectors
            Its attribute "count", if present, becomes :attr:`counts`.
        """
        keyed = getattr(keyed, "wv", keyed)  # the vectors of a whole model
        if not hasattr(keyed, "index_to_key") or not hasattr(keyed, "vectors"):
            raise TypeError(f"a gensim.models.KeyedVectors expected, got {type(keyed).__name__}")
        counts, matrix, composer = keyed.expandos.get("count"), np.array(keyed.vectors), None
        if len(buckets := getattr(keyed, "vectors_ngrams", ())) and max(keyed.min_n, 1) <= keyed.max_n:
            lengths = np.array([keyed.min_n, keyed.max_n], np.int64)
            composer = composer_of({"ngrams.matrix": np.array(buckets), "ngrams.lengths": lengths})
        return composing_vectors(cls, list(map(token_of, keyed.index_to_key)), matrix, counts, composer)

    def _table(self) -> Table:
        """Return the content of a file of these vectors."""
        ngrams = {} if self._composer is None else self._composer.tensors()
        return Table(self._tokens, self._matrix, self._counts, ngrams)

    @classmethod
    def _of(cls, table: Table) -> Self:
        """Return the vectors of the content of a file."""
        return composing_vectors(cls, table.tokens, read_only(table.matrix), table.counts, composer_of(table.ngrams))

    def __reduce__(self) -> Any:
        return self._of, (self._table(),)

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self._matrix)

    def _checked_ids(self, ids: npt.ArrayLike | None) -> Ids:
        """Check ids of tokens and return them; there may be none."""
        return np.empty(0, np.intp) if np.size(ids) == 0 else check_ids("ids", ids, len(self))  # type: ignore[arg-type]

    def _rows_of(self, name: str, tokens: Iterable[Token]) -> Ids:
        """Return the rows of tokens; raise KeyError for an unknown token, with the closest spellings."""
        items = as_items(name, tokens)
        self._names(items)
        return np.array([check_token(token, self._rows, self._tokens) for token in items], dtype=np.intp)

    def _names(self, tokens: Sequence[Any]) -> list[Any]:
        """Return tokens as str; raise TypeError for an integer unless all tokens of the vectors are integers."""
        number = next((token for token in tokens if token_of(token) is not token), None)
        if number is not None and not self._all_integers:
            raise TypeError(f"a token must be a str, got {number}: pass {str(number)!r}, or matrix[{number}] for a row")
        return [known_token(token, self._rows) for token in tokens]

    @cached_property
    def _all_integers(self) -> bool:
        return all(token.removeprefix("-").isdecimal() for token in self._tokens)

    def _entries(self, tokens: Sequence[Any]) -> list[Entry]:
        """Return the row of each token, or the composed vector of an unknown word; raise KeyError if it has neither."""
        names = self._names(tokens)
        composed: dict[str, Matrix] = {}
        if self._composer is not None:
            unknown = list(dict.fromkeys(name for name in names if isinstance(name, str) and name not in self._rows))
            vectors, known = self._composer.compose_all(unknown)
            composed = dict(compress(zip(unknown, vectors, strict=True), known))
        return [
            composed[name]
            if isinstance(name, str) and name in composed
            else check_token(token, self._rows, self._tokens)
            for token, name in zip(tokens, names, strict=True)
        ]

    def _vectors_of(self, tokens: Sequence[Any]) -> Matrix:
        """Return the vectors of several tokens, (N, D); unknown words are composed."""
        vectors = [self._matrix[entry] if isinstance(entry, int) else entry for entry in self._entries(tokens)]
        return np.array(vectors, self._matrix.dtype).reshape(len(vectors), self._matrix.shape[1])

    def _searched(self, restrict: Restriction) -> Among:
        """Return the number of first rows to search, or the rows to search in ascending order."""
        if restrict is None:
            return None
        if isinstance(restrict, int | np.integer):
            return check_integer("restrict", restrict, low=1)
        return np.unique(self._rows_of("restrict", restrict))

    def _queried(self, items: Sequence[Any]) -> tuple[Exact, list[list[int]]]:
        """Return the vector of each query, of unit length for a token, and a list of the row of its token, or empty."""
        entries = iter(self._entries([item for item in items if not isinstance(item, np.ndarray)]))
        vectors = np.empty((len(items), self._matrix.shape[1]))
        rows: list[list[int]] = [[] for _ in items]
        for place, item in enumerate(items):
            if isinstance(item, np.ndarray):
                vectors[place] = _checked_vector(item, self._matrix.shape[1])
            elif isinstance(row := next(entries), int):
                vectors[place] = self._neighbors.unit(np.array([row]))[0]
                rows[place].append(row)
            else:
                vectors[place] = unit_vectors(row[None])[0]
        return vectors, rows

    def _scored(self, ids: Ids, scores: Exact) -> list[tuple[str, float]]:
        return [(self._tokens[i], score) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]


def composing_vectors(
    kind: type[Kind], tokens: Sequence[str], matrix: Matrix, counts: npt.ArrayLike | None, composer: Composer | None
) -> Kind:
    """Return vectors that compose the vectors of unseen words by a composer, unless it is None.

    Parameters
    ----------
    kind : type
        `Vectors` or a subclass.
    tokens, matrix, counts
        As for `Vectors`.
    """
    vectors = kind(tokens, matrix, counts=counts)
    vectors._composer = composer
    return vectors


def check_is_vectors(name: str, value: object) -> None:
    """Raise TypeError unless an argument is a `Vectors`; a model is refused too."""
    if not isinstance(value, Vectors):
        raise TypeError(f"{name} must be a Vectors, such as model.vectors, got {type(value).__name__}")


def composer_behind(vectors: Vectors) -> Composer | None:
    """Return the composer of vectors of unseen words, or None if there is none."""
    return vectors._composer


def _check_one(name: str, argument: object, ids: object) -> None:
    """Raise TypeError unless either the argument `name` or `ids` is given."""
    if (argument is None) == (ids is None):
        raise TypeError(f"give either {name} or ids, not {'neither' if ids is None else 'both'}")


def attribute_of(owner: Any, name: str, renamed: Mapping[str, str]) -> Any:
    """Return an attribute; for a name of gensim, raise an AttributeError that has the equivalent here."""
    if name in renamed:
        raise AttributeError(f"{type(owner).__name__} has no {name!r}, as gensim has: it is {renamed[name]} here")
    return object.__getattribute__(owner, name)  # raises again what a property raised, such as the error before a fit


def as_items(name: str, items: Any, what: str = "several tokens") -> list[Any]:
    """Return items as a list; raise TypeError for a str, a mapping, or an object that is not iterable."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise TypeError(f"{name} must be {what}, got {items!r}")
    return list(items)


def _is_single(query: object) -> bool:
    """Return whether a query is one token or one vector."""
    return isinstance(query, str | int | np.integer) or (
        isinstance(query, np.ndarray) and query.ndim == 1 and query.dtype.kind == "f"
    )


def _listed(name: str, queries: Query | Iterable[Any]) -> list[Any]:
    """Return one query or several as a list."""
    return [queries] if _is_single(queries) else as_items(name, queries, "tokens or vectors")


def _weighted(name: str, items: Query | Iterable[Weighted], sign: float) -> list[tuple[Any, float]]:
    """Return the items of a query and their weights, by default `sign`."""
    if sign < 0 and isinstance(items, int | np.integer):
        raise TypeError(f"{name}={items} may be a token or a number of answers: pass [{items}], or topn={items}")
    high = np.inf if sign > 0 else 0.0
    weighted: list[tuple[Any, float]] = []
    for item in _listed(name, items):
        weight = sign
        if isinstance(item, tuple) and len(item) == 2:
            item, weight = item
            weight = check_number(f"the weight of {item!r} in {name}", weight, low=-np.inf, high=high)
        weighted.append((item, weight))
    return weighted


def _checked_vector(item: npt.NDArray[Any], dim: int) -> Exact:
    """Return the vector (D,) of a query after checking it."""
    if item.dtype.kind != "f":
        raise TypeError(f"a query vector must hold floating-point numbers, got dtype {item.dtype}")
    if item.shape != (dim,):
        raise ValueError(f"a query vector must have the shape ({dim},), got {item.shape}")
    return _exact("query vector", item)


def _exact(name: str, vectors: npt.NDArray[Any]) -> Exact:
    """Return vectors in float64; raise ValueError unless they are finite."""
    exact = vectors.astype(np.float64)
    check_finite(name, exact)
    return exact


def _to_gensim_fasttext(tokens: Sequence[str], matrix: Matrix, composer: BucketComposer) -> Any:
    """Return a gensim.models.fasttext.FastTextKeyedVectors, which composes the same vectors."""
    fasttext = require("gensim.models.fasttext", "gensim")
    lengths = {"min_n": composer.shortest, "max_n": composer.longest, "bucket": len(composer.rows)}
    vectors = fasttext.FastTextKeyedVectors(matrix.shape[1], **lengths, dtype=matrix.dtype)
    vectors.index_to_key = list(tokens)
    vectors.key_to_index = {token: row for row, token in enumerate(tokens)}
    vectors.vectors = np.array(matrix)
    vectors.vectors_ngrams = composer.rows
    vectors.vectors_vocab = np.empty_like(matrix)  # the row of a word; `matrix` has its mean with the n-grams
    for block, sums, sizes in composer.sums(tokens):
        vectors.vectors_vocab[block] = matrix[block] * (sizes[:, None] + 1).astype(matrix.dtype) - sums
    vectors.recalc_char_ngram_buckets()
    return vectors
