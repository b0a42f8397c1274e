"""Graphs as adjacency matrices, and the expected counts of random walks on them, of which none is sampled.

A walk goes from a node to a neighbour with probability proportional to the weight of the edge. With the weights A
(V, V) and the degrees d = A 1, one step has the transition matrix P = diag(1/d) A. A walk that starts at a node with
probability proportional to its degree passes node i, and node j t steps later, in the expected proportion

    d_i (P^t)_ij.

The counts N = sum over t = 1 ... L of w_t diag(d) P^t are those of all pairs within L steps of each other, as DeepWalk
(Perozzi et al., 2014) samples them; w_t is the weight of a pair at distance t. On an undirected graph N is symmetric,
so the pairs before a node are the same as those after it.

N becomes dense as L grows, and most of it is small. So the smallest entries of each row may be dropped, as long as
their sum is within a share of the row's: the tolerance.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Hashable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int64, aligned_zeros, canonical_csr, column_blocks
from fastembed._base.memory import readable
from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_finite, check_flag, listed, shown, warn_user
from fastembed._kernels import kernels_for
from fastembed.corpus.corpus import FileCorpus, OnePerThread, Progress, single_files
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import is_missing
from fastembed.counts.pairs import name_ids, tokens_of, warn_of_kinds
from fastembed.counts.sums import RowBatch
from fastembed.counts.windows import Windows
from fastembed.vocabulary import Vocabulary

Names = Sequence[Hashable]

MAX_NODES = 2**31 - 1  # the ids of columns are int32
VISITS = 1000  # of a node, on average, by the walks that are expected (docs/decisions.md)
SAMPLED = 64  # nodes whose rows are computed first, if those of all might not fit into memory
STARTS = 16  # nodes from which walks go at once: two cache lines per node, in float64
SPARSE_COST = 8  # of a multiplication of sparse matrices, in those of a sparse and a dense one
REAL = (int, float, np.integer, np.floating, np.bool_)  # the types of a weight
MAX_WEIGHT = sys.float_info.max
COLUMNS = {"source", "target", "src", "dst", "from", "to", "node1", "node2", "node_1", "node_2", "head", "tail"}
WEIGHT = "weight"  # the attribute or column that holds the weights, unless another is named


class Edges(NamedTuple):
    """Edges as pairs of numbers of nodes, (m, 2), their weights, (m,), and the names of all nodes."""

    ends: npt.NDArray[np.intp]
    weights: Float64
    names: Names
    directed: bool


# ---------------------------------------------------------------- graphs of every kind


def read_graph(
    graph: Any, weights: bool | str, directed: bool | None, tokens: Names | None, ledger: Ledger
) -> tuple[sparse.csr_array, Names]:
    """Return the adjacency matrix (n, n) of a graph, without zeros, and the names of its nodes.

    The arguments are those of `Counts.from_graph`. If edges have no direction, the matrix is symmetric.
    """
    if not isinstance(weights, bool | str):
        raise TypeError(f"weights must be True, False or the name of an attribute, got {weights!r}")
    directed = None if directed is None else check_flag("directed", directed)
    if sparse.issparse(graph):
        return _of_matrix(graph, weights, directed, tokens, ledger)
    if tokens is not None:
        raise TypeError("tokens name the rows of a matrix, but this graph has names of its own")
    if hasattr(graph, "adj") and hasattr(graph, "is_multigraph"):  # networkx
        edges = _of_networkx(graph, weights)
    elif hasattr(graph, "get_edgelist") and hasattr(graph, "vs"):  # igraph
        edges = _of_igraph(graph, weights)
    elif hasattr(graph, "columns") and hasattr(graph, "to_dict"):  # pandas or Polars
        edges = _of_frame(graph, list(graph.columns), weights)
    elif isinstance(graph, list) and {*map(type, graph)} <= {tuple, list} and {*map(len, graph)} in ({2}, {3}):
        columns = ["source", "target", WEIGHT][: len(graph[0])]
        edges = _of_frame(dict(zip(columns, zip(*graph, strict=True), strict=True)), columns, weights)
    elif all(isinstance(path, str | os.PathLike) for path in (graph if isinstance(graph, list | tuple) else [graph])):
        if isinstance(weights, str):
            raise ValueError(f"the weights in a file are the third of a line, which has no name such as {weights!r}")
        edges = edges_of_file(graph, ledger, weights=weights)
    else:
        kinds = "a graph of networkx or igraph, a SciPy sparse array, a DataFrame, a list of pairs, or a file"
        raise TypeError(f"graph must be {kinds}, got {type(graph)}")
    ledger.lines, ledger.unit = ledger.lines or len(edges.weights), "edge"
    return _adjacency(edges, edges.directed if directed is None else directed), edges.names


def _adjacency(edges: Edges, directed: bool) -> sparse.csr_array:
    (rows, columns), amounts = edges.ends.T, edges.weights
    if not directed:
        other = rows != columns  # an edge from a node to itself is its own reverse
        rows, columns = np.concatenate([rows, columns[other]]), np.concatenate([columns, rows[other]])
        amounts = np.concatenate([amounts, amounts[other]])
    return canonical_csr("weights", sparse.coo_array((amounts, (rows, columns)), shape=(len(edges.names),) * 2))


def _of_matrix(
    matrix: Any, weights: bool | str, directed: bool | None, tokens: Names | None, ledger: Ledger
) -> tuple[sparse.csr_array, Names]:
    if isinstance(weights, str):
        raise ValueError(f"the weights of a matrix are its entries, which have no name such as {weights!r}")
    if matrix.dtype.kind not in "buif":
        raise TypeError(f"the entries of the graph must be real numbers, got dtype {matrix.dtype}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the matrix of a graph must be square, got shape {matrix.shape}")
    if not 1 <= matrix.shape[0] <= MAX_NODES:
        raise ValueError(f"a graph must have 1 to 2^31 - 1 nodes, got {matrix.shape[0]:,}")
    adjacency = canonical_csr("weights", matrix)
    if tokens is None:
        names: Names = range(len(adjacency.indptr) - 1)
    else:
        if isinstance(tokens, str) or not hasattr(tokens, "__len__"):
            raise TypeError(f"tokens must be a sequence of names, got {tokens!r}")
        names = tokens.tolist() if isinstance(tokens, np.ndarray) else list(tokens)
        if len(names) != adjacency.shape[0]:
            raise ValueError(f"tokens must name the {adjacency.shape[0]:,} nodes, got {len(names):,}")
    if not weights:
        adjacency = adjacency.sign()
    symmetric = (adjacency != adjacency.T).nnz == 0
    lower, upper = sparse.tril(adjacency, -1), sparse.triu(adjacency, 1)
    if directed is None and not symmetric and not (lower.nnz and upper.nnz):
        warn_user("the matrix is triangular, and read as that of a directed graph: directed=False if it is half of one")
    ledger.lines, ledger.unit = sparse.triu(adjacency).nnz if symmetric else adjacency.nnz, "edge"
    if directed is False and not symmetric:
        adjacency = canonical_csr("weights", adjacency + lower.T + upper.T)
    return adjacency, names


def _of_networkx(graph: Any, weights: bool | str) -> Edges:
    if weights is False:
        ends, amounts = graph.edges(), None
    else:
        missing = 1 if weights is True else None
        if isinstance(weights, str) and not any(weights in facts for _, _, facts in graph.edges(data=True)):
            raise ValueError(f"no edge has the attribute {weights!r}")
        edges = list(graph.edges(data=WEIGHT if weights is True else weights, default=missing))
        ends, amounts = [edge[:2] for edge in edges], [edge[2] for edge in edges]
        if weights is True:
            facts: dict[Any, Any] = next(iter(graph.edges(data=True)), ((), (), {}))[2]
            _likely_weight(list(facts), list(facts.values()))
    names = list(graph)
    ids = {name: number for number, name in enumerate(names)}
    numbers = np.array([(ids[a], ids[b]) for a, b in ends], np.intp).reshape(-1, 2)
    return Edges(numbers, _amounts(amounts, numbers, names), names, graph.is_directed())


def _of_igraph(graph: Any, weights: bool | str) -> Edges:
    names: Names = graph.vs["name"] if "name" in graph.vs.attributes() else range(graph.vcount())
    ends = np.array(graph.get_edgelist(), np.intp).reshape(-1, 2)
    if weights is True:
        others = graph.es.attributes()
        _likely_weight(others, graph.es[others[0]][:1] if others else ())
    amounts = graph.es[name] if (name := _named_weights(weights, graph.es.attributes(), "edges")) else None
    return Edges(ends, _amounts(amounts, ends, names), names, graph.is_directed())


def _of_frame(frame: Any, columns: list[Any], weights: bool | str) -> Edges:
    if len(columns) > 3 and hasattr(frame, "iloc") and columns == frame.index.tolist():
        matrix = "scipy.sparse.csr_array(frame.to_numpy()) and tokens=frame.columns"
        raise ValueError(f"the rows of the frame are named as its columns: for the matrix of a graph, pass {matrix}")
    if len(columns) < 2:
        raise ValueError(f"a frame of edges has a column of sources and one of targets, got {columns}")
    lower = [str(name).lower() for name in columns]
    named = lower.count("source") == lower.count("target") == 1
    order = sorted(range(len(columns)), key=lambda k: {"source": -2, "target": -1}.get(lower[k], 0) * named)
    if not named and WEIGHT in columns[:2]:
        raise ValueError(f"the first two columns are the ends of edges, and one is called 'weight': {listed(columns)}")

    def values(place: int) -> list[Any]:
        k = order[place]
        return list(frame.iloc[:, k].tolist() if hasattr(frame, "iloc") else frame[columns[k]])

    ends, others = [values(0), values(1)], [columns[k] for k in order[2:]]
    if missing := [row for row, names in enumerate(zip(*ends, strict=True)) if any(map(is_missing, names))]:
        raise ValueError(f"both ends of an edge must be named, but one is missing in row {missing[0]}")
    name = _named_weights(weights, others, "columns after the ends,")
    if weights is True and name is None:
        named = _likely_weight(others, values(2)[:1] if others else ()) or named
    if not named and weights is not False and (unread := [other for other in others if other != name]):
        read = f"the ends are the first two columns, {columns[0]!r} and {columns[1]!r}, and {unread[0]!r} is not read"
        warn_user(f"{read}: call the ends 'source' and 'target', and a weight 'weight'")
    amounts = None if name is None else values(2 + others.index(name))
    ids: dict[Hashable, int] = {}
    numbers = np.stack([name_ids(f"column {k}", ends[k], ids) for k in (0, 1)], axis=1)
    names = list(ids)
    warn_of_kinds([columns[k] for k in order[:2]], names, *numbers.T)
    return Edges(numbers, _amounts(amounts, numbers, names), names, False)


def edges_of_file(
    paths: Any, ledger: Ledger, *, weights: bool = True, parts: Sequence[int] = (2, 3), what: str = "perhaps a weight"
) -> Edges:
    """Read edges from text: two names a line, and a weight. Lines that begin with # are comments.

    A line must have one of these numbers of `parts`; `what` says in an error what is beside the names. Without
    `weights` each edge has the weight 1.
    """
    ids: dict[Hashable, int] = {}
    ends: list[int] = []
    amounts: list[float] = []
    firsts = set[int]()
    for file in (files := single_files(FileCorpus(paths))):
        before = ledger.lines
        firsts.add(len(amounts))
        for line in file.sequences(ledger):
            if not line:
                continue
            if line[0].startswith("#"):
                ledger.skipped["comments"] = ledger.skipped.get("comments", 0) + 1
                continue
            try:
                if len(line) not in parts or line[0].endswith((",", ";")) or line[1] == "{}" or line[0][:2] == '{"':
                    raise ValueError(line)
                amounts.append(float(line[2]) if len(line) == 3 and weights else 1.0)
            except ValueError:
                data = ["weight"] if 3 in parts and "{}" not in line else False
                header = len(line) == 3 and len(amounts) in firsts and line[2][0].isalpha()
                raise ValueError(
                    f"{file.names[0]!r}, line {ledger.lines - before:,}: an edge is two names and {what}, a number,"
                    f" with spaces between them, as networkx.write_edgelist(..., data={data}) writes it,"
                    f" or tr ',' ' ' < FILE, got {shown(' '.join(line))}{': is it a header? Then remove it' * header}"
                ) from None
            ends += (ids.setdefault(line[0], len(ids)), ids.setdefault(line[1], len(ids)))
    if not ends:
        raise ValueError(f"there is no edge in {', '.join(repr(file.names[0]) for file in files) or 'an empty list'}")
    both, names = np.array(ends, np.intp).reshape(-1, 2), list(ids)
    _warn_of_header(both, names, firsts)
    return Edges(both, _amounts(amounts, both, names), names, False)


def _warn_of_header(both: npt.NDArray[np.intp], names: list[Any], firsts: set[int]) -> None:
    """Warn if the first line seems to name columns: no other has its names, unless it is the first one of a file.

    They are usual names of columns, or have letters and all others none, or no digits and all others some.
    """
    degrees, same = np.bincount(both.ravel()), np.flatnonzero((both == both[0]).all(axis=1))
    if not firsts.issuperset(same.tolist()) or degrees[both[0]].max() > len(same):
        return
    letters, digits = ([any(map(kind, name)) for name in names] for kind in (str.isalpha, str.isdigit))
    other = (all(letters[:2]) and not any(letters[2:])) or (not any(digits[:2]) and all(digits[2:]))
    if COLUMNS.issuperset((names[0].lower(), names[1].lower())) or (other and len(names) > 2):
        warn_user(f"{names[0]!r} and {names[1]!r} in the first line are in no other: are they a header? Then remove it")


def _likely_weight(names: Sequence[Any], first: Sequence[Any]) -> bool:
    """Return whether no name is that of weights but one is likely to be; then warn. `first` are values of the first."""
    alone = len(names) == 1 and names[0] != "id" and all(isinstance(v, REAL) and type(v) is not bool for v in first)
    alike = [name for name in names if alone or str(name).lower() in (WEIGHT, f"{WEIGHT}s")]
    if not alike or WEIGHT in names:
        return False
    warn_user(f"nothing is called 'weight', so each edge has the weight 1; weights={alike[0]!r} would be others")
    return True


def _named_weights(weights: bool | str, names: Sequence[Any], what: str) -> str | None:
    """Return the name of the weights, or None if all are 1."""
    if isinstance(weights, bool):
        return WEIGHT if weights and WEIGHT in names else None
    if weights not in names:
        raise ValueError(f"weights must be one of the {what} [{listed(names)}], got {weights!r}")
    return weights


def _amounts(amounts: Sequence[Any] | None, ends: npt.NDArray[np.intp], names: Names) -> Float64:
    """Return weights of edges in float64; an error names the first edge with a wrong one."""
    if amounts is None:
        return np.ones(len(ends))
    for place, amount in enumerate(amounts):
        real = isinstance(amount, REAL)
        if not real or not 0 <= amount <= MAX_WEIGHT:
            edge = " to ".join(shown(names[end]) for end in ends[place])
            raise (ValueError if real else TypeError)(
                f"the weight of an edge must be a finite number of at least 0, but that from {edge} is {shown(amount)}"
            )
    return np.array(amounts, np.float64)


# ---------------------------------------------------------------- which nodes


def kept_nodes(
    adjacency: sparse.csr_array, names: Names, min_count: int, ledger: Ledger
) -> tuple[sparse.csr_array, Vocabulary]:
    """Return the part of a graph whose nodes have at least `min_count` edges, and the nodes by decreasing number.

    Nodes with the same number of edges are in the order of their tokens. A node that loses all its edges with others is
    left out, too, unless `min_count` is 0.
    """
    tokens = tokens_of(names)
    edges = _edges_of(adjacency)
    kept = edges >= min_count
    ledger.tokens_read = len(tokens)
    ledger.dropped = {f"below min_count={min_count}": int(np.count_nonzero(~kept))}
    if min_count and (alone := _edges_of(adjacency[kept][:, kept]) == 0).any():
        ledger.dropped["without other nodes"] = int(np.count_nonzero(alone))
        kept[np.flatnonzero(kept)[alone]] = False
    ledger.tokens_used = int(np.count_nonzero(kept))
    order = np.array(sorted(np.flatnonzero(kept).tolist(), key=lambda k: (-edges[k], tokens[k])), np.intp)
    part = sparse.csr_array(adjacency[order][:, order])
    if not part.nnz:
        raise ValueError(f"the graph has no edge to walk on: {ledger.summary()}")
    part.sort_indices()
    return part, Vocabulary([tokens[k] for k in order], edges[order], ledger)


def _edges_of(adjacency: sparse.csr_array) -> npt.NDArray[np.int64]:
    """Return the number of edges of each node, in either direction."""
    pattern = adjacency.astype(bool)
    return np.diff((pattern + pattern.T).indptr).astype(np.int64)


# ---------------------------------------------------------------- walks


class Walks:
    """The expected counts of walks, row by row; see the top of this file.

    Parameters
    ----------
    adjacency : csr_array (V, V)
        The weights of the edges, canonical, in float64.
    distances : Windows
        The largest distance after a node, and the weight of a pair by its distance.
    uniform : bool
        Whether as many walks start at each node, instead of in proportion to its degree.
    tolerance : float
        The largest share of the counts of a row that may be dropped.
    ledger : Ledger
        Gets what was dropped.
    """

    def __init__(
        self, adjacency: sparse.csr_array, distances: Windows, uniform: bool, tolerance: float, ledger: Ledger
    ) -> None:
        with np.errstate(over="ignore"):
            degrees = np.asarray(adjacency.sum(axis=1))
        check_finite("the sums of the weights of a node", degrees)
        starts = (degrees > 0).astype(np.float64) if uniform else degrees / degrees.max()  # whose sum is finite
        starts *= VISITS * len(starts) / starts.sum()
        self._starts, self._lengths = starts, np.diff(adjacency.indptr)
        step = adjacency.data / np.repeat(degrees, self._lengths)
        self._step = sparse.csr_array((step, adjacency.indices, adjacency.indptr), shape=adjacency.shape)  # P
        self._back = column_blocks(self._step.T.tocsr())
        _, after, denominator = distances.weights()
        self._weights, self._tolerance, self._ledger = after / denominator, tolerance, ledger
        self._kernels = kernels_for(np.dtype(np.float64))
        size = len(degrees)
        self._memory = OnePerThread(lambda: aligned_zeros((3 * size, STARTS), np.dtype(float)).reshape(3, size, STARTS))

    def rows(self, nodes: Int64, threads: int, progress: Progress | None = None) -> Generator[RowBatch, None, None]:
        """Yield the rows of all nodes in a given order, in batches; in the end the ledger has what was dropped."""
        pieces = [nodes[first : first + STARTS] for first in range(0, len(nodes), STARTS)]
        sums, lost, done = np.zeros(len(nodes)), np.zeros(len(nodes)), 0
        with closing(ordered_map(self._batch, pieces, threads)) as batches:
            for piece, (batch, of_rows, dropped) in zip(pieces, batches, strict=True):
                sums[piece], lost[piece] = of_rows, dropped
                yield batch
                if progress is not None:
                    done += len(piece)
                    progress(done, len(nodes))
        self._ledger.counts_dropped = float(lost.sum() / sums.sum())
        self._ledger.most_dropped = float(np.divide(lost, sums, out=np.zeros_like(sums), where=sums > 0).max())

    def check_room(self, room: int | None, entry_bytes: int, where: str, threads: int) -> None:
        """Raise MemoryError if all rows would take more than so many bytes, by an estimate from some of them.

        Parameters
        ----------
        room, entry_bytes : int or None, int
            The bytes that there are, if that is known, and those of an entry.
        where : str
            What the room is, for the message.
        threads : int
            Those that will compute the rows, for the estimate of the time.
        """
        size = len(self._starts)
        if room is None or entry_bytes * size**2 <= room:
            return
        began, nodes = time.perf_counter(), np.unique(np.linspace(0, size - 1, SAMPLED).astype(np.int64))
        entries = [int(self._batch(nodes[k : k + STARTS])[0].lengths.sum()) for k in range(0, len(nodes), STARTS)]
        share = size / len(nodes)
        estimate, minutes = int(entry_bytes * share * sum(entries)), (time.perf_counter() - began) * share / 60
        if estimate > room:
            raise MemoryError(
                f"the counts of walks of {len(self._weights)} steps on {size:,} nodes would take about"
                f" {readable(estimate)} and {minutes / threads:,.0f} minutes, but {where} is {readable(room)}:"
                f" a smaller window or a larger tolerance than {self._tolerance:g} takes less"
            )

    def _batch(self, nodes: Int64) -> tuple[RowBatch, Float64, Float64]:
        """Return the rows of at most STARTS nodes, their sums, and what of these was dropped.

        The first powers are sparse; the others are computed as dense ones when that takes less time.
        """
        now = self._step[nodes]
        now.data *= np.repeat(self._starts[nodes], np.diff(now.indptr))
        summed, done = self._weights[0] * now, 1
        while done < len(self._weights) and SPARSE_COST * self._lengths[now.indices].sum() < STARTS * self._step.nnz:
            now = now @ self._step
            now.sort_indices()
            summed = summed + self._weights[done] * now
            done += 1
        if done < len(self._weights):
            summed = self._dense_powers(now, summed, self._weights[done:])
        return _without_small(summed, self._tolerance)

    def _dense_powers(self, now: sparse.csr_array, summed: sparse.csr_array, weights: Float64) -> sparse.csr_array:
        """Return the sum so far of some rows (R, V) and that of further powers."""
        rows, size = now.shape
        before, after, total = memory = self._memory.take()
        for dense, some in ((before, now), (total, summed)):
            dense[:] = 0
            dense[:, :rows] = some.toarray().T
        for weight in weights:
            self._kernels.csr_times_dense(*self._back, before, after, 0, size)
            before, after = after, before
            np.multiply(before, weight, out=after)
            total += after
        found = sparse.csr_array(np.ascontiguousarray(total[:, :rows].T))
        self._memory.give(memory)
        return found


def _without_small(rows: sparse.csr_array, tolerance: float) -> tuple[RowBatch, Float64, Float64]:
    """Drop the smallest entries of each row (R, V), of a sum of at most `tolerance` times that of the row.

    Returns the rows in float32, which halves the size of a store, their sums, and what of these was dropped.
    """
    values = rows.data.astype(np.float32)
    kept = values > 0  # a number below those of float32 is 0
    sums, dropped = np.zeros(rows.shape[0]), np.zeros(rows.shape[0])
    for row, (first, last) in enumerate(pairwise(rows.indptr)):
        if values[first:last].any():
            ascending = np.sort(values[first:last])
            reached = np.cumsum(ascending, dtype=np.float64)
            least = ascending[np.searchsorted(reached, tolerance * reached[-1], side="right")]
            below = np.searchsorted(ascending, least)  # entries that are equal stay
            kept[first:last] &= values[first:last] >= least
            sums[row], dropped[row] = reached[-1], reached[below - 1] if below else 0.0
    lengths = np.diff(np.concatenate([[0], np.cumsum(kept)])[rows.indptr]).astype(np.int64)
    return RowBatch(lengths, rows.indices[kept].astype(np.int32), values[kept].astype(np.float64)), sums, dropped
