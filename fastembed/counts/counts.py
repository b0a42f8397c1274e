"""`Counts`: a sparse matrix of co-occurrence counts of inputs and outputs.

The tiles of the counts of a corpus hold integers (see :mod:`fastembed.counts.windows`). These become expected counts
when they are read: divided by the denominator of the weights and multiplied by the factors of subsampling. So `a + b`
has the same bits as the counts of both corpora together. Other counts are not scaled; sums of fractions are rounded.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, canonical_csr, read_only
from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_amounts, check_choice, check_flag, check_integer, check_number
from fastembed.corpus.corpus import Progress, Source, as_corpus, check_ordered
from fastembed.corpus.ledger import Ledger, LineSplit, check_walks
from fastembed.counts.folders import Folder, Memory, UrlFolder, open_folder, temporary_folder
from fastembed.counts.graphs import Walks, kept_nodes, read_graph
from fastembed.counts.groups import check_exact, group_count, group_places
from fastembed.counts.pairs import basket_rows, named_pairs, tokens_of
from fastembed.counts.store import (
    GroupedCounts,
    grouped,
    open_store,
    write_group,
    write_manifest,
    write_rows,
    writing,
)
from fastembed.counts.tasks import TASK_MEMORY, CountingProgress, Job, count_by_tasks, count_passages
from fastembed.counts.tiles import Rows, Scale
from fastembed.counts.windows import MAX_WINDOW, WindowCounter, Windows, keep_probabilities, word_occurrences
from fastembed.vocabulary import Vocabulary, encode_corpus, vocabulary_size


class Counts:
    """How often two tokens go together: the sparse matrix that models are fitted to.

    Make one by :meth:`from_corpus`, :meth:`from_baskets`, :meth:`from_graph`, :meth:`from_pairs`, :meth:`from_scipy` or
    :meth:`open`.

    The counts are in memory, 6 to 12 bytes each, or in a store: a folder on disk, with ``memory_limit=``, with
    ``store=`` or after :meth:`save`. A fit reads a store a few groups of rows at a time, to the same bits. A
    store has a SHA-256 of each tile, a block of rows and columns, which is checked whenever the tile is read.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V_out).
    windows : Windows or None
        The windows in which the pairs of a corpus were counted.
    ledger : Ledger or None
        The numbers of tokens and lines read, used and dropped.
    vocabulary : Vocabulary or None
        The tokens of the rows; the first V_out of them are also those of the columns, or V_out / 2 if directed.
    baskets : {"flat", "share"} or None
        The weighting of :meth:`from_baskets`, if the pairs were counted in baskets.

    Raises
    ------
    TypeError, ValueError
        By any method, for a wrong argument, for data without a pair, and for a store that is damaged.
    OSError
        For a file that cannot be read or written, and a full disk. A store that cannot be replaced stays as it was.
    MemoryError
        If counts in memory would take more than half of what is free.

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

    shape: tuple[int, int]
    windows: Windows | None
    ledger: Ledger | None
    vocabulary: Vocabulary | None
    baskets: str | None
    _keep: Float64 | None  # the factors of subsampling, (V_in,)
    _tiled: GroupedCounts

    @classmethod
    def _of(
        cls,
        tiled: GroupedCounts,
        windows: Windows | None = None,
        keep: Float64 | None = None,
        ledger: Ledger | None = None,
        vocabulary: Vocabulary | None = None,
        baskets: str | None = None,
    ) -> Counts:
        """Return counts."""
        counts = cls.__new__(cls)
        counts._tiled, counts.shape = tiled, tiled.shape
        counts.windows, counts.ledger, counts.vocabulary, counts.baskets = windows, ledger, vocabulary, baskets
        counts._keep = None if keep is None else read_only(keep)
        return counts

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
        store: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
    ) -> Counts:
        """Count the pairs of word and context in a corpus.

        Tokens outside the vocabulary are dropped before windows are formed; no window crosses the end of a line.

        Parameters
        ----------
        corpus : path, sequence of paths, or re-iterable of sequences of str or int
            See :mod:`fastembed.corpus`.
        vocabulary : Vocabulary or int
            In the order of decreasing counts, if `max_contexts` is less than V. A number V means that the corpus, in
            memory, consists of ids from 0 to V - 1.
        window, weighting, sample, directed, max_contexts
            See :class:`fastembed.counts.Windows`. Frequencies are those of `vocabulary`, or of a corpus of ids.
        threads : int, optional
            The number of threads, which changes no bit of the result; by default the number of CPUs.
        memory_limit : int, optional
            Bytes for the text and the counts, at least 1,000,000, beside the vocabulary and about 100 MB. The counts
            are then in `store`, or in a temporary folder. The result does not depend on it.
        lines : LineSplit, optional
            Count only a seeded share of the lines, or only the other lines. The counts of both add up to the counts of
            all lines, bit for bit.
        progress : callable, optional
            Called with (done, total), where every byte, or sequence in memory, counts when read and when counted.
        store : path-like, optional
            A folder to write the counts to, with the bytes of :meth:`save`. The counts are never all in memory.
        executor : concurrent.futures.Executor, optional
            Counts parts of files in tasks of `threads` (1) and `memory_limit` (500 MB). It needs a `store` and a
            `Vocabulary`. All workers must see files and store under the same names.

        Returns
        -------
        Counts
            Of shape (V, K), K = min(V, `max_contexts`). If `directed`, with windows to both sides, of shape (V, 2 K):
            columns from K on are contexts after the word.

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
        size, corpus = vocabulary_size(vocabulary), as_corpus(corpus)
        shape = size, windows.columns(size)
        tokens = vocabulary if isinstance(vocabulary, Vocabulary) else None
        if executor is not None:
            if store is None or lines is not None or tokens is None:
                raise ValueError("an executor needs a store to count into and a Vocabulary, and counts all lines")
            workers = 1 if threads is None else workers
            limit = TASK_MEMORY if memory_limit is None else limit
        check_ordered(corpus)
        ledger, occurrences = Ledger(), word_occurrences(corpus, vocabulary, windows, lines)
        keep = keep_probabilities(occurrences, windows.sample)
        with _folder(store, memory_limit, limit) as folder:
            scale = Scale.of(windows, keep, shape)
            # The random name is for the files of passages
            job = Job(folder, secrets.token_hex(8), WindowCounter(size, windows, workers, limit))
            if executor is not None:
                assert tokens is not None
                tiled, ledger = count_by_tasks(job, scale, executor, corpus, tokens, progress)
            else:
                report = None if progress is None else CountingProgress(progress)
                read = None if report is None else report.read
                with closing(encode_corpus(corpus, vocabulary, ledger, read, workers, lines)) as pieces:
                    tiled = count_passages(job, scale, pieces, report)
            _check_pairs(ledger, tiled.nnz, windows.contexts(size) < size)
            return cls._written(tiled, windows=windows, keep=keep, ledger=ledger, vocabulary=tokens)

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
        store: str | os.PathLike[str] | None = None,
    ) -> Counts:
        """Count the pairs of items that are in the same basket, in any order.

        Parameters
        ----------
        baskets : path, sequence of paths, or re-iterable of sequences of str or int
            A basket is a line or a sequence; see :mod:`fastembed.corpus`. An item that occurs n times counts n times.
        vocabulary : Vocabulary or int
            As for :meth:`from_corpus`.
        weighting : {"flat", "share"}
            The weight of a pair: 1, or 1 / (n - 1) in a basket of n items, so that the pairs of each item sum to 1.
        max_contexts : int, optional
            Only this many items, the first of the vocabulary, are contexts.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            As for :meth:`from_corpus`. The baskets are also in memory, about 50 bytes per item.
        lines : LineSplit, optional
            Count only a seeded share of the baskets, or only the other baskets, as for :meth:`from_corpus`.
        progress : callable, optional
            Called with (done, total) while the baskets are read.
        store : path-like, optional
            A folder to write the counts to, as for :meth:`from_corpus`.

        Returns
        -------
        Counts
            Of shape (V, K), where K = min(V, `max_contexts`).

        Examples
        --------
        >>> Counts.from_baskets([[0, 2, 1], [1, 2]], 3, weighting="share").to_scipy().toarray()
        array([[0. , 0.5, 0.5],
               [0.5, 0. , 1.5],
               [0.5, 1.5, 0. ]])
        """
        check_choice("weighting", weighting, ("flat", "share"))
        size = vocabulary_size(vocabulary)
        contexts = size if max_contexts is None else check_integer("max_contexts", max_contexts, low=1)
        shape = size, min(contexts, size)
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        ledger = Ledger(unit="basket")
        tokens = vocabulary if isinstance(vocabulary, Vocabulary) else None
        with _folder(store, memory_limit, limit) as folder:
            with closing(encode_corpus(as_corpus(baskets), vocabulary, ledger, progress, workers, lines)) as pieces:
                rows = basket_rows(pieces, shape, weighting == "share", limit, workers)
            tiled = write_rows(folder, Scale.none(*shape), rows)
            _check_pairs(ledger, tiled.nnz, contexts < size)
            return cls._written(tiled, ledger=ledger, vocabulary=tokens, baskets=weighting)

    @classmethod
    def from_pairs(
        cls,
        sources: Iterable[Hashable],
        targets: Iterable[Hashable],
        weights: npt.ArrayLike | None = None,
        *,
        symmetric: bool = False,
    ) -> Counts:
        """Sum the weights of pairs of names, such as the edges of a graph.

        Parameters
        ----------
        sources, targets : iterable of hashable objects, n each
            Names: strings, integers or other objects. The token of a name is its str.
        weights : array_like of float, shape (n,), optional
            1 by default.
        symmetric : bool
            Whether each pair counts in both directions.

        Returns
        -------
        Counts
            Of shape (names, targets). The vocabulary has targets first, then other names, both by decreasing count.

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
        pairs, vocabulary = named_pairs(sources, targets, weights, check_flag("symmetric", symmetric))
        counts = cls.from_scipy(pairs)
        counts.vocabulary = vocabulary
        return counts

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        window: int = 10,
        weighting: str = "flat",
        directed: bool | None = None,
        weights: bool | str = True,
        tokens: Sequence[Hashable] | None = None,
        min_count: int = 1,
        tolerance: float = 0.05,
        threads: int | None = None,
        memory_limit: int | None = None,
        progress: Progress | None = None,
        store: str | os.PathLike[str] | None = None,
    ) -> Counts:
        """Compute the expected counts of the pairs within a window of random walks on a graph; none is sampled.

        A walk goes from a node to a neighbour with probability proportional to the weight of the edge. DeepWalk and
        node2vec with p = q = 1 sample such walks; as they sample more, their counts approach these, up to a factor.

        Parameters
        ----------
        graph : graph of networkx, matrix, list of pairs, table, path, or list of paths
            Edges: [i, j] of a matrix (V, V); pairs, or triples with a weight; the columns source, target and perhaps
            weight of a table, CSV or TSV; the lines of another file. Weights of parallel edges are added up.
        window : int
            L, the largest number of steps between two nodes of a pair.
        weighting : {"flat", "linear", "harmonic"}
            The weight of a pair at distance t: 1, (L - t + 1) / L, or 1 / t. gensim's windows are linear.
        directed : bool, optional
            Whether walks follow an edge in its direction only. By default a graph of networkx says so itself, a matrix
            is directed if it is not symmetric, and a file or a list is undirected.
        weights : bool or str
            True: edges have their weights, in networkx the attribute "weight". A str: the attribute of networkx with
            the weights. False: all weights are 1. An edge without a weight has the weight 1.
        tokens : sequence of V hashable objects, optional
            With a matrix: the names of the nodes, by default their numbers from 0 on.
        min_count : int
            Nodes with fewer edges are left out. The vector of a node without an edge is zero.
        tolerance : float
            The smallest counts of a node are dropped, up to this share of their sum. The ledger says how much. With 0,
            and a long window, nearly all pairs have a count.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            As for :meth:`from_corpus`. The graph takes more memory, and 1 KB per node and thread.
        progress : callable, optional
            Called with (done, total) nodes.
        store : path-like, optional
            A folder to write the counts to, as for :meth:`from_corpus`.

        Returns
        -------
        Counts
            Of shape (V, V), nodes by decreasing number of edges. A node is visited 1,000 times on average. Values are
            rounded to float32.

        See Also
        --------
        Counts.from_pairs : The edges alone.

        Examples
        --------
        >>> path = sparse.csr_array([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
        >>> counts = Counts.from_graph(path, window=2, tokens=["a", "b", "c"])
        >>> counts.vocabulary.tokens
        ('b', 'a', 'c')
        >>> counts.to_scipy().toarray().round()
        array([[1500.,  500., 1000.],
               [ 500.,  167.,  333.],
               [1000.,  333.,  667.]])
        """
        distances = Windows((0, check_integer("window", window, low=1, high=MAX_WINDOW)), weighting)
        check_integer("min_count", min_count, low=0)
        if check_number("tolerance", tolerance) >= 1:
            raise ValueError(f"tolerance must be at least 0 and below 1, got {tolerance!r}")
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        ledger = Ledger()
        with _folder(store, memory_limit, limit) as folder:
            adjacency, vocabulary = kept_nodes(*read_graph(graph, weights, directed, tokens, ledger), min_count, ledger)
            ledger.walks = {"window": window, "weighting": "flat" if window == 1 else weighting}
            if directed is not None:  # by default it is not known: the matrix of a directed graph may be symmetric
                ledger.walks["directed"] = bool(directed)
            walks = Walks(adjacency, distances, tolerance, ledger)
            nodes = np.argsort(group_places(len(vocabulary)))
            tiled = write_rows(folder, Scale.none(*adjacency.shape), walks.rows(nodes, workers, progress))
            return cls._written(tiled, ledger=ledger, vocabulary=vocabulary)

    @classmethod
    def from_scipy(cls, matrix: Any, *, tokens: Sequence[Hashable] | None = None) -> Counts:
        """Return the counts in a SciPy sparse matrix; duplicate entries are summed, zeros are dropped.

        Parameters
        ----------
        matrix : sparse array or matrix of real numbers, shape (V_in, V_out)
            Never changed.
        tokens : sequence of V_in hashable objects, optional
            The names of the rows, of which the first V_out also name the columns. In the vocabulary, the count of a
            token is the number of entries in its row and its column.

        Returns
        -------
        Counts

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
        if matrix.ndim != 2 or min(matrix.shape) < 1 or matrix.shape[1] > np.iinfo(np.int32).max:
            raise ValueError(f"counts must have 2 dimensions, and 1 to 2^31 - 1 columns, got shape {matrix.shape}")
        entries = canonical_csr("counts", matrix)
        return cls._of(grouped(entries), vocabulary=None if tokens is None else _named(entries, tokens))

    @property
    def nnz(self) -> int:
        """The number of nonzero counts."""
        return self._tiled.nnz

    @property
    def total(self) -> float:
        """The sum of all counts: the expected, weighted number of pairs."""
        return float(self._tiled.totals.rows.sum())

    @property
    def directed(self) -> bool:
        """Whether the left half of the columns is for contexts before the word, and the right half for those after."""
        return self.windows is not None and self.windows.directed

    def to_scipy(self) -> sparse.csr_array:
        """Return the counts as a new CSR array of float64 with sorted columns, 12 bytes each.

        Examples
        --------
        >>> Counts.from_scipy(sparse.coo_array(([1, 1], ([0, 0], [1, 1])))).to_scipy().toarray()
        array([[0., 2.]])
        """
        return self._tiled.csr()

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both corpora.

        Counts in windows, and in baskets with the weighting "flat", are integers: the sum has the same bits as the
        counts of the joined corpora. Fractions, as with the weighting "share", are added in float64 and rounded, so
        that the last bits depend on the order.

        Raises
        ------
        ValueError
            If the two have different shapes, windows, walks, weightings of baskets, tokens or factors of subsampling.
        """
        if not isinstance(other, Counts):
            return NotImplemented
        for name in ("shape", "windows"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"counts of different {name}: {getattr(self, name)} and {getattr(other, name)}")
        check_walks(self.ledger, other.ledger)
        baskets = {self.baskets, other.baskets}
        if baskets == {"flat", "share"}:
            raise ValueError("counts of baskets with different weightings, 'flat' and 'share'")
        if self._keep is not None and (other._keep is None or not np.array_equal(self._keep, other._keep)):
            raise ValueError("subsampled counts can only be added if they were counted with the same vocabulary")
        if len({counts.vocabulary.tokens for counts in (self, other) if counts.vocabulary is not None}) > 1:
            raise ValueError("counts of different vocabularies")
        ledger = None if self.ledger is None or other.ledger is None else self.ledger + other.ledger
        known = other.vocabulary if self.vocabulary is None else self.vocabulary
        weighting = self.baskets if len(baskets) == 1 else None  # added to counts of another kind, they are plain pairs
        joint = {"ledger": ledger, "vocabulary": known, "baskets": weighting}
        return Counts._of(self._sum_with(other), **self._attributes() | joint)

    def _sum_with(self, other: Counts) -> GroupedCounts:
        """Add the unscaled counts, group by group."""
        sums = GroupedCounts.empty(Memory(), self._tiled.scale)
        for group in range(group_count(self.shape[0])):
            terms = [counts._tiled.read_group(group, unscaled=True).csr() for counts in (self, other)]
            total = terms[0] + terms[1]
            if self.windows is not None:
                check_exact(total.data)
            check_amounts("the sums of counts", total.data)
            sums.add(write_group(sums.folder, group, Rows.of(total), sums.scale.part(group)))
        return sums

    def __reduce__(self) -> tuple[Any, ...]:
        folder = self._tiled.folder
        if not folder.temporary:
            return Counts.open, (folder.url if isinstance(folder, UrlFolder) else folder.path,)
        tiled = self._tiled if self._tiled.in_memory else self._tiled.copied(Memory())
        return Counts._of, (tiled, *self._attributes().values())

    def __repr__(self) -> str:
        return f"<Counts of shape {self.shape}, {self.nnz:,} stored, total {self.total:,.6g}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the counts, the options of counting and the tokens to a store.

        Parameters
        ----------
        path : path-like
            The folder, or a URL of fsspec such as ``s3://bucket/counts``. A store in it is replaced once this one is
            complete. One process at a time may write it.

        Examples
        --------
        See :meth:`open`.
        """
        folder = open_folder(path)
        with writing(folder):
            write_manifest(self._tiled.copied(folder), self._attributes())

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Counts:
        """Open a store of counts, which is read when they are used.

        Parameters
        ----------
        path : path-like
            The folder, or a URL.

        Returns
        -------
        Counts

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Counts.from_pairs(["a", "b"], ["b", "a"]).save(f"{folder}/pairs.counts")
        ...     Counts.open(f"{folder}/pairs.counts").to_scipy().toarray()
        array([[0., 1.],
               [1., 0.]])
        """
        tiled, attributes = open_store(open_folder(path))
        return cls._of(tiled, **attributes)

    @classmethod
    def _written(cls, tiled: GroupedCounts, **attributes: Any) -> Counts:
        """Return counts whose tiles are written, and complete their store, if they are in one."""
        if not tiled.folder.temporary:
            write_manifest(tiled, attributes)
        return cls._of(tiled, **attributes)

    def _attributes(self) -> dict[str, Any]:
        """Return the arguments of `_of` after the first."""
        public = {name: getattr(self, name) for name in ("ledger", "vocabulary", "baskets")}
        return {"windows": self.windows, "keep": self._keep, **public}


@contextmanager
def _folder(store: str | os.PathLike[str] | None, memory_limit: int | None, limit: int) -> Iterator[Folder]:
    """Yield where counts are written.

    With a `store`, that is its folder; with a `memory_limit` alone, a temporary folder; else memory, in which the
    counts take at most `limit` bytes.
    """
    if store is None and memory_limit is None:
        yield Memory(limit)
        return
    if store is None:
        temporary = temporary_folder()
        try:
            yield temporary
        except BaseException:  # whose traceback refers to the folder
            shutil.rmtree(temporary.path, ignore_errors=True)
            raise
        return
    folder = open_folder(store)
    with writing(folder):
        yield folder


def _named(matrix: sparse.csr_array, tokens: Sequence[Hashable]) -> Vocabulary:
    """Return the vocabulary of a matrix whose rows have these names."""
    names = tokens_of(tokens)
    rows, columns = matrix.shape
    if len(names) != rows or columns > rows:
        sizes = f"{len(names)} tokens for {rows} rows and {columns} columns"
        raise ValueError(f"tokens must name each row, and at least as many rows as columns, got {sizes}")
    entries = np.diff(matrix.indptr)
    entries[:columns] += np.bincount(matrix.indices, minlength=columns)
    return Vocabulary(names, entries)


def tiled_counts(counts: Counts) -> GroupedCounts:
    """Return the tiles of counts, and the factors that make their values expected counts, as a fit reads both."""
    return counts._tiled


def align_counts(counts: Counts, vocabulary: Vocabulary, contexts: int) -> Counts:
    """Return the expected counts with the rows and columns of a vocabulary; other tokens are dropped.

    Counts in a store that already have these rows and columns are not read.

    Parameters
    ----------
    counts : Counts
        With tokens.
    vocabulary : Vocabulary
        The tokens of the rows.
    contexts : int
        K: the columns are the first K tokens, on both sides if the counts are directed.

    Examples
    --------
    >>> counts = Counts.from_baskets([["b", "a"], ["b", "c"]], Vocabulary(["a", "b", "c"], [1, 2, 1]))
    >>> align_counts(counts, Vocabulary(["b", "a", "d"], [2, 1, 1]), 2).to_scipy().toarray()
    array([[0., 1.],
           [1., 0.],
           [0., 0.]])
    """
    assert counts.vocabulary is not None
    sides = 2 if counts.directed else 1
    shape = (len(vocabulary), sides * contexts)
    alike = counts.vocabulary.tokens == vocabulary.tokens and counts.shape == shape
    if alike:
        return Counts._of(counts._tiled, **counts._attributes() | {"vocabulary": vocabulary})
    ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    new_ids = np.array([ids.get(token, -1) for token in counts.vocabulary.tokens], np.int64)
    theirs = counts.shape[1] // sides
    columns = np.where(new_ids < contexts, new_ids, -1)[:theirs]
    entries = counts.to_scipy().tocoo()
    side, column = np.divmod(entries.col, theirs)
    rows, columns = new_ids[entries.row], columns[column]
    known = (rows >= 0) & (columns >= 0)
    columns = columns + side * contexts
    triples = (entries.data[known], (rows[known], columns[known]))
    matrix = canonical_csr("counts", sparse.coo_array(triples, shape=shape))
    if not matrix.nnz:
        raise ValueError("none of the pairs of these counts is of tokens and contexts that the model knows")
    return Counts._of(grouped(matrix), ledger=counts.ledger, vocabulary=vocabulary)


def _check_pairs(ledger: Ledger, nnz: int, some_are_no_contexts: bool) -> None:
    """Raise ValueError if a corpus has no token of the vocabulary, gives no pair, or leaves a side of a split empty."""
    if ledger.dropped["outside the vocabulary"] == ledger.tokens_read:
        raise ValueError(f"no token of the corpus is in the vocabulary: {ledger.summary()}; grow_vocabulary adds words")
    if not ledger.tokens_used:
        raise ValueError(f"too few lines to hold some out: {ledger.summary()}; add some, or raise validation_fraction")
    if not nnz:
        pair = f"a pair is two tokens of one {ledger.unit} or list, as in [['to', 'be']]"
        if some_are_no_contexts:  # of `max_contexts`, or of a model whose vocabulary has grown
            pair += ", and one is a context, which an added word is not"
        if ledger.unit == "line" and ledger.tokens_read <= ledger.lines:
            pair += "; Reading(words=True) or a tokenizer splits text without spaces"
        raise ValueError(f"the corpus gives no pair: {ledger.summary()}; {pair}")
