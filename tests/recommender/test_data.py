"""Users and items from every form of input, and what is wrong with it."""

import json
from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Classifier, Recommender, SkipGram
from fastembed.corpus import FileCorpus, Reading
from fastembed.recommender.data import read_interactions

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


def test_tuples_are_baskets_if_their_sizes_differ(set_constant):
    """The last of the parts in which baskets are read has a tuple of two alone."""
    set_constant("fastembed.recommender.data.BASKETS_AT_ONCE", 2)
    data = read_interactions([("a", "b", "c"), ("a", "b"), ("b", "c")])
    assert data.items.names.tolist() == ["a", "b", "c"]
    assert data.matrix.toarray().tolist() == [[1, 1, 1], [1, 1, 0], [0, 1, 1]]


def test_a_lazy_frame_is_collected_first():
    for make in (Recommender, SkipGram, Classifier):
        with pytest.raises(TypeError, match=r"a LazyFrame has no rows yet: .* frame.collect\(\)"):
            make().fit(polars().lazy())


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
    table = np.array([["milk", "bread", "jam", "tea"], ["jam", "milk", "tea", "milk"]])
    assert learned(table)[:2] == ([0, 1], ["milk", "bread", "jam", "tea"])


def test_items_of_a_set_have_an_order_of_their_own():
    items = [f"item{k}" for k in range(40)]
    assert learned([set(items), {"a"}])[1] == [*sorted(items), "a"]


def test_the_index_of_a_series_is_the_users():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"who": [7, 7, 3, 3, 3], "what": ["a", "b", "b", "c", "a"]})
    series = table.groupby("who")["what"].apply(list)
    users, items, matrix = learned(series)
    assert (users, items, matrix.tolist()) == ([3, 7], ["b", "c", "a"], [[1, 1, 1], [1, 0, 1]])
    assert learned(pandas.Series([["a", "b"], ["b"]]))[0] == [0, 1]
    with pytest.raises(TypeError, match="basket 0: users must be"):
        learned(pandas.Series([["a"], ["b"]], [1.0, 1.5]))


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.coo_matrix, sparse.dok_array, np.asarray])
def test_a_matrix_has_users_as_rows_whose_names_are_their_numbers(form):
    wide = np.hstack([MATRIX, MATRIX])
    users, items, matrix = learned(form(wide))
    assert (users, items) == ([0, 1, 2], [0, 1, 2, 3, 4, 5])
    assert_array_equal(matrix, wide)


@pytest.mark.parametrize(
    ("source", "fields", "kind", "message"),
    [
        (sparse.csr_array([[1.0, -2]]), {}, ValueError, "X must be non-negative"),
        (sparse.csr_array((2, 3)), {}, ValueError, "no user has an item"),
        (TABLE, {}, ValueError, "needs user and item"),
        ([("ann", "tea"), ("bob", "tea")], {}, ValueError, r"^\('ann', 'tea'\) may be a user and an item: pass"),
        (TABLE, {"user": "who", "item": "which"}, ValueError, "'which'"),
        (TABLE | {"how": [1, 1, 1, 1, -1, 1]}, FIELDS, ValueError, "row 4: the weight 'how' must be .* got -1$"),
        (TABLE | {"how": ["1", "2", "x", "1", "1", "1"]}, FIELDS, ValueError, "row 2: the weight 'how' must be .* 'x'"),
        (TABLE | {"how": np.array([1.0, np.nan] * 3)}, FIELDS, ValueError, "row 1: the weight 'how' .* got nan$"),
        (TABLE | {"how": [date(2020, 1, 1)] * 6}, FIELDS, ValueError, "row 0: the weight 'how' .* got datetime"),
        (TABLE | {"what": ["a", "b", "", "c", "d", "e"]}, FIELDS, TypeError, "row 2: the field 'what' is '': drop"),
        ([["a"], ["b", None]], {}, TypeError, "basket 1: the item is None: drop missing items"),
        (TABLE | {"what": [7, 9, "9", 7, 7, 8]}, FIELDS, TypeError, "row 2: items must be .* got '9'"),
        (
            TABLE | {"who": np.array([1.0, 2.0, 3.0] * 2)},
            FIELDS,
            TypeError,
            "users must be str or int, got the field 'who' of float64: convert",
        ),
        (TABLE | {"who": ["a"]}, FIELDS, ValueError, "one value per pair"),
        (["milk bread"], {}, FileNotFoundError, r"no such file: 'milk bread'; baskets are .* \[\['milk', 'bread'\]"),
        (np.array(["milk bread"]), {}, TypeError, r"basket 0 must be .*; split it: \['milk', 'bread'\]"),
        ([["a"], None], {}, TypeError, "basket 1 must be a list of items, got None"),
        ([["a"], ["b", True]], {}, TypeError, "basket 1: items must be .* got True"),
        ([["a", ("b", -1.0)]], {}, ValueError, "basket 0: the weight of 'b' must be .* got -1.0"),
        ([[("a", 1e20)] * 2], {}, ValueError, r"from 1e-15 to 1e\+20, got 2e\+20"),
        (np.array([[1.0, 1e-46, 1.0, 1.0]]), {}, ValueError, "from 1e-15 .* got 1e-46"),
        (np.array([[1, 3], [1, 4]]), {}, ValueError, "may be a user and an item: pass a table, a csr_array"),
        (np.array([["u", "a"]]), {}, ValueError, "may be a user and an item: pass a table, a csr_array"),
        ([["a", ("b", 1.0, 2)]], {}, TypeError, "basket 0: .* is a tuple of both"),
        ([], {}, ValueError, "no user has an item"),
        (3, {}, TypeError, "X must be a sparse matrix, pairs, or baskets, got 3"),
    ],
)
def test_what_is_wrong_with_the_input_is_named(source, fields, kind, message):
    with pytest.raises(kind, match=message):
        Recommender(threads=1).fit(source, **fields)


def test_baskets_of_csv_have_no_header(tmp_path):
    path = tmp_path / "baskets.csv"
    path.write_text('"whole milk",rolls,,\nrolls, jam\n', encoding="utf-8")
    assert learned(path, header=False)[:2] == ([0, 1], ["whole milk", "rolls", "jam"])
    with pytest.raises(ValueError, match="CSV of baskets needs header=False or --no-header"):
        learned(path)


def test_commas_between_the_items_of_a_file_are_an_error(tmp_path):
    path = tmp_path / "baskets.txt"
    path.write_text("white bread,jam\njam,milk\nmilk,rolls\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"got the item 'bread,jam'; commas need a \.csv and header=False or"):
        learned(path)
    path.write_text("1,5l-milk bread jam\njam milk\n", encoding="utf-8")
    assert learned(path)[1] == ["1,5l-milk", "bread", "jam", "milk"]


def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"who": "ann", "what": 1}\n{"who": "bob"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"p.jsonl', line 2: no field 'what'"):
        Recommender().fit(path, user="who", item="what")
    path.with_suffix(".csv").write_text("who,what\nann,1\n,2\n", encoding="utf-8")
    with pytest.raises(TypeError, match=r"p.csv', line 3: the field 'who' is '': drop missing users"):
        Recommender().fit(path.with_suffix(".csv"), user="who", item="what")
    with pytest.raises(ValueError, match="needs user and item"):
        Recommender().fit(path)
    with pytest.raises(FileNotFoundError, match="bread"):
        Recommender().fit(["ann likes bread"])


def test_that_no_user_has_two_items_is_a_warning():
    with pytest.warns(UserWarning, match="no user has two items"):
        learned([["bread jam"], ["nails"]])


def test_items_0_to_n_are_the_columns_of_rows():
    """As codes of LabelEncoder; so rows may be asked by their codes."""
    table = {"u": [3, 3, 1, 1, 0], "i": [2, 0, 3, 2, 1]}
    model = Recommender(dim=2, epochs=2, threads=1).fit(table, user="u", item="i")
    assert (model.users_.tolist(), model.items_.tolist()) == ([3, 1, 0], [0, 1, 2, 3])
    assert model.recommend(sparse.csr_array([[1.0, 0, 1, 0]])) == model.recommend([[2, 0]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("names", [["a", "b", None], [1, 2, None]])
def test_a_missing_name_is_told_with_its_row_and_field(library, names):
    frame = pytest.importorskip(library).DataFrame
    for user, item, what in ((names, ["x", "y", "z"], "who"), (["x", "y", "z"], names, "what")):
        kind = "user" if what == "who" else "item"
        with pytest.raises(TypeError, match=f"row 2: the field '{what}' is (None|nan): drop missing {kind}s"):
            Recommender(threads=1).fit(frame({"who": user, "what": item}), user="who", item="what")
