"""Files of tables: TensorBoard's pair, NumPy's arrays, Parquet and Arrow, as their own tools read and write them."""

import csv
import re
import struct

import numpy as np
import pytest

from fastembed import Vectors, formats


@pytest.mark.parametrize("counts", [None, np.array([5, 0, 2**62])])
def test_a_plain_csv_reader_reads_our_pair_and_we_read_its(tmp_path, counts, numbers, assert_same_bits):
    tokens = ["größe", '"', "new york"]
    matrix = numbers(3)
    formats.save(tokens, matrix, tmp_path / "vectors.tsv", counts=counts)
    rows = []
    for name in ("vectors.tsv", "metadata.tsv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            rows.append(list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)))
    assert_same_bits(np.array(rows[0], np.float32), matrix)
    if counts is None:
        assert rows[1] == [[token] for token in tokens]
    else:
        expected = [[token, str(count)] for token, count in zip(tokens, counts, strict=True)]
        assert rows[1] == [["token", "count"], *expected]
    for name, content in zip(("w.tsv", "w.metadata.tsv"), rows, strict=True):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, "excel-tab", quoting=csv.QUOTE_NONE, quotechar=None).writerows(
                content
            )  # ends lines by \r\n
    found = formats.load(tmp_path / "w.tsv")
    assert found.tokens == tokens
    assert_same_bits(found.matrix, matrix)
    assert (found.counts is None) == (counts is None)
    assert counts is None or np.array_equal(found.counts, counts)


def test_other_columns_of_the_metadata_are_ignored(tmp_path):
    (tmp_path / "vectors.tsv").write_text("1\t2\n3\t4\n", encoding="utf-8")
    (tmp_path / "metadata.tsv").write_text("Word\tclass\tcount\none\tx\t7\ntwo\ty\t3\n", encoding="utf-8")
    found = formats.load(tmp_path / "vectors.tsv")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.counts, [7, 3])
    (tmp_path / "metadata.tsv").write_text("Word\tclass\none\tx\ntwo\ty\n", encoding="utf-8")
    assert formats.load(tmp_path / "vectors.tsv").counts is None


@pytest.mark.parametrize(
    ("vectors", "metadata", "message"),
    [
        (b"1\t2\n3\n", b"a\nb\n", r"vectors.tsv', line 2: 2 finite float32 expected, got b'3'"),
        (b"1\t2\n3\t4\n", b"a\na\n", r"metadata.tsv', line 2: the token 'a' is at line 1 too"),
        (b"1\t2\n3\t4\n", b"a\n\xff\n", r"metadata.tsv', line 2: 'utf-8' codec"),
        (b"1\t2\n3\t4\n", b"a\n", r"vectors.tsv': matrix must have the shape \(1, D\)"),
        (b"1\t2\n3\t4\n", b"token\tcount\na\t1\nb\n", r"metadata.tsv', line 3: 2 fields expected, got 1"),
        (b"1\t2\n3\t4\n", b"token\tcount\na\t1\nb\t-1\n", r"metadata.tsv', line 3: a count expected, got b'-1'"),
    ],
)
def test_the_place_of_a_fault_in_a_pair_is_named(tmp_path, vectors, metadata, message):
    (tmp_path / "vectors.tsv").write_bytes(vectors)
    (tmp_path / "metadata.tsv").write_bytes(metadata)
    with pytest.raises(ValueError, match=message):
        formats.load(tmp_path / "vectors.tsv")


def test_numpy_reads_ours_and_we_read_numpys(tmp_path, tokens, numbers, assert_same_bits):
    matrix = numbers(len(tokens), np.float64)
    Vectors(tokens, matrix).save(tmp_path / "v.npy")
    assert_same_bits(np.load(tmp_path / "v.npy", allow_pickle=False), matrix)
    with (tmp_path / "v.tokens.txt").open(encoding="utf-8") as file:  # universal newlines
        assert [line.removesuffix("\n") for line in file] == tokens
    for order in "CF":
        np.save(tmp_path / "w.npy", np.asarray(matrix, ">f8", order=order))
        (tmp_path / "w.tokens.txt").write_text("\n".join(tokens), encoding="utf-8")  # no last line end
        found = Vectors.load(tmp_path / "w.npy")
        assert list(found.tokens) == tokens
        assert_same_bits(found.matrix, matrix)


def npy(header):
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 300)}"), "not a whole .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}"), r"must have the shape \(2, D\)"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1)}"), "not a whole .npy file"),
        (npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2)}"), "float32 or float64, got int32"),
        (npy("(" * 5000), "not a whole .npy file"),
    ],
)
def test_hostile_headers_of_numpy_are_rejected(tmp_path, array, message):
    (tmp_path / "v.npy").write_bytes(array)
    (tmp_path / "v.tokens.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        formats.load(tmp_path / "v.npy")


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[print, None]]), allow_pickle=True)
    (tmp_path / "v.tokens.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not a whole \.npy file"):
        formats.load(tmp_path / "v.npy")


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


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vector": [[1.0]]}, r"must have the column 'token', got \['vector'\]"),
        ({"token": ["a"]}, r"must have a column 'vector', or columns of floats .*, got \['token'\]"),
        ({"token": ["a", "b"], "x": [1.0, None]}, r"columns of floats without nulls, .*, got \['x'\]"),
        ({"token": ["a", None], "vector": [[1.0], [2.0]]}, "'token' must hold strings and no nulls, got .* 1 nulls"),
        ({"token": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]}, r"lists of one length, got the lengths \[1, 2\]"),
        ({"token": ["a", "b"], "vector": [[1.0], [None]]}, "matrix must be finite, got nan at .*'b'"),
        ({"token": ["a", "b"], "vector": [[1.0], [2.0]], "count": [1, None]}, "counts must be .*integers"),
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
