"""Graphs as adjacency matrices, and the expected counts of random walks on them, computed without sampling.

A walk goes from a node to a neighbour with probability proportional to the weight of the edge. With the weights A
(V, V) and the degrees d = A 1, one step has the transition matrix P = diag(1/d) A. A walk that starts at a node with
probability proportional to its degree passes node i, and t steps later node j, in the expected proportion

    d_i (P^t)_ij.

The counts N = sum over t = 1 ... L of w_t diag(d) P^t are the expected counts of all pairs within L steps, which
DeepWalk (Perozzi et al., 2014) samples; w_t is the weight of a pair at distance t. On an undirected graph N is
symmetric, so the pairs before a node are the same as those after it.

N becomes dense as L grows, and most of it is small. So the smallest entries of each row may be dropped, as long as
their sum is at most a share of the sum of the row: the tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Hashable, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int64, aligned_zeros, canonical_csr
from fastembed._base.panels import Panels
from fastembed._base.threads import Supply, ordered_map
from fastembed._base.validation import check_amounts, check_finite, check_flag, float_or_nan, listed, shown, unmasked
from fastembed._kernels import kernels_for
from fastembed.corpus.corpus import FileCorpus, Progress
from fastembed.corpus.documents import BadRow, column_values
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.sources import TextFile, column_names, find_files, form_of, path_list, suffix_of
from fastembed.corpus.tables import csv_rows, field_rows, row_place
from fastembed.counts.groups import RowBatch
from fastembed.counts.pairs import both_ways, name_ids, tokens_of
from fastembed.counts.windows import Windows
from fastembed.vocabulary import Vocabulary

Names = Sequence[Hashable]

VISITS = 1000  # the average number of visits to a node in the expected walks (docs/design.md)
STARTS = 16  # nodes whose rows are computed together: two cache lines per node, in float64
ENDS = ["source", "target"]  # columns of a table of edges
SPARSE_COST = 8  # the cost of an operation of a sparse-sparse product, in operations of a sparse-dense product


class Edges(NamedTuple):
    """Edges as two arrays of numbers of nodes, (m,) each, their weights, (m,), and the names of all nodes."""

    sources: npt.NDArray[np.intp]
    targets: npt.NDArray[np.intp]
    weights: npt.NDArray[Any]
    names: Names


# ---------------------------------------------------------------- graphs of every kind


def read_graph(
    graph: Any, weights: bool | str, directed: bool | None, tokens: Names | None, ledger: Ledger
) -> tuple[sparse.csr_array, Names]:
    """Return the adjacency matrix (n, n) of a graph, without zeros, and the names of its nodes.

    The arguments are those of `Counts.from_graph`. If edges have no direction, the matrix is symmetric.
    """
    directed = None if directed is None else check_flag("directed", directed)
    form = form_of(graph, texts=False)
    if not isinstance(weights, bool) and not (isinstance(weights, str) and form == "graph"):
        raise TypeError(f"weights must be True or False, or of networkx the name of an attribute, got {weights!r}")
    if form == "matrix":
        return _of_matrix(graph, weights, directed, tokens, ledger)
    if tokens is not None:
        raise TypeError("tokens name the rows of a matrix, but the graph names its nodes itself: leave out tokens")
    if form == "graph":
        return _of_matrix(_of_networkx(graph, weights), True, directed, list(graph), ledger)
    if form == "table":
        fields = _edge_fields("a table of edges", column_names(graph) or [], bool(weights))
        graph = list(zip(*(column_values(graph[field]) for field in fields), strict=True))
    if form == "files":
        edges = edges_of_file(graph, ledger, weights=bool(weights))
    elif isinstance(graph, list) and graph and all(isinstance(edge, tuple | list) for edge in graph):
        edges = _of_pairs(graph, weights)
    else:
        kinds = "a graph of networkx, a matrix, a list of pairs, a table, or a file"
        raise TypeError(f"graph must be {kinds}, got {shown(graph) if isinstance(graph, list) else type(graph)}")
    ledger.lines, ledger.unit = ledger.lines or len(edges.weights), "edge"
    check_amounts("weights", edges.weights)
    rows, columns, amounts = edges[:3] if directed else both_ways(*edges[:3])
    entries, size = (amounts.astype(np.float64), (rows, columns)), len(edges.names)
    return canonical_csr("weights", sparse.coo_array(entries, shape=(size, size))), edges.names


def _of_matrix(
    matrix: Any, weights: object, directed: bool | None, tokens: Names | None, ledger: Ledger
) -> tuple[sparse.csr_array, Names]:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the matrix of a graph must be square, got shape {matrix.shape}")
    adjacency = canonical_csr("weights", matrix)
    names: Names = range(adjacency.shape[0]) if tokens is None else tokens_of(tokens)
    if len(names) != adjacency.shape[0]:
        raise ValueError(f"tokens must name the {adjacency.shape[0]:,} nodes, got {len(names):,}")
    if not weights:
        adjacency = adjacency.sign()
    symmetric = (adjacency != adjacency.T).nnz == 0
    ledger.lines, ledger.unit = sparse.triu(adjacency).nnz if symmetric else adjacency.nnz, "edge"
    if directed is False and not symmetric:
        reverses = sparse.tril(adjacency, -1).T + sparse.triu(adjacency, 1).T
        adjacency = canonical_csr("weights", adjacency + reverses)
    return adjacency, names


def _of_networkx(graph: Any, weights: bool | str) -> sparse.csr_array:
    """Return the adjacency matrix of a graph of networkx, where an edge without the attribute has the weight 1."""
    name = weights if isinstance(weights, str) else "weight"
    if isinstance(weights, str) and not any(name in facts for _, _, facts in graph.edges(data=True)):
        raise ValueError(f"no edge has the attribute {name!r}")
    return import_module("networkx").to_scipy_sparse_array(graph, weight=name if weights else None, dtype=np.float64)


def _of_pairs(pairs: list[Any], weights: object) -> Edges:
    if (lengths := {*map(len, pairs)}) not in ({2}, {3}):
        kinds = "pairs (source, target), or triples with a weight"
        raise ValueError(f"a list of edges must hold {kinds}, got {f'lengths {lengths}' if lengths else 'no edge'}")
    sources, targets, *weight_columns = zip(*pairs, strict=True)
    ids: dict[Hashable, int] = {}
    ends = name_ids("sources", sources, ids), name_ids("targets", targets, ids)
    values = [x.get("weight", 1) if isinstance(x, dict) else x for x in chain(*weight_columns)]  # a dict of networkx
    amounts = unmasked("weights", values) if values and weights else np.ones(len(pairs))
    return Edges(*ends, amounts, list(ids))


def _edge_fields(place: str, names: list[Any], weights: bool) -> list[str]:
    """Return the columns of a table of edges: source, target, and the weight, if there is one and it is wanted.

    Raises
    ------
    ValueError
        If a column is missing or repeated, or another column may be the weight.
    """
    fields = [*ENDS, "weight"] if weights and "weight" in names else ENDS
    if any(names.count(field) != 1 for field in fields) or (weights and set(names) - set(fields) and fields is ENDS):
        raise ValueError(f"{place} must have a header of source, target and perhaps weight alone, got {listed(names)}")
    return fields


def edges_of_file(paths: Any, ledger: Ledger, *, weights: bool = True) -> Edges:
    """Read edges: two names a line, and perhaps a weight, or attributes as networkx writes them.

    Lines of text that begin with # are comments. CSV and TSV have columns source, target and perhaps weight.

    Without `weights` each edge has the weight 1.
    """
    ids: dict[Hashable, int] = {}
    ends: list[int] = []
    amounts: list[float] = []
    files = [file for path in path_list(paths) for file in find_files(path)]
    for file in files:
        table = suffix_of(file.name) in (".csv", ".tsv")
        for number, line in _table_edges(file, weights, ledger) if table else _text_edges(file, ledger):
            amount = float_or_nan(line[2]) if len(line) == 3 and weights else 1.0
            if len(line) not in (2, 3) or not all(line[:2]) or not 0 <= amount < np.inf:
                place = f"{file.name!r}, line {number:,}"
                hint = "; a table is a .csv with the header source,target" if len(line) == 1 else ""
                raise ValueError(f"{place}: an edge is two names, perhaps a weight, got {shown(' '.join(line))}{hint}")
            amounts.append(amount)
            ends += (ids.setdefault(line[0], len(ids)), ids.setdefault(line[1], len(ids)))
    if not ends:
        raise ValueError(f"there is no edge in {', '.join(repr(file.name) for file in files) or 'an empty list'}")
    sources, targets = np.array(ends, np.intp).reshape(-1, 2).T
    return Edges(sources, targets, np.array(amounts), list(ids))


def _text_edges(file: Any, ledger: Ledger) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line with an edge, and its words."""
    before = ledger.lines
    for line in FileCorpus([file]).sequences(ledger):
        if line and line[0].startswith("#"):
            ledger.skipped["comments"] = ledger.skipped.get("comments", 0) + 1
        elif line[2:] and line[2].startswith("{") and line[-1].endswith("}"):  # networkx's attributes of an edge
            weight = re.search(r"'weight': ([^,}]+)", " ".join(line[2:]))
            yield ledger.lines - before, [*line[:2], weight[1] if weight else "1"]
        elif line:
            yield ledger.lines - before, line


def _table_edges(file: TextFile, weights: bool, ledger: Ledger) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each row but the first, and its cells."""
    _, names = next(csv_rows(file), (1, []))
    for number, row in field_rows(file, _edge_fields(repr(file.name), list(names), weights)):
        if isinstance(row, BadRow):
            raise ValueError(f"{row_place(file, number)}: {row.message}")
        ledger.lines += 1
        yield number, list(row)


# ---------------------------------------------------------------- which nodes


def kept_nodes(
    adjacency: sparse.csr_array, names: Names, min_count: int, ledger: Ledger
) -> tuple[sparse.csr_array, Vocabulary]:
    """Return the part of a graph whose nodes have at least `min_count` edges, and its nodes, the most edges first.

    Nodes with the same number of edges are in the order of their tokens. A node that keeps no edge with another node is
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
    tolerance : float
        The largest share of the counts of a row that may be dropped.
    ledger : Ledger
        Gets what was dropped.
    """

    def __init__(self, adjacency: sparse.csr_array, distances: Windows, tolerance: float, ledger: Ledger) -> None:
        with np.errstate(over="ignore"):
            degrees = np.asarray(adjacency.sum(axis=1))
        check_finite("the sums of the weights of a node", degrees)
        starts = degrees / degrees.max()  # whose sum is finite
        starts *= VISITS * len(starts) / starts.sum()
        self._starts, self._lengths = starts, np.diff(adjacency.indptr)
        step = adjacency.data / np.repeat(degrees, self._lengths)
        self._step = sparse.csr_array((step, adjacency.indices, adjacency.indptr), shape=adjacency.shape)  # P
        self._back = Panels.of(self._step.T.tocsr())
        _, after, denominator = distances.weights()
        self._weights, self._tolerance, self._ledger = after / denominator, tolerance, ledger
        self._kernels = kernels_for(np.dtype(np.float64))
        size = len(degrees)
        self._memory = Supply(lambda: aligned_zeros((3 * size, STARTS), np.dtype(float)).reshape(3, size, STARTS))

    def rows(self, nodes: Int64, threads: int, progress: Progress | None = None) -> Generator[RowBatch, None, None]:
        """Yield the rows of all nodes, in the order `nodes`, in batches; the ledger gets what was dropped."""
        pieces = [nodes[first : first + STARTS] for first in range(0, len(nodes), STARTS)]
        sums, lost, done = np.zeros(len(nodes)), np.zeros(len(nodes)), 0
        with closing(ordered_map(self._batch, pieces, threads)) as batches:
            for piece, (batch, row_sums, dropped) in zip(pieces, batches, strict=True):
                sums[piece], lost[piece] = row_sums, dropped
                yield batch
                if progress is not None:
                    done += len(piece)
                    progress(done, len(nodes))
        self._ledger.counts_dropped = float(lost.sum() / sums.sum())

    def _batch(self, nodes: Int64) -> tuple[RowBatch, Float64, Float64]:
        """Return the rows of at most STARTS nodes, their sums, and how much of the sums was dropped.

        Powers of P are sparse matrices at first, and dense ones as soon as these take less time.
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
        """Return the sum of `summed`, (R, V), and of the weighted further powers, which follow the power `now`."""
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
        counts = sparse.csr_array(np.ascontiguousarray(total[:, :rows].T))
        self._memory.give(memory)
        return counts


def _without_small(rows: sparse.csr_array, tolerance: float) -> tuple[RowBatch, Float64, Float64]:
    """Drop the smallest entries of each row (R, V), as long as their sum is at most `tolerance` times that of the row.

    Returns the rows in float32, which halves the size of a store, their sums, and how much of the sums was dropped.
    """
    values = rows.data.astype(np.float32)
    kept = values > 0  # numbers too small for float32 are 0
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
