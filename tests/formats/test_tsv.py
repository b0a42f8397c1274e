"""The pair of files of TensorBoard's projector."""

import csv

import numpy as np
import pytest

from fastembed import formats


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
        (b"1\t2\n\n3\t4\n", b"a\nb\n", r"vectors.tsv', line 2: 2 finite float32 expected"),
        (b"1\t2\n3\tx\n", b"a\nb\n", r"vectors.tsv', line 2: 2 finite float32 expected, got b'3\\tx'"),
        (b"1\t2\n3\tNaN\n", b"a\nb\n", r"vectors.tsv', line 2: 2 finite float32"),
        (b"1\t2\n3\t4\n", b"a\na\n", r"metadata.tsv', line 2: the token 'a' is at line 1 too"),
        (b"1\t2\n3\t4\n", b"a\n\xff\n", r"metadata.tsv', line 2: 'utf-8' codec"),
        (b"1\t2\n3\t4\n", b"a\n", r"vectors.tsv': matrix must have the shape \(1, D\)"),
        (b"1\t2\n3\t4\n", b"token\tcount\na\t1\nb\n", r"metadata.tsv', line 3: 2 fields expected, got 1"),
        (b"1\t2\n3\t4\n", b"token\tcount\na\t1\nb\t-1\n", r"metadata.tsv', line 3: a count expected, got b'-1'"),
        (b"1\t2\n3\t4\n", b"token\tcount\na\t1\nb\t9223372036854775808\n", r"metadata.tsv', line 3: a count"),
    ],
)
def test_the_place_of_a_fault_in_a_pair_is_named(tmp_path, vectors, metadata, message):
    (tmp_path / "vectors.tsv").write_bytes(vectors)
    (tmp_path / "metadata.tsv").write_bytes(metadata)
    with pytest.raises(ValueError, match=message):
        formats.load(tmp_path / "vectors.tsv")
