"""Parquet and Arrow: read by pyarrow and pandas, and theirs by us."""

import re

import numpy as np
import pytest

from fastembed import Vectors, formats


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
def test_pyarrow_and_pandas_read_ours_and_we_read_theirs(
    tmp_path, suffix, dtype, tokens, odd_tokens, numbers, assert_same_bits
):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    from pyarrow import feather, parquet

    read, write = (
        (parquet.read_table, parquet.write_table)
        if suffix == "parquet"
        else (feather.read_table, feather.write_feather)
    )
    tokens = [*tokens, *odd_tokens]
    matrix, counts = numbers(len(tokens), dtype), np.arange(len(tokens))
    ours, theirs = tmp_path / f"ours.{suffix}", tmp_path / f"theirs.{suffix}"
    formats.save(tokens, matrix, ours, counts=counts)
    table = read(ours)
    assert table.schema.names == ["token", "vector", "count"]
    assert table["token"].to_pylist() == tokens
    assert table["vector"].type == pyarrow.list_(pyarrow.from_numpy_dtype(dtype), 6)
    assert_same_bits(np.array(table["vector"].to_pylist(), dtype), matrix)
    assert table["count"].to_pylist() == counts.tolist()
    frame = (pandas.read_parquet if suffix == "parquet" else pandas.read_feather)(ours)
    assert frame["token"].tolist() == tokens
    assert_same_bits(np.stack(frame["vector"]), matrix)
    chunked = pyarrow.concat_tables([table.slice(0, 3), table.slice(3)])
    write(chunked.append_column("other", [["x"] * len(tokens)]), theirs)
    frame["vector"] = list(matrix)
    for written in (
        lambda: None,
        lambda: (frame.to_parquet if suffix == "parquet" else frame.to_feather)(theirs),  # lists of any length
    ):
        written()
        found = formats.load(theirs)
        assert found.tokens == tokens
        assert_same_bits(found.matrix, matrix)
        assert np.array_equal(found.counts, counts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_pandas_writes_of_our_frame_is_read(tmp_path, dtype, tokens, numbers, assert_same_bits):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("pandas", reason="pandas is not installed")
    matrix = numbers(len(tokens), dtype)
    frame = Vectors(tokens, matrix).to_pandas()
    frame.columns = frame.columns.astype(str)  # pandas' engines differ in whether they take other names
    frame.to_parquet(tmp_path / "v.parquet")
    frame.reset_index().to_feather(tmp_path / "v.feather")
    for name in ("v.parquet", "v.feather"):
        found = Vectors.load(tmp_path / name)
        assert list(found.tokens) == list(tokens)
        assert_same_bits(found.matrix, matrix)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vector": [[1.0]]}, r"must have the column 'token', got \['vector'\]"),
        ({"token": ["a"]}, r"must have a column 'vector', or columns of floats .*, got \['token'\]"),
        ({"token": ["a"], "x": [1.0], "y": [1]}, r"columns of floats without nulls, .*, got \['y'\]"),
        ({"token": ["a"], "x": [1.0], "y": ["1"]}, r"columns of floats without nulls, .*, got \['y'\]"),
        ({"token": ["a", "b"], "x": [1.0, None]}, r"columns of floats without nulls, .*, got \['x'\]"),
        ({"token": ["a", None], "vector": [[1.0], [2.0]]}, "'token' must hold strings and no nulls, got .* 1 nulls"),
        ({"token": [1, 2], "vector": [[1.0], [2.0]]}, "'token' must hold strings"),
        ({"token": ["a", "b"], "vector": [[1.0], None]}, "'vector' must hold lists and no nulls"),
        ({"token": ["a", "b"], "vector": [1.0, 2.0]}, "'vector' must hold lists"),
        ({"token": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]}, r"lists of one length, got the lengths \[1, 2\]"),
        ({"token": ["a", "b"], "vector": [[1.0], [None]]}, "matrix must be finite, got nan at .*'b'"),
        ({"token": ["a", "b"], "vector": [[1], [2]]}, "float32 or float64, got int64"),
        ({"token": ["a", "b"], "vector": [["x"], ["y"]]}, "float32 or float64, got object"),
        ({"token": ["a", "a"], "vector": [[1.0], [2.0]]}, "'a' is in rows 0 and 1"),
        ({"token": ["a", "b"], "vector": [[1.0], [2.0]], "count": [1, None]}, "counts must be .*integers"),
        ({"token": [], "vector": []}, "'token' must hold strings"),
    ],
)
@pytest.mark.parametrize("path", ["v.parquet", "v.arrow"])
def test_tables_that_hold_something_else_are_rejected(tmp_path, path, columns, message):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import feather, parquet

    (parquet.write_table if path == "v.parquet" else feather.write_feather)(pyarrow.table(columns), tmp_path / path)
    with pytest.raises(ValueError, match=rf"{re.escape(path)}'.*{message}"):
        formats.load(tmp_path / path)


def test_a_changed_byte_of_a_vector_in_parquet_is_rejected(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    file = tmp_path / "v.parquet"
    formats.save(["a", "b", "c"], np.random.default_rng(0).normal(size=(3, 4)), file)
    data = bytearray(file.read_bytes())
    vector = formats.load(file).matrix[2].tobytes()
    data[data.index(vector)] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"v\.parquet' is not a whole file .*CRC"):
        formats.load(file)
