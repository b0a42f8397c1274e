"""Counts: sparse co-occurrence counts of inputs and outputs, from corpora, pairs or SciPy matrices.

Counts of a corpus are stored as whole numbers (see :mod:`fastembed.windows`); what turns them into the expected
counts, a denominator and the factors of subsampling, is applied on the way out. So `a + b` is, to the last bit, the
count of both corpora.
"""

from __future__ import annotations

import json
import os
from array import array
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._threads import check_threads
from fastembed._validation import canonical_csr, check_amounts, check_ids, check_integer
from fastembed.corpus import Ledger, Progress, Source, as_corpus
from fastembed.formats import read_tensors, write_tensors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows, checked_exact, count_windows, sorted_csr, window_sides

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

KIND = "fastembed counts, version 1"
MOST = 2**31 - 1  # columns that int32 ids can name


class Counts:
    """A sparse matrix of non-negative counts of (input, output).

    Make one with :meth:`from_corpus`, :meth:`from_pairs`, :meth:`from_scipy` or :meth:`load`.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V_out).
    indptr : ndarray of int64, shape (V_in + 1,)
    indices : ndarray of int32, shape (nnz,)
        The columns of the compressed rows, ascending in each.
    data : ndarray of float64, shape (nnz,)
        For counts of a corpus these are the whole numbers of the module's docstring: :meth:`to_scipy` gives the counts.
    windows : Windows or None
        How the pairs were cut from a corpus; None for other counts.
    keep : ndarray of float64, shape (V_in,), or None
        The factors of subsampling.
    ledger : Ledger or None
        What was read.

    Examples
    --------
    >>> vocabulary = Vocabulary(["the", "cat", "sat"], [2, 1, 1])
    >>> counts = Counts.from_corpus([["the", "cat", "sat"], ["the"]], vocabulary, window=2, weighting="harmonic")
    >>> counts.to_scipy().toarray()
    array([[0. , 1. , 0.5],
           [1. , 0. , 1. ],
           [0.5, 1. , 0. ]])
    >>> (counts + counts).total
    10.0
    """

    def __init__(
        self,
        matrix: sparse.csr_array,
        *,
        windows: Windows | None = None,
        keep: Float | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.indptr: Int64 = matrix.indptr.astype(np.int64, copy=False)
        self.indices: Int32 = matrix.indices.astype(np.int32, copy=False)
        self.data: Float = matrix.data
        self.windows = windows
        self.keep = keep
        self.ledger = ledger

    @classmethod
    def from_corpus(
        cls,
        corpus: Source,
        vocabulary: Vocabulary,
        *,
        window: int | tuple[int, int] = 5,
        weighting: str = "linear",
        sample: float | None = None,
        directed: bool = False,
        max_contexts: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Counts:
        """Count the pairs of word and context in a corpus.

        Tokens outside the vocabulary are dropped before the windows are laid; a window ends at the end of its line.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of sequences of str
            See :mod:`fastembed.corpus`.
        vocabulary : Vocabulary
        window, weighting, sample, directed, max_contexts
            See :class:`Windows`; the words' shares are those of `vocabulary`.
        threads : int, optional
            All processors by default. The result does not depend on it.
        progress : callable, optional
            Called with (done, total) while the corpus is read.

        Returns
        -------
        Counts
            Of shape (V, K), both sides summed; if `directed` (V, 2 K), the context standing before the word in the
            columns 0 ... K - 1 and after it in K ... 2 K - 1. K = min(V, `max_contexts`).

        Raises
        ------
        ValueError
            If an option is out of range, no token of the corpus is in the vocabulary, there is no pair, a file is not
            valid UTF-8, or a count is too large to be exact.
        OSError
            If a file is missing or cannot be read.
        TypeError
            If `corpus`, `vocabulary` or an option has the wrong type.
        """
        windows = Windows(window_sides(window), weighting, sample, directed, max_contexts)
        workers = check_threads(threads)
        if not isinstance(vocabulary, Vocabulary):
            raise TypeError(f"vocabulary must be a Vocabulary, got {type(vocabulary).__name__}")
        if windows.contexts(len(vocabulary)) < len(vocabulary) and np.any(np.diff(vocabulary.counts) > 0):
            raise ValueError("max_contexts needs a vocabulary in the order of falling counts")
        ledger = Ledger()
        ids = _encode(corpus, vocabulary, ledger, progress)
        matrix = count_windows(ids, len(vocabulary), windows, workers)
        if not matrix.nnz:
            raise ValueError(f"the corpus gives no pair: {ledger.summary()}, window={windows.window}")
        return cls(checked_exact(matrix), windows=windows, keep=windows.keep(vocabulary.counts), ledger=ledger)

    @classmethod
    def from_pairs(
        cls,
        inputs: npt.ArrayLike,
        outputs: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        shape: tuple[int, int] | None = None,
    ) -> Counts:
        """Add up given pairs of ids.

        Parameters
        ----------
        inputs, outputs : array_like of int, shape (n,)
        weights : array_like of float, shape (n,), optional
            1 by default.
        shape : (int, int), optional
            (V_in, V_out); by default just large enough for the ids.

        Returns
        -------
        Counts

        Raises
        ------
        TypeError
            If ids are no integers, or weights are no real numbers.
        ValueError
            If there is no pair, lengths differ, an id is negative or outside `shape`, or a weight is negative or not
            finite.

        Examples
        --------
        >>> Counts.from_pairs([0, 1, 0], [2, 0, 2], weights=[1, 1, 0.5]).to_scipy().toarray()
        array([[0. , 0. , 1.5],
               [1. , 0. , 0. ]])
        """
        if shape is not None:
            shape = (check_integer("shape[0]", shape[0], low=1), check_integer("shape[1]", shape[1], low=1, high=MOST))
        rows = check_ids("inputs", inputs, MOST if shape is None else shape[0])
        columns = check_ids("outputs", outputs, MOST if shape is None else shape[1])
        amounts = np.ones(len(rows)) if weights is None else np.asarray(weights)
        check_amounts("weights", amounts)
        for name, values in (("outputs", columns), ("weights", amounts)):
            if values.shape != rows.shape:
                raise ValueError(f"{name} must have the shape {rows.shape} of inputs, got {values.shape}")
        if shape is None:
            shape = (int(rows.max()) + 1, int(columns.max()) + 1)
        return cls.from_scipy(sparse.coo_array((amounts, (rows, columns)), shape=shape))

    @classmethod
    def from_scipy(cls, matrix: Any) -> Counts:
        """Take the counts of a SciPy sparse matrix; equal entries are added up, zeros are dropped.

        Parameters
        ----------
        matrix : sparse array or matrix of real numbers, shape (V_in, V_out)
            Not copied if it is a CSR of float64 with sorted columns; never changed.

        Returns
        -------
        Counts

        Raises
        ------
        TypeError
            If it is not sparse or not real.
        ValueError
            If it has no row or column or more than 2^31 - 1 columns, or a count is negative or not finite.

        Examples
        --------
        >>> Counts.from_scipy(sparse.eye_array(3)).total
        3.0
        """
        is_sparse: bool = sparse.issparse(matrix)
        if not is_sparse:
            raise TypeError(f"matrix must be a SciPy sparse array, got {type(matrix).__name__}")
        if matrix.dtype.kind not in "buif":
            raise TypeError(f"counts must be real numbers, got dtype {matrix.dtype}")
        if matrix.ndim != 2 or min(matrix.shape) < 1 or matrix.shape[1] > MOST:
            raise ValueError(f"counts must have 2 dimensions, and 1 to 2^31 - 1 columns, got shape {matrix.shape}")
        return cls(canonical_csr("counts", matrix))

    @property
    def nnz(self) -> int:
        """The number of stored, non-zero counts."""
        return len(self.data)

    @property
    def total(self) -> float:
        """The sum of all counts: the (expected, weighted) number of pairs."""
        denominator, rows, columns = self._factors()
        return float(rows @ (self._stored() @ columns)) / denominator

    @property
    def directed(self) -> bool:
        """Whether the left half of the columns stands for contexts before the word, the right half after it."""
        return self.windows is not None and self.windows.directed

    @property
    def max_contexts(self) -> int | None:
        """The limit on the number of words that are contexts, or None."""
        return None if self.windows is None else self.windows.max_contexts

    def to_scipy(self) -> sparse.csr_array:
        """Return the counts as a CSR array of float64 with sorted columns.

        It shares the memory of this object, except the values if they are fractions or subsampled: do not change it.
        """
        denominator, rows, columns = self._factors()
        matrix = self._stored()
        if denominator != 1 or self.keep is not None:
            matrix.data = matrix.data / denominator
        if self.keep is not None:
            matrix.data *= np.repeat(rows, np.diff(self.indptr))
            matrix.data *= columns[self.indices]
        return matrix

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both corpora."""
        if not isinstance(other, Counts):
            return NotImplemented
        for name in ("shape", "windows"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"counts of different {name}: {getattr(self, name)} and {getattr(other, name)}")
        if self.keep is not None and (other.keep is None or not np.array_equal(self.keep, other.keep)):
            raise ValueError("subsampled counts can only be added if they were counted with the same vocabulary")
        ledger = None if self.ledger is None or other.ledger is None else self.ledger + other.ledger
        matrix = self._stored() + other._stored()
        matrix = matrix if self.windows is None else checked_exact(matrix)
        return Counts(matrix, windows=self.windows, keep=self.keep, ledger=ledger)

    def __repr__(self) -> str:
        return f"<Counts of shape {self.shape}, {self.nnz:,} stored, total {self.total:,.6g}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the counts, and how they were counted, as a safetensors file.

        Raises
        ------
        OSError
            If the file cannot be written; an old file then stays as it was.
        """
        tensors: dict[str, npt.NDArray[Any]] = {"data": self.data, "indices": self.indices, "indptr": self.indptr}
        if self.keep is not None:
            tensors["keep"] = self.keep
        windows = None if self.windows is None else asdict(self.windows)
        metadata = {"kind": KIND, "shape": json.dumps(self.shape), "windows": json.dumps(windows)}
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Counts:
        """Read what :meth:`save` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it does not hold counts, or is damaged.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Counts.from_pairs([0, 1], [1, 0]).save(f"{folder}/counts.safetensors")
        ...     Counts.load(f"{folder}/counts.safetensors")
        <Counts of shape (2, 2), 2 stored, total 2>
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("kind") != KIND:
            raise ValueError(f"{str(path)!r} does not hold counts: its kind is {metadata.get('kind')!r}, not {KIND!r}")
        try:
            shape, windows = json.loads(metadata["shape"]), json.loads(metadata["windows"])
            matrix = sparse.csr_array((tensors["data"], tensors["indices"], tensors["indptr"]), shape=shape)
            counts = cls.from_scipy(matrix)
            counts.windows = windows and Windows(**windows | {"window": tuple(windows["window"])})
            counts.keep = tensors.get("keep")
            if counts.keep is not None and counts.keep.shape != (counts.shape[0],):
                raise ValueError(f"keep has the shape {counts.keep.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} does not hold counts that fit together: {error}") from error
        return counts

    def _factors(self) -> tuple[int, Float, Float]:
        """Return (denominator, factor of each row, factor of each column)."""
        denominator = 1 if self.windows is None else self.windows.weights()[2]
        if self.keep is None:
            return denominator, np.ones(self.shape[0]), np.ones(self.shape[1])
        contexts = self.keep[: self.shape[1] // 2 if self.directed else self.shape[1]]
        return denominator, self.keep, np.tile(contexts, 2) if self.directed else contexts

    def _stored(self) -> sparse.csr_array:
        return sorted_csr(self.data, self.indices, self.indptr, self.shape)


def _encode(corpus: Source, vocabulary: Vocabulary, ledger: Ledger, progress: Progress | None) -> Int32:
    """Return the ids of the corpus, with -1 before the first sequence and after every sequence."""
    ids = array("i", [-1])
    for tokens in as_corpus(corpus).sequences(ledger, progress):
        ids.extend(vocabulary.ids(tokens))
        ids.append(-1)
    ledger.tokens_used = len(ids) - 1 - ledger.lines
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - ledger.tokens_used}
    if not ledger.tokens_used:
        raise ValueError(f"no token of the corpus is in the vocabulary: {ledger.summary()}")
    return np.frombuffer(ids, dtype=np.int32)
