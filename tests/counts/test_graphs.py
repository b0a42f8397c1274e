"""Expected counts of random walks, beside powers of dense matrices and walks that are sampled."""

import gzip

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram

WEIGHTS = {
    "flat": lambda t, window: 1,
    "linear": lambda t, window: (window - t + 1) / window,
    "harmonic": lambda t, window: 1 / t,
}


def random_graph(nodes=60, edges=150, seed=0, directed=False):
    """A matrix of weights of a connected graph, with a loop."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(nodes, size=(2, edges))
    matrix = np.zeros((nodes, nodes))
    matrix[a, b] = rng.random(edges) * 5
    ring = np.arange(nodes)
    matrix[ring, (ring + 1) % nodes] = matrix[3, 3] = 1
    return matrix if directed else matrix + matrix.T


def dense_counts(matrix, window, weighting="flat"):
    """The counts by powers of dense matrices."""
    degrees = matrix.sum(axis=1)
    step = np.divide(matrix, degrees[:, None], out=np.zeros_like(matrix), where=degrees[:, None] > 0)
    starts = degrees
    starts = 1000 * len(matrix) * starts / starts.sum()
    powers = (np.linalg.matrix_power(step, t) * WEIGHTS[weighting](t, window) for t in range(1, window + 1))
    return starts[:, None] * sum(powers)


def by_number(counts):
    """The dense counts in the order of the numbers that are the tokens."""
    order = np.argsort([int(token) for token in counts.vocabulary.tokens])
    return counts.to_scipy().toarray()[np.ix_(order, order)]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("window", "weighting"), [(1, "flat"), (2, "harmonic"), (5, "linear"), (10, "flat")])
@pytest.mark.parametrize("columns", [7, 1 << 14])
def test_the_counts_are_those_of_dense_powers(window, weighting, directed, columns, set_constant):
    set_constant("fastembed._base.panels.PANEL_COLUMNS", columns)
    matrix = random_graph(directed=directed)
    matrix[5] = 0  # of a directed graph: a node that no edge leaves
    if not directed:
        matrix[:, 5] = 0
    how = {"window": window, "weighting": weighting, "tolerance": 0, "min_count": 0}
    counts = Counts.from_graph(sparse.csr_array(matrix), **how)
    assert_allclose(by_number(counts), dense_counts(matrix, window, weighting), rtol=1e-6)
    assert counts.ledger.counts_dropped == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-310, 2e307])
def test_the_size_of_the_weights_does_not_matter(scale):
    matrix = (random_graph(nodes=20, edges=30) > 0).astype(float)  # the sum of all is beyond float64 with 2e307
    counts = Counts.from_graph(sparse.csr_array(matrix * scale), window=3, tolerance=0)
    assert_allclose(by_number(counts), dense_counts(matrix, 3), rtol=1e-6)


def test_sampled_walks_approach_the_expected_counts():
    matrix, window, rng = (random_graph(nodes=12, edges=20) > 0).astype(float), 3, np.random.default_rng(1)
    expected = dense_counts(matrix, window)
    reached = (matrix / matrix.sum(axis=1)[:, None]).cumsum(axis=1)
    errors = []
    for length in (100, 10_000):
        walks = [rng.choice(12, 100, p=matrix.sum(axis=1) / matrix.sum())]
        for _ in range(length):
            walks.append((reached[walks[-1]] < rng.random((100, 1))).sum(axis=1).clip(max=11))
        counts = Counts.from_corpus(np.array(walks).T.tolist(), 12, window=window, weighting="flat")
        sampled = counts.to_scipy().toarray()
        errors.append(np.abs(sampled / sampled.sum() - expected / expected.sum()).sum())
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 5  # ten times, by the square root of the lengths


@pytest.mark.parametrize("tolerance", [0.001, 0.05, 0.4])
def test_what_is_dropped_of_a_row_is_within_the_tolerance_and_in_the_ledger(tolerance):
    matrix = random_graph()
    expected = dense_counts(matrix, 6)
    counts = Counts.from_graph(sparse.csr_array(matrix), window=6, tolerance=tolerance)
    found = by_number(counts)
    lost = (expected - found).sum(axis=1)
    assert_allclose(found[found > 0], expected[found > 0], rtol=1e-6)
    assert (lost / expected.sum(axis=1)).max() <= tolerance + 1e-6
    assert_allclose(counts.ledger.counts_dropped, lost.sum() / expected.sum(), atol=1e-6)
    # No more could have been dropped: the smallest that is left would be too much
    least = np.where(found > 0, found, np.inf).min(axis=1)
    assert ((lost + least) / expected.sum(axis=1) > tolerance).all()
    assert f"dropped {counts.ledger.counts_dropped:.2%} of the counts" in counts.ledger.summary()


def test_threads_memory_and_stores_change_no_bit(tmp_path, assert_same, set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 16)
    graph = sparse.csr_array(random_graph(300, 900))
    alone = Counts.from_graph(graph, window=4, threads=1)
    stored = Counts.from_graph(graph, window=4, store=tmp_path / "walks", threads=2)
    limited = Counts.from_graph(graph, window=4, memory_limit=1_100_000, threads=2)
    for other in (Counts.from_graph(graph, window=4, threads=3), limited, stored):
        assert_same(alone, other)
    assert stored.vocabulary.tokens == alone.vocabulary.tokens
    assert Counts.open(tmp_path / "walks").ledger == stored.ledger == alone.ledger
    assert len(list((tmp_path / "walks").glob("group-*"))) == 19


def test_counts_beyond_the_memory_are_refused(monkeypatch):
    graph = sparse.csr_array(random_graph(600, 3000))
    monkeypatch.setattr("fastembed.counts.counts.check_memory_limit", lambda limit: limit or 1_000_000)
    with pytest.raises(MemoryError, match="set a memory_limit"):
        Counts.from_graph(graph, tolerance=0)
    assert Counts.from_graph(graph, window=1, tolerance=0).nnz == graph.nnz
    assert Counts.from_graph(graph, tolerance=0, memory_limit=1_000_000).nnz == 600**2


EDGES = [("a", "b", 2.0), ("b", "c", 1.0), ("c", "c", 4.0), ("d", "a", 0.5)]
DIRECTED = {(a, b): weight for a, b, weight in EDGES}
UNDIRECTED = {(b, a): weight for a, b, weight in EDGES} | DIRECTED


def assert_edges(counts, edges):
    """Compare the weights of the edges of a graph of four nodes with the counts with a window of 1."""
    tokens, entries = counts.vocabulary.tokens, counts.to_scipy().tocoo()
    found = {(tokens[r], tokens[c]): w for r, c, w in zip(entries.row, entries.col, entries.data, strict=True)}
    assert found.keys() == edges.keys()
    scale = 4000 / sum(edges.values())
    assert_allclose([found[edge] for edge in edges], [weight * scale for weight in edges.values()], rtol=1e-6)


def networkx_graph(kind):
    networkx = pytest.importorskip("networkx")
    graph = getattr(networkx, kind)()
    graph.add_weighted_edges_from(EDGES)
    return graph


def matrix_graph(edges):
    matrix = np.zeros((4, 4))
    for ends, weight in edges.items():
        matrix[tuple(map("abcd".index, ends))] = weight
    return sparse.csc_array(matrix)


def test_edges_of_networkx_are_no_table():
    edges = networkx_graph("Graph").edges
    with pytest.raises(TypeError, match=r"graph must be a graph of networkx, .* a list of pairs, .* got .*EdgeView"):
        Counts.from_graph(edges)
    with pytest.raises(TypeError, match=r"Counts\.from_graph reads graphs; got EdgeView"):
        SkipGram().fit(edges)


@pytest.mark.parametrize("kind", ["Graph", "DiGraph", "MultiGraph", "MultiDiGraph"])
def test_networkx_graphs_say_what_their_edges_are(kind):
    graph = networkx_graph(kind)
    assert_edges(Counts.from_graph(graph, window=1), DIRECTED if "Di" in kind else UNDIRECTED)
    assert_edges(Counts.from_graph(graph, window=1, directed=False), UNDIRECTED)
    assert_edges(Counts.from_graph(graph, window=1, directed=False, weights=False), dict.fromkeys(UNDIRECTED, 1))
    for *_, attributes in graph.edges(data=True):
        attributes["strength"] = attributes.pop("weight")
    assert_edges(Counts.from_graph(graph, window=1, directed=False), dict.fromkeys(UNDIRECTED, 1))
    assert_edges(Counts.from_graph(graph, window=1, directed=False, weights="strength"), UNDIRECTED)
    if "Multi" in kind:
        graph.add_edge("a", "b", strength=3)
        both = UNDIRECTED | {("a", "b"): 5, ("b", "a"): 5}
        assert_edges(Counts.from_graph(graph, window=1, directed=False, weights="strength"), both)


def test_a_list_has_pairs_or_triples_with_weights():
    for edges in (EDGES, list(map(list, EDGES))):
        assert_edges(Counts.from_graph(edges, window=1), UNDIRECTED)
        assert_edges(Counts.from_graph(edges, window=1, directed=True), DIRECTED)
    assert_edges(Counts.from_graph([edge[:2] for edge in EDGES], window=1), dict.fromkeys(UNDIRECTED, 1))
    facts = [(source, target, {"weight": weight} if weight != 1 else {}) for source, target, weight in EDGES]
    assert_edges(Counts.from_graph(facts, window=1), UNDIRECTED)
    with pytest.raises(ValueError, match=r"pairs .*got lengths {1, 2}"):
        Counts.from_graph([("a", "b"), ("b",)])
    with pytest.raises(ValueError, match="nan"):
        Counts.from_graph([("a", "b"), ("b", np.nan)])


def test_matrices_are_directed_unless_they_are_symmetric():
    symmetric, one_way, tokens = matrix_graph(UNDIRECTED), matrix_graph(DIRECTED), list("abcd")
    assert_edges(Counts.from_graph(symmetric, window=1, tokens=tokens), UNDIRECTED)
    assert_edges(Counts.from_graph(symmetric, window=1, tokens=tokens, directed=False), UNDIRECTED)
    assert_edges(Counts.from_graph(one_way, window=1, tokens=tokens), DIRECTED)
    assert_edges(Counts.from_graph(one_way, window=1, tokens=tokens, directed=False), UNDIRECTED)
    assert_edges(Counts.from_graph(symmetric.toarray(), window=1, tokens=tokens), UNDIRECTED)
    ones = dict.fromkeys(UNDIRECTED, 1)
    assert_edges(Counts.from_graph(symmetric, window=1, tokens=tokens, weights=False), ones)


def test_a_file_has_an_edge_per_line(tmp_path):
    lines = "# ends and weight\n" + "".join(f"{a} {b}\t{weight}\n" for a, b, weight in EDGES) + "\n"
    (tmp_path / "edges.txt").write_text(lines, encoding="utf-8")
    (tmp_path / "edges.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("edges.txt", "edges.gz"):
        counts = Counts.from_graph(tmp_path / name, window=1)
        assert_edges(counts, UNDIRECTED)
        assert (counts.ledger.tokens_read, counts.ledger.lines, counts.ledger.empty_lines) == (4, 6, 1)
        assert counts.ledger.skipped == {"comments": 1}
    assert_edges(Counts.from_graph([tmp_path / "edges.txt"], window=1, directed=True), DIRECTED)
    assert_edges(Counts.from_graph(str(tmp_path / "edges.txt"), window=1, weights=False), dict.fromkeys(UNDIRECTED, 1))


def test_nodes_with_few_edges_are_left_out_or_keep_zeros_and_are_counted():
    matrix = np.zeros((8, 8))
    for a, b in [(0, 1), (1, 2), (2, 0), (2, 3), (4, 5)]:  # 6 and 7 have no edge
        matrix[a, b] = matrix[b, a] = 1
    graph = sparse.csr_array(matrix)
    counts = Counts.from_graph(graph)
    assert counts.vocabulary.tokens == ("2", "0", "1", "3", "4", "5")
    assert counts.vocabulary.counts.tolist() == [3, 2, 2, 1, 1, 1]
    assert counts.ledger.dropped == {"below min_count=1": 2}
    assert (counts.ledger.tokens_read, counts.ledger.tokens_used, counts.ledger.lines) == (8, 6, 5)
    zeros = Counts.from_graph(graph, min_count=0)
    assert zeros.vocabulary.tokens[-2:] == ("6", "7")
    model = SkipGram(dim=3).fit(zeros)
    assert_array_equal(model.vectors.matrix[-2:], 0)
    assert (np.abs(model.vectors.matrix[:-2]).max(axis=1) > 0).all()
    assert model.ledger == zeros.ledger
    triangle = Counts.from_graph(graph, min_count=2)
    assert triangle.vocabulary.tokens == ("2", "0", "1")
    star = sparse.csr_array([[0, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]])
    with pytest.raises(ValueError, match=r"no edge to walk on: read 5 .*\(4 below min_count=2, 1 without other nodes"):
        Counts.from_graph(star, min_count=2)


def test_files_of_networkx_are_read(tmp_path):
    networkx = pytest.importorskip("networkx")
    graph = networkx.les_miserables_graph()
    expected = Counts.from_graph(list(graph.edges(data="weight")), directed=False)
    bare = Counts.from_graph(list(graph.edges()), directed=False)
    for written, how in ((expected, {}), (expected, {"data": ["weight"]}), (bare, {"data": False})):
        networkx.write_edgelist(graph, tmp_path / "edges.txt", **how)
        found = Counts.from_graph(tmp_path / "edges.txt", directed=False)
        assert found.vocabulary.tokens == written.vocabulary.tokens
        np.testing.assert_array_equal(found.to_scipy().toarray(), written.to_scipy().toarray())
    for wrong in ("a b {'weight': 'x'}", "a b {", "a b {} c", "a b {'weight': -1}"):
        (tmp_path / "edges.txt").write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match="line 1: an edge is two names, perhaps a weight"):
            Counts.from_graph(tmp_path / "edges.txt")


def test_edges_of_csv_have_any_delimiter_and_quotes_and_need_names_of_columns(tmp_path):
    expected = Counts.from_graph([("a", "b c", 2.0), ("b c", "d", 0.5)])
    for text in (
        "source,target,weight\na,b c,2\nb c,d,.5\n",
        'weight;target;id;source\n2;"b c";7;"a"\n\n0.5;"d";8;"b c"\n',
    ):
        (tmp_path / "e.csv").write_text(text, encoding="utf-8")
        counts = Counts.from_graph(tmp_path / "e.csv")
        assert counts.vocabulary.tokens == expected.vocabulary.tokens
        np.testing.assert_array_equal(counts.to_scipy().toarray(), expected.to_scipy().toarray())
    (tmp_path / "e.tsv").write_text("source\ttarget\na\tb c\nb c\td\n", encoding="utf-8")
    assert Counts.from_graph(tmp_path / "e.tsv").vocabulary.tokens == expected.vocabulary.tokens
    for text, message in (
        ("1,2\n2,3\n", "'.*e.csv' must have a header of source, target and perhaps weight alone, got '1', '2'$"),
        ("source,target,year\n1,2,1999\n", "perhaps weight alone, got 'source', 'target', 'year'$"),
        ("source,target,source\n1,2,3\n", "perhaps weight alone, got 'source', 'target', 'source'$"),
        ("", "perhaps weight alone, got $"),
        ("source,target\na,b,c\n", "line 2: 3 fields instead of 2"),
        ("source,target,weight\n1,2,-1\n", "line 2: an edge is two names"),
        ("source,target\n", "there is no edge in"),
        ("source,target\na,\n", "line 2: an edge is two names"),
        ("source,target\na,\udcff\n", "line 2: not valid UTF-8"),
    ):
        (tmp_path / "e.csv").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match=message):
            Counts.from_graph(tmp_path / "e.csv")
    (tmp_path / "e.csv").write_text("source,target,year\na,b c,2\nb c,d,.5\n", encoding="utf-8")
    ones = Counts.from_graph([("a", "b c"), ("b c", "d")])
    unweighted = Counts.from_graph(tmp_path / "e.csv", weights=False)
    np.testing.assert_array_equal(unweighted.to_scipy().toarray(), ones.to_scipy().toarray())
    (tmp_path / "e.txt").write_text("x;y;1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"got 'x;y;1'; a table is a \.csv with the header source,target$"):
        Counts.from_graph(tmp_path / "e.txt")


@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "pyarrow"])
def test_edges_of_a_table_are_in_columns_of_these_names(kind):
    edges = [("a", "b c", 2.0), ("b c", "d", 0.5)]
    table = dict(zip(("source", "target", "weight"), zip(*edges, strict=True), strict=True))
    table = {name: list(table[name]) for name in ("weight", "target", "source")} | {"id": [1, 2]}
    expected = Counts.from_graph(edges)
    if kind != "dict":
        table = getattr(pytest.importorskip(kind), "table" if kind == "pyarrow" else "DataFrame")(table)
    counts = Counts.from_graph(table)
    assert counts.vocabulary.tokens == expected.vocabulary.tokens
    np.testing.assert_array_equal(counts.to_scipy().toarray(), expected.to_scipy().toarray())


@pytest.mark.parametrize(
    ("graph", "options", "error", "message"),
    [
        (np.ones((2, 2, 2)), {}, TypeError, "got <class 'numpy.ndarray'>"),
        ([], {}, TypeError, r"a table, or a file, got \[\]$"),
        ({"source": ["a"]}, {}, ValueError, "header of source, target and perhaps weight alone, got 'source'$"),
        (
            {"source": [1], "target": [2], "id": [3]},
            {},
            ValueError,
            "perhaps weight alone, got 'source', 'target', 'id'$",
        ),
        ({"source": ["a", None], "target": ["b", "c"]}, {}, ValueError, "sources must all be named, but one is None"),
        ("missing.csv", {}, FileNotFoundError, "no such file: 'missing.csv'$"),
        ("missing", {}, FileNotFoundError, "no such file: 'missing'$"),
        (sparse.csr_array(np.ones((2, 3))), {}, ValueError, r"square, got shape \(2, 3\)"),
        (sparse.csr_array([[1j]]), {}, TypeError, "weights"),
        (sparse.csr_array([[0, -1], [1, 0]]), {}, ValueError, "weights"),
        (sparse.csr_array([[0, np.nan], [1, 0]]), {}, ValueError, "weights"),
        (sparse.csr_array(np.full((2, 2), 1e308)), {}, ValueError, "weights of a node must be finite"),
        (sparse.csr_array(np.zeros((2, 2))), {}, ValueError, "no edge to walk on: read 2"),
        (sparse.csr_array([[1]]), {"tokens": "a"}, TypeError, "tokens"),
        (sparse.csr_array([[1]]), {"tokens": ["a", "b"]}, ValueError, "tokens"),
        (sparse.csr_array([[1]]), {"directed": "yes"}, TypeError, "directed"),
        (sparse.csr_array([[1]]), {"weights": "cost"}, TypeError, "'cost'"),
        (sparse.csr_array([[1]]), {"tolerance": 1}, ValueError, "tolerance"),
    ],
)
def test_what_is_no_graph_or_option_is_named(graph, options, error, message):
    with pytest.raises(error, match=message):
        Counts.from_graph(graph, **options)


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf, "heavy", None], ids=lambda w: str(w)[:20])
def test_a_wrong_weight_is_an_error(weight):
    graph = networkx_graph("Graph")
    graph.edges["b", "c"]["weight"] = weight
    for given in (graph, [("a", "b", 1), ("b", "c", weight)]):
        with pytest.raises((ValueError, TypeError)):
            Counts.from_graph(given)


def test_names_and_weights_that_a_graph_does_not_have_are_errors():
    graph = networkx_graph("Graph")
    with pytest.raises(ValueError, match="'cost'"):
        Counts.from_graph(graph, weights="cost")
    with pytest.raises(TypeError, match="tokens name the rows of a matrix"):
        Counts.from_graph(graph, tokens=["a"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\na\n", "edges.txt', line 2: .*, got 'a'"),
        ("a b x\n", "edges.txt', line 1: .*, got 'a b x'"),
        ("a b 1\nc d -2\n", "line 2: .* got 'c d -2'"),
        ("a b nan\n", "got 'a b nan'"),
        ("# nothing\n", "there is no edge in"),
    ],
)
def test_a_line_that_is_no_edge_is_named(tmp_path, text, message):
    (tmp_path / "edges.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Counts.from_graph(tmp_path / "edges.txt")


def test_progress_counts_nodes():
    steps = []
    Counts.from_graph(sparse.csr_array(random_graph()), progress=lambda *step: steps.append(step), threads=2)
    assert steps == sorted(steps)
    assert steps[-1] == (60, 60)


@pytest.mark.parametrize("other", [{"directed": False}, {"window": 2}, {"weighting": "linear"}])
def test_only_counts_of_walks_that_are_surely_others_are_not_mixed(other):
    graph, symmetric = (sparse.csr_array(random_graph(directed=directed)) for directed in (True, False))
    counts = Counts.from_graph(graph, directed=True)
    model = SkipGram(dim=2, epochs=1).fit(counts)
    for mix in (model.partial_fit, counts.__add__):
        with pytest.raises(ValueError, match=r"counts must be of the same walks, got walks of .* and walks of "):
            mix(Counts.from_graph(graph, **{"directed": True} | other))
        for directed in (True, None):  # of a matrix that is symmetric by chance
            mix(Counts.from_graph(symmetric, directed=directed))
        mix(Counts.from_scipy(counts.to_scipy(), tokens=counts.vocabulary.tokens))
    assert (counts + counts).ledger.walks == {"window": 10, "weighting": "flat", "directed": True}
