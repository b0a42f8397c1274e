r"""Graphs: SkipGram on the expected counts of walks, against DeepWalk by gensim on sampled walks.

    python bench/peers/graphs.py files EDGES LABELS [--splits 10]   # an edge per line; a node and its label per line
    python bench/peers/graphs.py made [--nodes 10312 --edges 334000 --blocks 39]
    python bench/peers/graphs.py made --nodes 100000 --edges 1000000 --blocks 1000 --inside 0.7 --windows 10 3 2 \
        --memory-limit 2e9 --threads 2 --skip-gensim

A made graph has nodes of power-law degrees in blocks of power-law sizes, which are the labels: an end of an edge is
drawn by degree, the other by degree in the same block with a probability, or among all.

DeepWalk: 40 walks of 40 steps from each node, window 10, one epoch. The vectors have 128 dimensions. The labels of half
of the nodes are known; one logistic regression per label, by scikit-learn's defaults, gives the others that of the
highest score. F1 is micro / macro, the mean of some splits. Seconds are CPU seconds, of all threads together. With a
limit of memory the counts are in a store.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table
from scipy import sparse

from fastembed import Counts, SkipGram

DIM, WALKS, STEPS, WINDOW = 128, 40, 40, 10


def read_files(edges: str, labels: str) -> tuple[Any, Any]:
    """Return the adjacency matrix and the labels of the nodes of two files, whose nodes are numbers from 0 on."""
    ends, of_nodes = np.loadtxt(edges, dtype=int)[:, :2], np.loadtxt(labels, dtype=int)
    size = int(max(ends.max(), of_nodes[:, 0].max())) + 1
    of_node = np.zeros(size, int)
    of_node[of_nodes[:, 0]] = of_nodes[:, 1]
    return as_adjacency(ends[:, 0], ends[:, 1], size), of_node


def as_adjacency(sources: Any, targets: Any, size: int) -> Any:
    """Return the symmetric matrix of ones of edges, each once."""
    one_way = sparse.coo_array((np.ones(len(sources)), (sources, targets)), shape=(size, size)).tocsr()
    both = sparse.csr_array(one_way + one_way.T)
    both.data[:] = 1
    return both


def make_graph(nodes: int, edges: int, blocks: int, inside: float, seed: int) -> tuple[Any, Any]:
    """Return the adjacency matrix of a degree-corrected block graph, and the blocks of the nodes."""
    rng = np.random.default_rng(seed)
    weight = np.minimum((1 - rng.random(nodes)) ** (-1 / 1.8), 1000)
    sizes = (1 - rng.random(blocks)) ** (-1 / 1.2)
    block = rng.choice(blocks, nodes, p=sizes / sizes.sum())
    order = np.argsort(block, kind="stable")
    reached = np.concatenate([[0], np.cumsum(weight[order])])
    bounds = reached[np.searchsorted(block[order], np.arange(blocks + 1))]
    found = np.empty(0, np.int64)
    while len(found) < edges:
        draws = (edges - len(found)) * 3 // 2 + 1000
        first = order[np.searchsorted(reached, rng.random(draws) * reached[-1], side="right").clip(1, nodes) - 1]
        same = rng.random(draws) < inside
        low, high = np.where(same, bounds[block[first]], 0), np.where(same, bounds[block[first] + 1], reached[-1])
        places = low + rng.random(draws) * (high - low)
        second = order[np.searchsorted(reached, places, side="right").clip(1, nodes) - 1]
        ends = np.minimum(first, second) * nodes + np.maximum(first, second)
        found = np.unique(np.concatenate([found, ends[first != second]]))
    return as_adjacency(*np.divmod(rng.permutation(found)[:edges], nodes), nodes), block


def deepwalk(adjacency: Any) -> tuple[Any, str]:
    """Return the vectors of gensim's word2vec on sampled walks, in the order of the nodes."""
    from gensim.models import Word2Vec

    rng, size = np.random.default_rng(0), adjacency.shape[0]
    degrees = np.diff(adjacency.indptr)
    began, walks = time.process_time(), []
    for _ in range(WALKS):
        nodes = [rng.permutation(np.flatnonzero(degrees))]
        for _ in range(STEPS - 1):
            last = nodes[-1]
            nodes.append(
                adjacency.indices[adjacency.indptr[last] + (rng.random(len(last)) * degrees[last]).astype(int)]
            )
        walks += [list(map(str, walk)) for walk in np.stack(nodes, axis=1).tolist()]
    walking = time.process_time() - began
    model = Word2Vec(walks, vector_size=DIM, window=WINDOW, min_count=0, sg=1, workers=1, epochs=1, seed=1)
    training = time.process_time() - began - walking
    vectors = np.stack([model.wv[str(node)] if str(node) in model.wv else np.zeros(DIM) for node in range(size)])
    return vectors, f"{walking:.1f} + {training:.1f}"


def expected(adjacency: Any, window: int, options: argparse.Namespace) -> tuple[Any, str, str]:
    """Return the vectors of SkipGram on expected counts, in the order of the nodes."""
    began = time.process_time()
    how = {"tolerance": options.tolerance, "threads": options.threads, "min_count": 0}
    limit = None if options.memory_limit is None else int(options.memory_limit)
    with tempfile.TemporaryDirectory() as folder:
        try:
            store = None if limit is None else f"{folder}/walks"
            counts = Counts.from_graph(adjacency, window=window, store=store, **how)
        except MemoryError as error:
            return None, str(error), ""
        counting = time.process_time() - began
        model = SkipGram(dim=DIM, threads=options.threads).fit(counts, memory_limit=limit)
        training = time.process_time() - began - counting
    vectors = np.empty((len(model.vectors.tokens), DIM), np.float32)
    vectors[np.array(model.vectors.tokens, int)] = model.vectors.matrix
    stored = f"{counts.nnz:,} ({counts.nnz / counts.shape[0] ** 2:.1%})"
    return vectors, f"{counting:.1f} + {training:.1f}", stored


def f1_scores(vectors: Any, labels: Any, splits: int) -> str:
    """Return micro and macro F1."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    scores = []
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(labels))
        known, others = order[: len(order) // 2], order[len(order) // 2 :]
        names = np.unique(labels[known])
        values = [
            LogisticRegression(max_iter=1000)
            .fit(vectors[known], labels[known] == name)
            .decision_function(vectors[others])
            for name in names
        ]
        found = names[np.argmax(values, axis=0)]
        scores.append([f1_score(labels[others], found, average=kind) for kind in ("micro", "macro")])
    return " / ".join(f"{value:.4f}" for value in np.mean(scores, axis=0))


def main() -> None:
    """Print the table of one graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    files, made = kinds.add_parser("files"), kinds.add_parser("made")
    files.add_argument("edges")
    files.add_argument("labels")
    for name, default in (("nodes", 10_312), ("edges", 334_000), ("blocks", 39), ("seed", 0)):
        made.add_argument(f"--{name}", type=int, default=default)
    made.add_argument("--inside", type=float, default=0.3, help="probability that an edge stays in the block")
    for command in (files, made):
        command.add_argument("--windows", type=int, nargs="+", default=[10, 3, 1])
        command.add_argument("--tolerance", type=float, default=0.05)
        command.add_argument("--splits", type=int, default=3)
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--memory-limit", type=float)
        command.add_argument("--skip-gensim", action="store_true")
        command.add_argument("--skip-scores", action="store_true")
    options = parser.parse_args()
    print_facts("Graphs, against DeepWalk", "sklearn", "gensim")
    if options.kind == "files":
        adjacency, labels = read_files(options.edges, options.labels)
    else:
        adjacency, labels = make_graph(options.nodes, options.edges, options.blocks, options.inside, options.seed)
    degrees = np.diff(adjacency.indptr)
    print(f"{len(degrees):,} nodes, {adjacency.nnz // 2:,} edges, largest degree {degrees.max():,}\n")
    rows = []
    for window in options.windows:
        vectors, seconds, stored = expected(adjacency, window, options)
        if vectors is None:
            rows.append([f"window {window}", seconds, "", ""])
        else:
            score = "" if options.skip_scores else f1_scores(vectors, labels, options.splits)
            rows.append([f"window {window}", seconds, score, stored])
    if not options.skip_gensim:
        vectors, seconds = deepwalk(adjacency)
        rows.append(["DeepWalk by gensim", seconds, f1_scores(vectors, labels, options.splits), ""])
    print_table(["", "CPU seconds, counting or walking + training", "F1, micro / macro", "counts stored"], rows)
    print(f"\nat most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB resident")


if __name__ == "__main__":
    main()
