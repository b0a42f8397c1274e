"""`Counts`: a sparse matrix of co-occurrence counts of inputs and outputs.

Counts of a corpus are stored as integers (see :mod:`fastembed.counts.windows`). They become expected counts when they
are read: divided by the denominator of the weights and multiplied by the factors of subsampling. So `a + b` has the
same bits as the counts of both corpora together. Other counts are stored as they are; sums of fractions are rounded.
"""

from __future__ import annotations

import os
import secrets
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
from fastembed.corpus.corpus import Progress, Source, as_corpus
from fastembed.corpus.ledger import Ledger, LineSplit, check_walks
from fastembed.counts.folders import Folder, Memory, UrlFolder, open_folder, temporary_folder
from fastembed.counts.graphs import Walks, kept_nodes, read_graph
from fastembed.counts.groups import check_exact, group_count, group_places
from fastembed.counts.pairs import basket_rows, named_pairs, tokens_of
from fastembed.counts.store import (
    GroupedCounts,
    WrittenGroup,
    collected,
    grouped,
    open_store,
    write_group,
    write_manifest,
    write_rows,
    writing,
)
from fastembed.counts.tasks import TASK_MEMORY, Job, count_by_tasks, count_in_turn
from fastembed.counts.tiles import Rows
from fastembed.counts.windows import MAX_WINDOW, Scale, Windows, check_pairs, counted_chunks, keep_probabilities
from fastembed.vocabulary import Vocabulary, encode_corpus, vocabulary_size


class Counts:
    """A sparse matrix of non-negative counts of pairs (input, output).

    Create one with :meth:`from_corpus`, :meth:`from_baskets`, :meth:`from_graph`, :meth:`from_pairs`,
    :meth:`from_scipy` or :meth:`open`.

    The counts are in memory, 6 to 12 bytes each, or in a store: a folder, in which a limit of memory, ``store=`` or
    :meth:`save` puts them. A fit reads a store a few groups of rows at a time, to the same bits. A store has a SHA-256
    of each tile, which is checked whenever the tile is read.

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
    _groups: GroupedCounts

    @classmethod
    def _of(
        cls,
        groups: GroupedCounts,
        windows: Windows | None = None,
        keep: Float64 | None = None,
        ledger: Ledger | None = None,
        vocabulary: Vocabulary | None = None,
        baskets: str | None = None,
    ) -> Counts:
        """Return counts."""
        counts = cls.__new__(cls)
        counts._groups, counts.shape = groups, groups.shape
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
            If `max_contexts` is less than V, the tokens must be in the order of decreasing counts, except for tokens
            appended later. A number V means that the corpus consists of ids from 0 to V - 1; it must be in memory then.
        window, weighting, sample, directed, max_contexts
            See :class:`fastembed.counts.Windows`. The frequencies of the words are those in `vocabulary`, or in the
            corpus if `vocabulary` is a number.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            Bytes of memory for the text and the counts, at least 1,000,000. The counts are then in a temporary folder,
            which is removed with them, unless `store` names another. The buffers for reading (a few MB per thread,
            about 20 for files above 1 GB) and the vocabulary need additional memory. By default the counts are in
            memory, of which they may take half of what is free. The result does not depend on the limit.
        lines : LineSplit, optional
            Count only a seeded share of the lines, or only the others; see :class:`fastembed.corpus.LineSplit`. The sum
            of the two counts has the same bits as the counts of all lines.
        progress : callable, optional
            Called with (done, total). Every byte (or sequence in memory) is read once and counted once, so the total is
            twice their number.
        store : path-like, optional
            A folder to write the counts to. Its bytes are those that :meth:`save` writes, but the rows are written in
            groups of at most 4,096, so that the counts are never all in memory.
        executor : concurrent.futures.Executor, optional
            The executor whose tasks count parts of files, cut at the ends of sequences. Its workers may be threads,
            processes or those of a cluster, as with ``distributed.Client(...).get_executor()``. It needs a `store` and
            a `Vocabulary`, and all workers must see the files and the store under the same names. `threads`, 1 by
            default, and `memory_limit`, 500 MB by default, apply to each task. The bytes of the store do not depend on
            the executor.

        Returns
        -------
        Counts
            Of shape (V, K), with both sides summed; if `directed`, of shape (V, 2 K): columns 0 ... K - 1 are
            for contexts before the word, K ... 2 K - 1 for contexts after it. K = min(V, `max_contexts`). A one-sided
            window always gives (V, K).

        Raises
        ------
        ValueError
            If an option is out of range, no token of the corpus is in the vocabulary, an id is V or more, there is no
            pair, a file is not valid UTF-8, or a count is too large to be exact.
        OSError
            If a file is missing or cannot be read, or the disk is full.
        MemoryError
            If the counts in memory would take more than half of what is free.
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
        size, corpus = vocabulary_size(vocabulary), as_corpus(corpus)
        shape = size, windows.columns(size)
        _check_lines(lines)
        known = vocabulary if isinstance(vocabulary, Vocabulary) else None
        if executor is not None:
            if store is None or lines is not None or known is None:
                raise ValueError("an executor needs a store to count into and a Vocabulary, and counts all lines")
            workers = 1 if threads is None else workers
            limit = TASK_MEMORY if memory_limit is None else limit
        ledger, keep = Ledger(), keep_probabilities(corpus, vocabulary, windows, lines)
        with _folder(store, memory_limit, limit) as folder:
            scale = Scale.of(windows, keep, shape)
            job = Job(folder, secrets.token_hex(8), size, windows, workers, limit)
            if executor is not None:
                assert known is not None
                groups, ledger = count_by_tasks(job, scale, executor, corpus, known, progress)
            else:
                given = corpus, vocabulary, windows, ledger, workers, limit, lines, progress
                with closing(counted_chunks(*given)) as chunks:
                    groups = count_in_turn(job, scale, chunks)
            check_pairs(ledger, groups.nnz, windows)
            return cls._written(groups, windows=windows, keep=keep, ledger=ledger, vocabulary=known)

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
            These fractions are rounded: counts of parts add up to the counts of the whole except for the last bits.
        max_contexts : int, optional
            Only this many items, the first of the vocabulary, are contexts.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            Bytes of memory for the counts, as for :meth:`from_corpus`. The baskets are also in memory, about 50 bytes
            per item, in addition to the limit.
        lines : LineSplit, optional
            Count only a seeded share of the baskets, or only the others, as for :meth:`from_corpus`.
        progress : callable, optional
            Called with (done, total) while the baskets are read.
        store : path-like, optional
            A folder to write the counts to, as for :meth:`from_corpus`.

        Returns
        -------
        Counts
            Of shape (V, K), where K = min(V, `max_contexts`).

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
        check_choice("weighting", weighting, ("flat", "share"))
        _check_lines(lines)
        size = vocabulary_size(vocabulary)
        contexts = size if max_contexts is None else check_integer("max_contexts", max_contexts, low=1)
        shape = size, min(contexts, size)
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        ledger = Ledger(unit="basket")
        known = vocabulary if isinstance(vocabulary, Vocabulary) else None
        with _folder(store, memory_limit, limit) as folder:
            with closing(encode_corpus(as_corpus(baskets), vocabulary, ledger, progress, workers, lines)) as pieces:
                rows = basket_rows(pieces, shape, weighting == "share", limit, workers)
            with closing(rows):
                groups = write_rows(folder, Scale.none(*shape), rows)
            if not groups.nnz:
                raise ValueError(f"the baskets give no pair: {ledger.summary()}")
            return cls._written(groups, ledger=ledger, vocabulary=known, baskets=weighting)

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
            Names: strings, integers or other objects. The token of a name is its str.
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
        start: str = "degree",
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
        graph : graph of networkx, matrix, list of pairs, path, or list of paths
            A matrix (V, V), of SciPy or NumPy, holds the weight of the edge from i to j in row i and column j. A list
            holds pairs (source, target), or triples with a weight. A file has an edge per line: two names, and perhaps
            a weight, with white space between them; lines that begin with # are comments. It may be compressed, a
            pattern or a URL, as a corpus may. Weights of parallel edges are added up; an edge of weight 0 is none.
        window : int
            L, the largest number of steps between two nodes of a pair. With 1, the counts are in proportion to the
            weights of the edges.
        weighting : {"flat", "linear", "harmonic"}
            The weight of a pair at distance t: 1, (L - t + 1) / L, or 1 / t. The windows of gensim are linear.
        directed : bool, optional
            True: walks follow an edge in its direction only, and the pairs are those of a node and one that comes after
            it. False: they follow each edge both ways. By default a graph of networkx and a matrix say it themselves,
            a matrix by not being symmetric; the edges of a file or list lead both ways.
        weights : bool or str
            True: the weight of an edge is its attribute "weight" in networkx, the entry of a matrix, the third item of
            a triple or line; 1 without one. False: 1 for each edge. A str: the name of another attribute in networkx.
        tokens : sequence of V hashable objects, optional
            With a matrix: the names of the nodes, by default their numbers from 0 on. The token of a name is its str,
            as for :meth:`from_pairs`.
        start : {"degree", "uniform"}
            Where walks start: at a node with probability proportional to the weight of its edges, as long walks on an
            undirected graph visit it; or at all nodes equally, so that their rows have equal sums if no walk ends.
        min_count : int
            Nodes with fewer edges are left out. With 0 those without an edge stay, and their vectors are zero. The
            ledger counts nodes as tokens.
        tolerance : float
            The largest share of the counts of a node that may be dropped, below 1: the smallest are. So the sum of the
            absolute errors of a row is at most this share of its sum. The ledger says how much was dropped. With 0 all
            counts are stored, which for a long window are those of nearly all pairs of connected nodes.
        threads : int, optional
            The number of threads; by default the number of CPUs. The result does not depend on it.
        memory_limit : int, optional
            Bytes of memory for the counts, as for :meth:`from_corpus`. The graph, and 1 KB per node and thread, need
            additional memory.
        progress : callable, optional
            Called with (done, total) nodes.
        store : path-like, optional
            A folder to write the counts to, as for :meth:`from_corpus`; they may exceed the memory then.

        Returns
        -------
        Counts
            Of shape (V, V). The nodes are in the order of decreasing numbers of edges, which are the counts of the
            vocabulary. The sum of all counts is 1,000 V times the sum of the weights of the distances, less what was
            dropped, and what walks lack that end where no edge leads on: a model takes counts for observations, and
            what is expected is known exactly. Values are rounded to float32.

        Raises
        ------
        TypeError
            If the graph is none of these, or an argument has the wrong type.
        ValueError
            If a weight is negative, infinite or NaN, a matrix is not square, two nodes have the same str, a line is not
            an edge, no edge is left, or an option is out of range.
        MemoryError
            If the counts in memory would take more than half of what is free.
        OSError
            If a file cannot be read, or the disk is full.

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
        check_choice("start", start, ("degree", "uniform"))
        check_integer("min_count", min_count, low=0)
        if check_number("tolerance", tolerance) >= 1:
            raise ValueError(f"tolerance must be at least 0 and below 1, got {tolerance!r}")
        workers, limit = check_threads(threads), check_memory_limit(memory_limit)
        ledger = Ledger()
        with _folder(store, memory_limit, limit) as folder:
            adjacency, vocabulary = kept_nodes(*read_graph(graph, weights, directed, tokens, ledger), min_count, ledger)
            # What a default reads from the graph is not said: the matrix of a directed one may be symmetric
            said = "" if directed is None else f" and directed={bool(directed)}"
            alike = "flat" if window == 1 else weighting
            ledger.walks = f"walks of window={window} and weighting={alike!r}{said}"
            walks = Walks(adjacency, distances, start == "uniform", tolerance, ledger)
            nodes = np.argsort(group_places(len(vocabulary)))
            with closing(walks.rows(nodes, workers, progress)) as rows:
                groups = write_rows(folder, Scale.none(len(nodes), len(nodes)), rows)
            return cls._written(groups, ledger=ledger, vocabulary=vocabulary)

    @classmethod
    def from_scipy(cls, matrix: Any, *, tokens: Sequence[Hashable] | None = None) -> Counts:
        """Return the counts in a SciPy sparse matrix; duplicate entries are summed, zeros are dropped.

        Parameters
        ----------
        matrix : sparse array or matrix of real numbers, shape (V_in, V_out)
            Never changed.
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
        if matrix.ndim != 2 or min(matrix.shape) < 1 or matrix.shape[1] > np.iinfo(np.int32).max:
            raise ValueError(f"counts must have 2 dimensions, and 1 to 2^31 - 1 columns, got shape {matrix.shape}")
        stored = canonical_csr("counts", matrix)
        return cls._of(grouped(stored), vocabulary=None if tokens is None else _named(stored, tokens))

    @property
    def nnz(self) -> int:
        """The number of stored, non-zero counts."""
        return self._groups.nnz

    @property
    def total(self) -> float:
        """The sum of all counts: the expected, weighted number of pairs."""
        return float(self._groups.totals.rows.sum())

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
        return self._groups.csr()

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
        """Add the stored counts, group by group."""
        memory, scale = Memory(), self._groups.scale

        def written(group: int) -> WrittenGroup:
            terms = [counts._groups.read_group(group, stored=True).csr() for counts in (self, other)]
            total = terms[0] + terms[1]
            if self.windows is not None:
                check_exact(total.data)
            check_amounts("the sums of counts", total.data)
            return write_group(memory, group, [Rows.of(total)], scale.of_group(group))

        return collected(memory, scale, map(written, range(group_count(self.shape[0]))))

    def __reduce__(self) -> tuple[Any, ...]:
        folder = self._groups.folder
        if not folder.temporary:
            return Counts.open, (folder.url if isinstance(folder, UrlFolder) else folder.path,)
        groups = self._groups if self._groups.in_memory else self._groups.copied(Memory())
        return Counts._of, (groups, *self._attributes().values())

    def __repr__(self) -> str:
        return f"<Counts of shape {self.shape}, {self.nnz:,} stored, total {self.total:,.6g}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the counts, the options of counting and the tokens to a store.

        Parameters
        ----------
        path : path-like
            The folder to create; its parent must exist. If it already holds a store, that is replaced once this one is
            complete. Or a URL of fsspec, such as ``s3://bucket/counts``. One process at a time may write it.

        Raises
        ------
        OSError
            If the folder holds something else, or the data cannot be written; an existing store then stays as it was.
        ValueError
            If a token has no UTF-8 form.

        Examples
        --------
        See :meth:`open`.
        """
        folder = open_folder(path)
        with writing(folder):
            write_manifest(self._groups.copied(folder), self._attributes())

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
        ...     Counts.from_pairs(["a", "b"], ["b", "a"]).save(f"{folder}/pairs.counts")
        ...     Counts.open(f"{folder}/pairs.counts").to_scipy().toarray()
        array([[0., 1.],
               [1., 0.]])
        """
        groups, attributes = open_store(open_folder(path))
        return cls._of(groups, **attributes)

    @classmethod
    def _written(cls, groups: GroupedCounts, **attributes: Any) -> Counts:
        """Return counts whose groups are written, and complete their store, if they are in one."""
        if not groups.folder.temporary:
            write_manifest(groups, attributes)
        return cls._of(groups, **attributes)

    def _attributes(self) -> dict[str, Any]:
        """Return the arguments of `_of` after the first."""
        others = {name: getattr(self, name) for name in ("ledger", "vocabulary", "baskets")}
        return {"windows": self.windows, "keep": self._keep, **others}


@contextmanager
def _folder(store: str | os.PathLike[str] | None, memory_limit: int | None, limit: int) -> Iterator[Folder]:
    """Yield where counts are written: the folder of a store, a temporary one with a limit alone, or memory."""
    if store is None:
        yield Memory(limit) if memory_limit is None else temporary_folder()
        return
    folder = open_folder(store)
    with writing(folder):
        yield folder


def _named(matrix: sparse.csr_array, tokens: Sequence[Hashable]) -> Vocabulary:
    """Return the vocabulary of a matrix whose rows have these names."""
    names = tokens_of(tokens)
    rows, columns = matrix.shape
    if len(names) != rows or columns > rows:
        sizes = f"there are {len(names)} tokens for {rows} rows and {columns} columns"
        raise ValueError(f"tokens name the rows, and the first of them the columns, but {sizes}")
    entries = np.diff(matrix.indptr)
    entries[:columns] += np.bincount(matrix.indices, minlength=columns)
    return Vocabulary(names, entries)


def _check_lines(lines: LineSplit | None) -> None:
    """Raise TypeError unless `lines` is None or a LineSplit."""
    if lines is not None and not isinstance(lines, LineSplit):
        raise TypeError(f"lines must be a LineSplit, got {type(lines).__name__}")


def groups_of(counts: Counts) -> GroupedCounts:
    """Return the expected counts as a fit reads them."""
    return counts._groups


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
        return Counts._of(counts._groups, **counts._attributes() | {"vocabulary": vocabulary})
    ids = {token: place for place, token in enumerate(vocabulary.tokens)}
    places = np.array([ids.get(token, -1) for token in counts.vocabulary.tokens], np.int64)
    theirs = counts.shape[1] // sides
    columns = np.where(places < contexts, places, -1)[:theirs]
    entries = counts.to_scipy().tocoo()
    side, column = np.divmod(entries.col, theirs)
    rows, columns = places[entries.row], columns[column]
    known = (rows >= 0) & (columns >= 0)
    columns = columns + side * contexts
    triples = (entries.data[known], (rows[known], columns[known]))
    matrix = canonical_csr("counts", sparse.coo_array(triples, shape=shape))
    if not matrix.nnz:
        raise ValueError("none of the pairs of these counts is of tokens and contexts that the model knows")
    return Counts._of(grouped(matrix), ledger=counts.ledger, vocabulary=vocabulary)
