"""Users and items from every form of input, and what is wrong with it."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Recommender
from fastembed.corpus import FileCorpus, Reading

PAIRS = [("ann", 7, 1.0), ("bob", 9, 2.0), ("ann", 9, 0.5), ("cid", 7, 3.0), ("ann", 7, 1.5), ("bob", 8, 0.0)]
TABLE = {name: [row[k] for row in PAIRS] for k, name in enumerate(("who", "what", "how"))}
MATRIX = np.array([[2.5, 0.5, 0], [0, 2, 0], [3, 0, 0]])
FIELDS = {"user": "who", "item": "what", "weight": "how"}


def learned(source, **fields):
    """Return the names of users and items, and the matrix."""
    data = Recommender(dim=1, epochs=1, threads=1).fit(source, **fields)._model.data
    return data.users.names.tolist(), data.items.names.tolist(), data.matrix.toarray()


def csv(path):
    path.write_text("who,what,how\n" + "".join(f"{u},{i},{w}\n" for u, i, w in PAIRS), encoding="utf-8")


def json_lines(path):
    rows = [dict(zip(TABLE, row, strict=True)) for row in PAIRS]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def parquet(path):
    pyarrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pyarrow.table(TABLE), path)


def pandas():
    return pytest.importorskip("pandas").DataFrame(TABLE, index=range(10, 16))


def polars():
    return pytest.importorskip("polars").DataFrame(TABLE)


def arrow():
    return pytest.importorskip("pyarrow").table(TABLE)


@pytest.mark.parametrize("make", [lambda: TABLE, pandas, polars, arrow])
def test_pairs_are_a_table_in_memory_whose_names_keep_their_types(make):
    users, items, matrix = learned(make(), **FIELDS)
    assert (users, items) == (["ann", "bob", "cid"], [7, 9, 8])
    assert_array_equal(matrix, MATRIX)
    assert learned(make(), user="what", item="who")[:2] == (items, users)


@pytest.mark.parametrize(("name", "write"), [("p.csv", csv), ("p.jsonl", json_lines), ("p.parquet", parquet)])
def test_pairs_are_in_files(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    users, items, matrix = learned(path, **FIELDS)
    expected = ["7", "9", "8"] if name == "p.csv" else [7, 9, 8]
    assert (users, items) == (["ann", "bob", "cid"], expected)
    assert_array_equal(matrix, MATRIX)
    both = learned([str(path), str(path)], **FIELDS)[2]
    assert_array_equal(both, 2 * MATRIX)
    if name == "p.csv":
        path.write_text(path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
        assert_array_equal(learned(path, user=1, item="2", weight=3, header=False)[2], MATRIX)


def test_baskets_are_lists_and_lines(tmp_path):
    baskets = [["x", "y", "x"], [], ["y", ("z", 2.5)]]
    expected = [[2, 1, 0], [0, 0, 0], [0, 1, 2.5]]
    users, items, matrix = learned(baskets)
    assert (users, items) == ([0, 1, 2], ["x", "y", "z"])
    assert_array_equal(matrix, expected)
    path = tmp_path / "baskets.txt"
    path.write_text("x y x\n\ny z\n", encoding="utf-8")
    assert_array_equal(learned(path)[2], np.minimum(expected, [3, 3, 1]))
    path.write_text("whole milk,rolls\nrolls\n", encoding="utf-8")
    commas = FileCorpus(path, reading=Reading(token_pattern="[^,\n]+"))
    assert learned(commas)[1] == ["whole milk", "rolls"]
    assert learned(iter([np.array([3, 5]), {5}]))[:2] == ([0, 1], [3, 5])


def test_baskets_with_commas_are_noticed(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("bread,butter\nwhole milk,bread\nnails,saw\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="most items hold commas or marks, such as 'bread,butter': spaces separate"):
        learned(path)
    for user in ("user", ""):  # which begins a line, too
        path.write_text("".join(f"{user}{k} {k % 7} saw\n" for k in range(20)), encoding="utf-8")
        with pytest.warns(UserWarning, match=f"first items of lines, such as '{user}0', are in no others"):
            learned(path)


def test_items_of_a_set_have_an_order_of_their_own():
    items = [f"item{k}" for k in range(40)]
    assert learned([set(items), {"a"}])[1] == [*sorted(items), "a"]


def test_the_index_of_a_series_is_the_users():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"who": [7, 7, 3, 3, 3], "what": ["a", "b", "b", "c", "a"]})
    series = table.groupby("who")["what"].apply(list)
    users, items, matrix = learned(series)
    assert (users, items, matrix.tolist()) == ([3, 7], ["b", "c", "a"], [[1, 1, 1], [1, 0, 1]])
    model = Recommender(dim=2, epochs=2, threads=1).fit(series).partial_fit(pandas.Series([["d"], ["d"]], [7, 9]))
    assert_array_equal(model._model.data.matrix.toarray(), [[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 1]])
    assert learned(pandas.Series([["a", "b"], ["b"]]))[0] == [0, 1]
    with pytest.raises(TypeError, match="basket 0: user must be a str or an int of 64 bits"):
        learned(pandas.Series([["a"], ["b"]], [1.0, 1.5]))


def test_what_looks_like_something_else_is_noticed(tmp_path):
    pairs = [(f"u{k // 3}", f"item{k % 3}") for k in range(30)]
    listed, triples = [[k // 3, k % 3] for k in range(30)], [(k // 3, k % 3, 1 + k % 2) for k in range(90)]
    for source in (pairs, listed, triples):
        with pytest.warns(UserWarning, match=rf"have {len(source[0])} items each, as .* a user and an item.*, pass a"):
            learned(source)
    with pytest.warns(UserWarning, match="2 baskets have 30 items each: if they are users and items, pass a table"):
        learned([*zip(*listed, strict=True)])
    with pytest.warns(UserWarning, match="a column of X is an item, which makes 2; if the columns are users and"):
        learned(np.arange(30).reshape(15, 2))
    with pytest.warns(UserWarning, match="every user of X has every item: if the rows are baskets"):
        learned(np.array([[7, 8, 9, 4], [7, 8, 9, 5]]))
    with pytest.raises(MemoryError, match=r"training 1 users of 2,000,000,000 items takes about"):
        learned(sparse.csr_array(([1.0], ([0], [7])), shape=(1, 2 * 10**9)))
    with pytest.warns(UserWarning, match="no user has two items, .*; 'bread jam' is one item, 'bread jam'.split"):
        learned([["bread jam"], ["nails"]] * 5)
    named = (["NaN", "x"], "'NaN' is a name like the"), ([*range(-1, 12)], "'-1' is a name"), (["a", "a "], "'a '")
    for basket, message in (*named, (["5.0", "6.0"], "like '5.0'")):
        with pytest.warns(UserWarning, match=message):
            learned([basket])
    learned([[*range(-2, 12)], [-1, 0, 1]])
    learned([["10.0.0.0", "10.0.1.0"], ["GO:0000013", "GO:0000118"]])
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{user} {item}\n" for user, item in pairs), encoding="utf-8")
    with pytest.warns(UserWarning, match="lines have 2 items each, .* a user and an item, write them to a CSV"):
        learned(path)
    for more in (" 3", "\t4\t881250949"):
        path.write_text("".join(f"{user} {item}{more}\n" for user, item in pairs), encoding="utf-8")
        with pytest.warns(UserWarning, match="each, as .'u0', 'item0', '[34]'.: if they are a user and an item and a"):
            learned(path)
    path = tmp_path / "pairs.csv"
    path.write_text("".join(f"{user},{item}\n" for user, item in pairs), encoding="utf-8")
    with pytest.warns(UserWarning, match=r"first row, u0, item0, is taken for the names .* header=False \(--no-header"):
        learned(path, user=1, item="2")
    path = tmp_path / "baskets.txt"
    path.write_text("# two baskets\nbread jam butter\nnails saw\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="lines that begin with # are baskets, too"):
        learned(path)


def of_int64(x, entries=None):
    """Return a matrix with indices of int64, which seems to have so many entries."""
    found = sparse.csr_array(x)
    found.indices, found.indptr = found.indices.astype(np.int64), found.indptr.astype(np.int64)
    found.indptr[-1] = found.nnz if entries is None else entries
    return found


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.coo_matrix, sparse.dok_array, np.asarray, of_int64])
def test_a_matrix_has_users_as_rows_whose_names_are_their_numbers(form):
    users, items, matrix = learned(form(MATRIX))
    assert (users, items) == ([0, 1, 2], [0, 1, 2])
    assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize(
    ("source", "fields", "kind", "message"),
    [
        (sparse.csr_array([[1.0, -2]]), {}, ValueError, "X must be non-negative"),
        (np.array([[1.0, np.nan]]), {}, ValueError, "X must be finite"),
        (np.array([["a", "b"]]), {}, TypeError, "X must be a matrix of numbers"),
        (sparse.csr_array((2, 3)), {}, ValueError, "no user of 2 has an item"),
        (sparse.csr_array([[1.0]]), {"user": "who"}, ValueError, "name the fields of a table"),
        (TABLE, {}, ValueError, "name their fields, user=... and item=..., of 'who', 'what', 'how'"),
        (TABLE, {"user": "who", "item": "who"}, ValueError, "must be different fields, got 'who', 'who'"),
        (TABLE, {"user": "who", "item": "which"}, ValueError, "the dict has no field 'which'"),
        (TABLE | {"how": [1, 1, 1, 1, -1, 1]}, FIELDS, ValueError, "row 4: weight must be .* got -1"),
        (TABLE | {"how": [1, 1, float("nan"), 1, 1, 1]}, FIELDS, ValueError, "row 2: weight must be .* got nan"),
        (TABLE | {"how": [1, None, 1, 1, 1, 1]}, FIELDS, ValueError, "row 1: weight must be .* got None"),
        (TABLE | {"how": ["1", "2", "x", "1", "1", "1"]}, FIELDS, ValueError, "row 2: weight must be .* got 'x'"),
        (TABLE | {"what": [7, 9, "9", 7, 7, 8]}, FIELDS, TypeError, "row 2: items must be all str or all int"),
        (TABLE | {"what": [7, 9, None, 7, 7, 8]}, FIELDS, TypeError, "row 2: item must be a str or an int .* got None"),
        (TABLE | {"who": [1.0, 2.0, float("nan")] * 2}, FIELDS, TypeError, "row 2: user must be .* got nan: leave out"),
        (TABLE | {"who": [["a"]] * 6}, FIELDS, TypeError, r"row 0: user must be .* got \['a'\]: a table has a row per"),
        (TABLE | {"who": ["a"]}, FIELDS, ValueError, "one value per pair"),
        (["bread butter"], {}, TypeError, r"basket 0 must be a list of items, got 'bread butter': 'bread butter'.spli"),
        ([["a"], None], {}, TypeError, "basket 1 must be a list of items, got None; of pairs, pass a table, such as"),
        ([["a"], ["b", True]], {}, TypeError, "basket 1: items must be|basket 1: item must be"),
        ([["a", ("b", -1.0)]], {}, ValueError, "basket 0: the weight of 'b' must be .* got -1.0"),
        ([["a", ("b", 1e21)]], {}, ValueError, r"the weight of 'b' must be .* to 1e\+20, got 1e\+21"),
        ([[("a", 1e20)] * 2], {}, ValueError, r"weights above 0 must be from 1e-15 to 1e\+20, got 2e\+20"),
        (of_int64(MATRIX, 2**31), {}, ValueError, "2,147,483,648 items of users .*: fit to a part of"),
        (np.array([[1.0, 1e-46]]), {}, ValueError, "must be from 1e-15 .* got 1e-46"),
        (np.array([[1.0, 1e39]]), {}, ValueError, r"must be from 1e-15 to 1e\+20, got 1e\+39"),
        ([["a", ("b", 1.0, 2)]], {}, TypeError, "basket 0: an item with a weight is a tuple of both"),
        ([], {}, ValueError, "no basket"),
        (3, {}, TypeError, "X must be a sparse matrix, pairs, or baskets, got 3"),
    ],
)
def test_what_is_wrong_with_the_input_is_named(source, fields, kind, message):
    with pytest.raises(kind, match=message):
        Recommender(threads=1).fit(source, **fields)


def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"who": "ann", "what": 1}\n{"who": "bob"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"p.jsonl', line 2: no field 'what'"):
        Recommender().fit(path, user="who", item="what")
    path.with_suffix(".csv").write_text("who,what\nann,1\n,2\n", encoding="utf-8")
    with pytest.raises(TypeError, match=r"p.csv', line 3: user must be a str .* got '': leave it out"):
        Recommender().fit(path.with_suffix(".csv"), user="who", item="what")
    with pytest.raises(ValueError, match=r"name their fields, user=... and item=..., of '.*p.jsonl'"):
        Recommender().fit(path)
    with pytest.raises(FileNotFoundError, match=r"pass .*, \[\[item, item\]\] if a basket"):
        Recommender().fit("ann likes bread")


def test_more_is_added_to_what_is_known():
    model = Recommender(dim=2, epochs=2, threads=1).fit(TABLE, **FIELDS)
    more = {"who": ["dan", "ann"], "what": [11, 8], "how": [1.0, 4.0]}
    model.partial_fit(more, **FIELDS)
    assert (model.users_.tolist(), model.items_.tolist()) == (["ann", "bob", "cid", "dan"], [7, 9, 8, 11])
    assert_array_equal(model._model.data.matrix.toarray()[[0, 3]], [[2.5, 0.5, 4, 0], [0, 0, 0, 1]])
    with pytest.raises(TypeError, match="users are known by their names, such as 'ann': give pairs"):
        model.partial_fit([[7, 8]])
    assert len(model.users_) == 4
    learned_first = Recommender(dim=2, threads=1).fit({"u": [1, 1, 2, 2, 3], "i": [3, 4, 3, 5, 9]}, user="u", item="i")
    with pytest.warns(UserWarning, match="most users are known as items, and items as users: are the fields"):
        learned_first.partial_fit({"u": [1, 2], "i": [4, 9]}, user="i", item="u")
    with pytest.raises(TypeError, match="item must be a str or an int of 64 bits, got 3"):
        learned_first.recommend([[3.0]])
    numbered = Recommender(dim=2, epochs=2, threads=1).fit(sparse.csr_array(MATRIX))
    numbered.partial_fit(sparse.csr_array([[0, 0, 1.0, 2]])[0]).partial_fit([[3, 5]])
    assert (numbered.users_.tolist(), numbered.items_.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 5])
    assert_array_equal(
        numbered._model.data.matrix.toarray()[3:], [[0, 0, 1, 2, 0], [0, 0, 0, 2.25, 2.25]]
    )  # the median
    with pytest.raises(ValueError, match=r"X must have a column for each of the 5 items, got shape \(1, 4\)"):
        numbered.partial_fit(np.ones((1, 4)))


def test_items_0_to_n_are_the_columns_of_rows():
    """As codes of LabelEncoder; so rows may be asked, and added, by their codes."""
    table = {"u": [3, 3, 1, 1, 0], "i": [2, 0, 3, 2, 1]}
    model = Recommender(dim=2, epochs=2, threads=1).fit(table, user="u", item="i")
    assert (model.users_.tolist(), model.items_.tolist()) == ([3, 1, 0], [0, 1, 2, 3])
    assert model.recommend(sparse.csr_array([[1.0, 0, 1, 0]])) == model.recommend([[2, 0]])
    model.partial_fit({"u": [0, 0], "i": [5, 4]}, user="u", item="i")
    assert model.items_.tolist() == [0, 1, 2, 3, 4, 5]
    assert_array_equal(model._model.data.matrix.toarray()[2], [0, 1, 0, 0, 1, 1])
    assert learned([["2", "0"], ["10", "2"], [*"13456789"]])[1] == [str(k) for k in range(11)]
