"""`Counts`: a sparse matrix of co-occurrence counts of inputs and outputs.

Counts of a corpus are stored as integers (see :mod:`fastembed.counts.windows`). They become expected counts when they
are read: divided by the denominator of the weights and multiplied by the factors of subsampling. So `a + b` has the
same bits as the counts of both corpora together. Other counts are stored as they are; sums of fractions are rounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import canonical_csr, csr, own_memory, read_only, row_ranges, sorted_csr
from fastembed._base.estimator import pickled_as
from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_amounts, check_flag, check_ids, check_integer, unmasked
from fastembed.corpus.corpus import Progress, Source, as_corpus
from fastembed.corpus.ledger import Ledger, LineSplit, note_on_interrupt
from fastembed.counts.baskets import basket_rows
from fastembed.counts.corpus_windows import sum_windows
from fastembed.counts.expected import SCALE_ENTRIES, Scale
from fastembed.counts.external_sum import add_matrices
from fastembed.counts.files import read_counts, write_counts
from fastembed.counts.folders import StoreFolder
from fastembed.counts.groups import CSRGroups, group_places
from fastembed.counts.named_pairs import pair_ids, tokens_of
from fastembed.counts.store import CountsStore
from fastembed.counts.store_writer import groups_of, joined_groups, write_groups, writing
from fastembed.counts.stored_csr import RowBatch, StoredCSR, not_empty, store_rows
from fastembed.counts.tasks import TASK_MEMORY, count_by_tasks
from fastembed.counts.url_folder import open_folder
from fastembed.counts.windows import Windows, check_exact
from fastembed.vocabulary import Vocabulary, encode_corpus, vocabulary_size

Float = npt.NDArray[np.float64]

Folder: TypeAlias = "str | os.PathLike[str] | StoreFolder"  # of a store

MAX_COLUMNS = 2**31 - 1  # the ids of columns are int32


class _BasketOptions(TypedDict, total=False):
    """The options of `Counts.from_baskets`, for type checkers."""

    weighting: str
    max_contexts: int | None
    threads: int | None
    memory_limit: int | None
    lines: LineSplit | None
    progress: Progress | None


class _WindowOptions(_BasketOptions, total=False):
    """The options of `Counts.from_corpus`, for type checkers."""

    window: int | tuple[int, int]
    sample: float | None
    directed: bool
    executor: Executor | None


@pickled_as("Counts")
class Counts:
    """A sparse matrix of non-negative counts of pairs (input, output).

    Create one with :meth:`from_corpus`, :meth:`from_baskets`, :meth:`from_pairs`, :meth:`from_ids`, :meth:`from_scipy`
    or :meth:`load`. The constructor takes the arrays and attributes of existing counts, without copies.

    Parameters
    ----------
    data : ndarray of float64, shape (nnz,)
        Positive and finite values of the CSR matrix. For counts of a corpus these are integers, which :meth:`to_scipy`
        divides by the denominator of the weights and multiplies by the factors of subsampling.
    indices : ndarray of int32, shape (nnz,)
        The column indices, ascending within each row.
    indptr : ndarray of int64, shape (V_in + 1,)
        The start of each row in `data` and `indices`, and the end of the last row.
    shape : (int, int)
        (V_in, V_out).
    windows : Windows, optional
        The windows in which the pairs of a corpus were counted.
    keep : ndarray of float64, shape (V_in,), optional
        The factors of subsampling.
    ledger : Ledger, optional
        The numbers of tokens and lines read, used and dropped.
    vocabulary : Vocabulary, optional
        The tokens of the rows; the first V_out of them are also those of the columns, or V_out / 2 if directed.
    baskets : {"flat", "share"}, optional
        The weighting of :meth:`from_baskets`, if the pairs were counted in baskets.

    Attributes
    ----------
    data, indices, indptr, shape, windows, keep, ledger, vocabulary, baskets
        As given. The arrays are read-only views.

    Raises
    ------
    TypeError
        If `data`, `indices` or `indptr` is not an array of this dtype.
    ValueError
        If the arrays do not have these shapes, or do not form a valid CSR matrix.

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
        data: Float,
        indices: npt.NDArray[np.int32],
        indptr: npt.NDArray[np.int64],
        shape: tuple[int, int],
        *,
        windows: Windows | None = None,
        keep: Float | None = None,
        ledger: Ledger | None = None,
        vocabulary: Vocabulary | None = None,
        baskets: str | None = None,
    ) -> None:
        for name, array, dtype in (("data", data, "f8"), ("indices", indices, "i4"), ("indptr", indptr, "i8")):
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                found = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, got {found}")
        if data.ndim != 1 or data.shape != indices.shape or indptr.shape != (shape[0] + 1,) or indptr[-1] != len(data):
            found = f"{data.shape}, {indices.shape} and {indptr.shape}"
            raise ValueError(f"data, indices and indptr must be those of a CSR matrix {shape}, got the shapes {found}")
        if indptr[0] != 0:
            raise ValueError(f"indptr must begin with 0, got {indptr[0]}")
        given = csr(data, indices, indptr, shape)
        canonical_csr("counts", given)  # raises ValueError for invalid indices and values
        if not given.has_canonical_format or not data.all():
            raise ValueError("counts must be positive, and in rows whose columns ascend")
        self._set(StoredCSR(data, indices, indptr, shape[1]), windows, keep, ledger, vocabulary, baskets)

    def _set(
        self,
        matrix: StoredCSR,
        windows: Windows | None = None,
        keep: Float | None = None,
        ledger: Ledger | None = None,
        vocabulary: Vocabulary | None = None,
        baskets: str | None = None,
    ) -> None:
        """Set the attributes. Arrays become read-only, since SciPy reads out of bounds if an index is changed."""
        self.data = read_only(matrix.data)
        self.indices = read_only(matrix.indices)
        self.indptr = read_only(matrix.indptr)
        self.shape = matrix.shape
        self.windows = windows
        self.keep = None if keep is None else read_only(keep)
        self.ledger = ledger
        self.vocabulary = vocabulary
        self.baskets = baskets

    @overload
    @classmethod
    def from_corpus(
        cls, corpus: Source, vocabulary: Vocabulary | int, *, store: None = None, **options: Unpack[_WindowOptions]
    ) -> Counts: ...

    @overload
    @classmethod
    def from_corpus(
        cls, corpus: Source, vocabulary: Vocabulary | int, *, store: Folder, **options: Unpack[_WindowOptions]
    ) -> CountsStore: ...

    @classmethod
    def from_corpus(
        cls,
        corpus: Source,
        vocabulary: Vocabulary | int,
        *,
        window: int | tuple[int, int] = 5,
        weighting: str = "linear",
        sample: float | None = None,
        directed: bool = False,
        max_contexts: int | None = None,
        threads: int | None = None,
        memory_limit: int | None = None,
        lines: LineSplit | None = None,
        progress: Progress | None = None,
        store: Folder | None = None,
        executor: Executor | None = None,
    ) -> Counts | CountsStore:
        """Count the pairs of word and context in a corpus.

        Tokens outside the vocabulary are dropped before windows are formed; no window crosses the end of a line.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of sequences of str or int
            See :mod:`fastembed.corpus`.
        vocabulary : Vocabulary or int
            If `max_contexts` is less than V, the tokens must be in the order of decreasing counts, except for tokens
            appended later. A number V means that the corpus consists of ids from 0 to V - 1; it must be in memory then.
        window, weighting, sample, directed, max_contexts
            See :class:`fastembed.counts.Windows`. The frequencies of the words are those in `vocabulary`, or in the
            corpus if `vocabulary` is a number.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            Bytes of memory for the text and the counts, at least 1,000,000; by default half of the free memory. Data
            beyond the limit, possibly including the result, is in unnamed files in the folder for temporary files. The
            buffers for reading (a few MB per thread, about 20 for files above 1 GB) and the vocabulary need additional
            memory. The result does not depend on the limit.
        lines : LineSplit, optional
            Count only a seeded share of the lines, or only the others; see :class:`fastembed.corpus.LineSplit`. The sum
            of the two counts has the same bits as the counts of all lines.
        progress : callable, optional
            Called with (done, total). Every byte (or sequence in memory) is read once and counted once, so the total is
            twice their number.
        store : path-like, optional
            A folder to write the counts to. Its bytes are those that :meth:`store` writes, but the rows are written in
            groups of at most 4,096, so that the counts are never all in memory.
        executor : concurrent.futures.Executor, optional
            The executor whose tasks count parts of files, cut at the ends of sequences. Its workers may be threads,
            processes or those of a cluster, as with ``distributed.Client(...).get_executor()``. It needs a `store` and
            a `Vocabulary`, and all workers must see the files and the store under the same names. `threads`, 1 by
            default, and `memory_limit`, 500 MB by default, apply to each task. The bytes of the store do not depend on
            the executor.

        Returns
        -------
        Counts, or CountsStore if there is a `store`
            Counts of shape (V, K), with both sides summed; if `directed`, of shape (V, 2 K): columns 0 ... K - 1 are
            for contexts before the word, K ... 2 K - 1 for contexts after it. K = min(V, `max_contexts`). A one-sided
            window always gives (V, K).

        Raises
        ------
        ValueError
            If an option is out of range, no token of the corpus is in the vocabulary, an id is V or more, there is no
            pair, a file is not valid UTF-8, or a count is too large to be exact.
        OSError
            If a file is missing or cannot be read, or the disk is full.
        TypeError
            If `corpus`, `vocabulary` or an option has the wrong type.

        Examples
        --------
        >>> Counts.from_corpus([[0, 1, 2]], 3, window=(0, 1)).to_scipy().toarray()  # the next item only
        array([[0., 1., 0.],
               [0., 0., 1.],
               [0., 0., 0.]])
        >>> Counts.from_corpus([[0, 1, 2]], 3, window=1, directed=True, max_contexts=2).shape
        (3, 4)
        """
        windows = Windows(window, weighting, sample, directed, max_contexts)
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        vocabulary_size(vocabulary)
        _check_lines(lines)
        if executor is not None:
            if store is None or lines is not None or not isinstance(vocabulary, Vocabulary):
                raise ValueError("an executor needs a store to count into and a Vocabulary, and counts all lines")
            folder = open_folder(store)
            own = {"threads": 1 if threads is None else workers}
            own["memory_limit"] = TASK_MEMORY if memory_limit is None else limit
            with writing(folder):
                count_by_tasks(executor, as_corpus(corpus), vocabulary, windows, folder, **own, progress=progress)
            return CountsStore._in(folder)
        count = partial(
            sum_windows,
            corpus,
            vocabulary,
            windows,
            threads=workers,
            memory_limit=limit,
            lines=lines,
            progress=progress,
        )
        if store is None:
            sums = count()
            return cls._of(sums.matrix(), **sums.attributes)
        folder = open_folder(store)
        with writing(folder):
            sums = count(by_groups=True)
            with closing(sums.rows()) as batches:
                write_groups(folder, joined_groups(batches, sums.shape[0]), sums.shape, sums.attributes)
        return CountsStore._in(folder)

    @overload
    @classmethod
    def from_baskets(
        cls, baskets: Source, vocabulary: Vocabulary | int, *, store: None = None, **options: Unpack[_BasketOptions]
    ) -> Counts: ...

    @overload
    @classmethod
    def from_baskets(
        cls, baskets: Source, vocabulary: Vocabulary | int, *, store: Folder, **options: Unpack[_BasketOptions]
    ) -> CountsStore: ...

    @classmethod
    def from_baskets(
        cls,
        baskets: Source,
        vocabulary: Vocabulary | int,
        *,
        weighting: str = "flat",
        max_contexts: int | None = None,
        threads: int | None = None,
        memory_limit: int | None = None,
        lines: LineSplit | None = None,
        progress: Progress | None = None,
        store: Folder | None = None,
    ) -> Counts | CountsStore:
        """Count the pairs of items that are in the same basket, in any order.

        Parameters
        ----------
        baskets : path, sequence of paths, or re-iterable of sequences of str or int
            A basket is a line or a sequence; see :mod:`fastembed.corpus`. An item that occurs n times counts n times.
        vocabulary : Vocabulary or int
            As for :meth:`from_corpus`.
        weighting : {"flat", "share"}
            The weight of a pair: 1, or 1 / (n - 1) in a basket of n items, so that the pairs of each item sum to 1.
            These fractions are rounded: counts of parts add up to the counts of the whole except for the last bits.
        max_contexts : int, optional
            Only this many items, the first of the vocabulary, are contexts.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            Bytes of memory for the counts, as for :meth:`from_corpus`. The baskets are also in memory, about 50 bytes
            per item, in addition to the limit. The result does not depend on the limit.
        lines : LineSplit, optional
            Count only a seeded share of the baskets, or only the others, as for :meth:`from_corpus`.
        progress : callable, optional
            Called with (done, total) while the baskets are read.
        store : path-like, optional
            A folder to write the counts to, as for :meth:`from_corpus`.

        Returns
        -------
        Counts, or CountsStore if there is a `store`
            Counts of shape (V, K), where K = min(V, `max_contexts`).

        Raises
        ------
        ValueError, OSError, TypeError
            As :meth:`from_corpus`; also if a basket has more than 2^15 items, since a basket gives n (n - 1) pairs.

        Examples
        --------
        >>> Counts.from_baskets([[0, 2, 1], [1, 2]], 3, weighting="share").to_scipy().toarray()
        array([[0. , 0.5, 0.5],
               [0.5, 0. , 1.5],
               [0.5, 1.5, 0. ]])
        """
        if weighting not in ("flat", "share"):
            raise ValueError(f"weighting must be 'flat' or 'share', got {weighting!r}")
        _check_lines(lines)
        size = vocabulary_size(vocabulary)
        contexts = size if max_contexts is None else check_integer("max_contexts", max_contexts, low=1)
        shape = size, min(contexts, size)
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        reader, ledger = as_corpus(baskets), Ledger()
        known = vocabulary if isinstance(vocabulary, Vocabulary) else None
        attributes = {"windows": None, "keep": None, "ledger": ledger, "vocabulary": known, "baskets": weighting}

        def no_pair() -> ValueError:
            return ValueError(f"the baskets give no pair: {ledger.summary()}")

        def rows(row_of: npt.NDArray[np.int64] | None = None) -> tuple[Generator[RowBatch, None, None], int]:
            pieces = encode_corpus(reader, vocabulary, ledger, progress, workers, lines)
            with closing(pieces):
                return basket_rows(pieces, shape, weighting == "share", limit, workers, row_of)

        with note_on_interrupt(ledger):
            if store is None:
                batches, most = rows()
                with closing(batches):
                    matrix = store_rows(not_empty(batches, no_pair), shape[1], most, limit // 2, workers).mapped()
                return cls._of(matrix, **attributes)
            folder = open_folder(store)
            with writing(folder):
                batches, _ = rows(group_places(size))
                with closing(batches):
                    write_groups(folder, joined_groups(not_empty(batches, no_pair), size), shape, attributes)
            return CountsStore._in(folder)

    @classmethod
    def from_pairs(
        cls,
        sources: Iterable[Hashable],
        targets: Iterable[Hashable],
        weights: npt.ArrayLike | None = None,
        *,
        symmetric: bool = False,
    ) -> Counts:
        """Sum the weights of given pairs of names, such as the edges of a graph.

        Parameters
        ----------
        sources, targets : iterable of hashable objects, n each
            Names: strings, integers or other objects. The token of a name is its str; that of the integer 33 is "33".
        weights : array_like of float, shape (n,), optional
            1 by default.
        symmetric : bool
            Whether each pair counts in both directions.

        Returns
        -------
        Counts
            Counts of shape (number of names, number of targets). Their vocabulary holds all names: first those of
            targets, then the others, both in the order of decreasing occurrences in the pairs.

        Raises
        ------
        TypeError
            If names cannot be hashed, or weights are not real numbers.
        ValueError
            If there is no pair, lengths differ, two names have the same str, or a weight is negative or not finite.

        See Also
        --------
        Counts.from_ids : The same for ids.

        Examples
        --------
        >>> likes = Counts.from_pairs(["ann", "bob", "ann"], ["tea", "tea", "rum"], weights=[5, 2, 1])
        >>> likes.vocabulary.tokens, likes.to_scipy().toarray()[2:]
        (('tea', 'rum', 'ann', 'bob'), array([[5., 1.],
               [2., 0.]]))
        >>> edges = [(0, 33), (0, 1)]
        >>> Counts.from_pairs(*zip(*edges), symmetric=True).vocabulary.tokens
        ('0', '1', '33')
        """
        pairs = pair_ids(sources, targets, weights, check_flag("symmetric", symmetric))
        shape = (len(pairs.vocabulary), pairs.targets)
        counts = cls.from_ids(pairs.rows, pairs.columns, pairs.weights, shape)
        counts.vocabulary = pairs.vocabulary
        return counts

    @classmethod
    def from_ids(
        cls,
        inputs: npt.ArrayLike,
        outputs: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        shape: tuple[int, int] | None = None,
    ) -> Counts:
        """Sum the weights of given pairs of ids.

        Parameters
        ----------
        inputs, outputs : array_like of int, shape (n,)
        weights : array_like of float, shape (n,), optional
            1 by default.
        shape : (int, int), optional
            (V_in, V_out); by default the smallest that holds the ids.

        Returns
        -------
        Counts

        Raises
        ------
        TypeError
            If ids are not integers, or weights are not real numbers.
        ValueError
            If there is no pair, lengths differ, an id is negative or outside `shape`, or a weight is negative or not
            finite.

        Examples
        --------
        >>> Counts.from_ids([0, 1, 0], [2, 0, 2], weights=[1, 1, 0.5]).to_scipy().toarray()
        array([[0. , 0. , 1.5],
               [1. , 0. , 0. ]])
        """
        if shape is not None:
            if not isinstance(shape, tuple) or len(shape) != 2:
                raise TypeError(f"shape must be a pair (V_in, V_out), got {shape!r}")
            shape = (
                check_integer("shape[0]", shape[0], low=1),
                check_integer("shape[1]", shape[1], low=1, high=MAX_COLUMNS),
            )
        rows = check_ids("inputs", inputs, MAX_COLUMNS if shape is None else shape[0])
        columns = check_ids("outputs", outputs, MAX_COLUMNS if shape is None else shape[1])
        amounts = np.ones(len(rows)) if weights is None else unmasked("weights", weights)
        check_amounts("weights", amounts)
        with np.errstate(over="ignore"):
            amounts = amounts.astype(np.float64)  # SciPy has no float16
        for name, values in (("outputs", columns), ("weights", amounts)):
            if values.shape != rows.shape:
                raise ValueError(f"{name} must have the shape {rows.shape} of inputs, got {values.shape}")
        if shape is None:
            shape = (int(rows.max()) + 1, int(columns.max()) + 1)
        return cls.from_scipy(sparse.coo_array((amounts, (rows, columns)), shape=shape))

    @classmethod
    def from_scipy(cls, matrix: Any, *, tokens: Sequence[Hashable] | None = None) -> Counts:
        """Return the counts in a SciPy sparse matrix; duplicate entries are summed, zeros are dropped.

        Parameters
        ----------
        matrix : sparse array or matrix of real numbers, shape (V_in, V_out)
            Not copied if it is in CSR form, float64, with sorted columns; never changed.
        tokens : sequence of V_in hashable objects, optional
            The names of the rows, as for :meth:`from_pairs`; the first V_out of them also name the columns. They become
            the vocabulary, in which the count of a token is the number of stored counts in its row and column.

        Returns
        -------
        Counts

        Raises
        ------
        TypeError
            If the matrix is not sparse or not real, or the tokens are not a sequence.
        ValueError
            If the matrix has no rows, no columns or more than 2^31 - 1 columns, a count is negative or not finite, the
            number of tokens is not that of the rows or is below that of the columns, or two names have the same str.

        Examples
        --------
        >>> Counts.from_scipy(sparse.eye_array(3)).total
        3.0
        >>> Counts.from_scipy(sparse.csr_array([[0, 5], [5, 0]]), tokens=["tea", "milk"]).vocabulary["milk"]
        1
        """
        is_sparse: bool = sparse.issparse(matrix)
        if not is_sparse:
            raise TypeError(f"matrix must be a SciPy sparse array, got {type(matrix).__name__}")
        if matrix.dtype.kind not in "buif":
            raise TypeError(f"counts must be real numbers, got dtype {matrix.dtype}")
        if matrix.ndim != 2 or min(matrix.shape) < 1 or matrix.shape[1] > MAX_COLUMNS:
            raise ValueError(f"counts must have 2 dimensions, and 1 to 2^31 - 1 columns, got shape {matrix.shape}")
        stored = StoredCSR.of(canonical_csr("counts", matrix))
        return cls._of(stored, vocabulary=None if tokens is None else _named(stored, tokens))

    @property
    def nnz(self) -> int:
        """The number of stored, non-zero counts."""
        return len(self.data)

    @property
    def total(self) -> float:
        """The sum of all counts: the expected, weighted number of pairs."""
        scale = self._scale()
        sums = self._stored() @ (np.ones(self.shape[1]) if scale.columns is None else scale.columns)
        if scale.rows is not None:
            sums *= scale.rows  # a product of two vectors is BLAS's, whose order of summation depends on its threads
        return float(sums.sum()) / scale.denominator

    @property
    def directed(self) -> bool:
        """Whether the left half of the columns is for contexts before the word, and the right half for those after."""
        return self.windows is not None and self.windows.directed

    @property
    def max_contexts(self) -> int | None:
        """The limit on the number of contexts, or None."""
        return None if self.windows is None else self.windows.max_contexts

    def to_scipy(self) -> sparse.csr_array:
        """Return the counts as a CSR array of float64 with sorted columns.

        The array shares the memory of this object, except for values that are fractions or subsampled. It is read-only:
        copy it to change it.

        Examples
        --------
        >>> Counts.from_ids([0, 0], [1, 1]).to_scipy().toarray()
        array([[0., 2.]])
        """
        return self._expected(np.empty_like)

    def _expected(self, memory_like: Callable[[Float], Float]) -> sparse.csr_array:
        """Return the expected counts, in memory that the function `memory_like` returns."""
        scale, matrix = self._scale(), self._stored()
        if scale.changes_nothing:
            return matrix
        matrix.data = memory_like(self.data)
        lengths = np.diff(self.indptr)
        ranges = row_ranges(lengths, SCALE_ENTRIES)

        def apply(k: int) -> None:
            first, last = ranges[k]
            entries = slice(self.indptr[first], self.indptr[last])
            rows = None if scale.rows is None else scale.rows[first:last]
            scale.apply(self.data[entries], matrix.data[entries], self.indices[entries], lengths[first:last], rows)

        Pool(check_threads(None)).run(apply, len(ranges))
        matrix.data = read_only(matrix.data)
        return matrix

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both corpora.

        Counts in windows, and in baskets with the weighting "flat", are integers: the sum has the same bits as the
        counts of the joined corpora. Fractions, as with the weighting "share", are added in float64 and rounded, so
        that the last bits depend on the order.

        Raises
        ------
        ValueError
            If the two have different shapes, windows, weightings of baskets, tokens or factors of subsampling.
        """
        if not isinstance(other, Counts):
            return NotImplemented
        for name in ("shape", "windows"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"counts of different {name}: {getattr(self, name)} and {getattr(other, name)}")
        baskets = {self.baskets, other.baskets}
        if baskets == {"flat", "share"}:
            raise ValueError("counts of baskets with different weightings, 'flat' and 'share'")
        if self.keep is not None and (other.keep is None or not np.array_equal(self.keep, other.keep)):
            raise ValueError("subsampled counts can only be added if they were counted with the same vocabulary")
        names = {counts.vocabulary.tokens for counts in (self, other) if counts.vocabulary is not None}
        if len(names) > 1:
            raise ValueError("counts of different vocabularies")
        ledger = None if self.ledger is None or other.ledger is None else self.ledger + other.ledger
        matrix = add_matrices([self._matrix, other._matrix], check_memory_limit(None), check_threads(None)).mapped()
        if self.windows is not None:
            check_exact(matrix.data, Pool(check_threads(None)))
        check_amounts("the sums of counts", matrix.data)
        known = other.vocabulary if self.vocabulary is None else self.vocabulary
        weighting = self.baskets if len(baskets) == 1 else None  # with other counts, they are pairs
        return Counts._of(
            matrix, windows=self.windows, keep=self.keep, ledger=ledger, vocabulary=known, baskets=weighting
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name in ("data", "indices", "indptr", *([] if self.keep is None else ["keep"])):
            setattr(self, name, read_only(getattr(self, name)))  # which a pickle does not keep

    def __repr__(self) -> str:
        return f"<Counts of shape {self.shape}, {self.nnz:,} stored, total {self.total:,.6g}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the counts, the options of counting and the tokens to a safetensors file.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If the file cannot be written; an old file then stays as it was.
        ValueError
            If a token has no UTF-8 form.

        Examples
        --------
        See :meth:`load`.
        """
        write_with_fields(self, path, {})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Counts:
        """Read counts from a file that :meth:`save` has written; the arrays are memory-mapped and read-only.

        Parameters
        ----------
        path : path-like

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
        ...     Counts.from_ids([0, 1], [1, 0]).save(f"{folder}/counts.safetensors")
        ...     Counts.load(f"{folder}/counts.safetensors")
        <Counts of shape (2, 2), 2 stored, total 2>
        """
        if Path(path).is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder: open it with Counts.open if it is a store of counts")
        matrix, attributes = read_counts(path)
        return cls._of(matrix, **attributes)

    def store(self, path: str | os.PathLike[str]) -> CountsStore:
        """Write the counts to a folder, from which a fit reads them one group of rows at a time.

        Parameters
        ----------
        path : path-like
            The folder to create; its parent must exist. If it already holds a store, that is replaced once this one is
            complete. Or a URL of fsspec, such as ``s3://bucket/counts``; concurrent writers are not detected there.

        Returns
        -------
        CountsStore
            The same as :meth:`open` returns.

        Raises
        ------
        OSError
            If the folder holds something else, another process is writing it, or the data cannot be written; an
            existing store then stays as it was.
        ValueError
            If a token has no UTF-8 form.

        Examples
        --------
        See :class:`fastembed.counts.CountsStore`.
        """
        folder = open_folder(path)
        with writing(folder):
            write_groups(folder, groups_of(CSRGroups(self._stored())), self.shape, self._attributes())
        return CountsStore._in(folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> CountsStore:
        """Open a folder that :meth:`store` has written.

        Parameters
        ----------
        path : path-like
            The folder, or a URL.

        Returns
        -------
        CountsStore

        Raises
        ------
        OSError
            If a file of the store is missing or cannot be read.
        ValueError
            If the folder is not a store, is damaged, or has another version.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Counts.from_ids([0, 1], [1, 0]).store(f"{folder}/pairs.counts")
        ...     Counts.open(f"{folder}/pairs.counts").to_scipy().toarray()
        array([[0., 1.],
               [1., 0.]])
        """
        return CountsStore(path)

    @classmethod
    def _of(cls, matrix: StoredCSR, **attributes: Any) -> Counts:
        counts = cls.__new__(cls)
        counts._set(matrix, **attributes)
        return counts

    @property
    def _matrix(self) -> StoredCSR:
        return StoredCSR(self.data, self.indices, self.indptr, self.shape[1])

    def _attributes(self) -> dict[str, Any]:
        names = ("windows", "keep", "ledger", "vocabulary", "baskets")
        return {name: getattr(self, name) for name in names}

    def _scale(self) -> Scale:
        return Scale.of(self.windows, self.keep, self.shape[1])

    def _stored(self) -> sparse.csr_array:
        return sorted_csr(self.data, self.indices, self.indptr, self.shape)


def _named(matrix: StoredCSR, tokens: Sequence[Hashable]) -> Vocabulary:
    """Return the vocabulary of a matrix whose rows have these names."""
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        raise TypeError(f"tokens must be a sequence of names, got {tokens!r}")
    names = tokens_of(tokens.tolist() if isinstance(tokens, np.ndarray) else tokens)
    rows, columns = matrix.shape
    if len(names) != rows or columns > rows:
        raise ValueError(
            f"tokens name the rows, and the first of them the columns, but there are {len(names)} tokens for {rows}"
            f" rows and {columns} columns"
        )
    entries = np.diff(matrix.indptr)
    entries[:columns] += np.bincount(matrix.indices, minlength=columns)
    return Vocabulary(names, entries)


def _check_lines(lines: LineSplit | None) -> None:
    """Raise TypeError unless `lines` is None or a LineSplit."""
    if lines is not None and not isinstance(lines, LineSplit):
        raise TypeError(f"lines must be a LineSplit, got {type(lines).__name__}")


def expected_in_place(counts: Counts) -> sparse.csr_array:
    """Return the same as `to_scipy`, in place if the counts own their memory.

    Then only the attributes of the counts may still be used.

    Parameters
    ----------
    counts : Counts
    """
    return counts._expected(lambda data: np.empty_like(data) if (own := own_memory(data)) is None else own)


def write_with_fields(counts: Counts, path: str | os.PathLike[str], fields: Mapping[str, str]) -> None:
    """Write counts as :meth:`Counts.save` does, with further fields in the header of the file.

    Parameters
    ----------
    counts : Counts
    path : path-like
    fields : mapping of str to str
    """
    write_counts(path, counts._matrix, fields, **counts._attributes())
