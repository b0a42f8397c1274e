"""Rows of text, which are parsed in batches."""

import pytest

from fastembed import formats


def test_a_fault_beyond_the_first_batch_is_found(tmp_path, sizes):
    sizes.parsed_numbers = 1000
    lines = [b"t%d 0.5 %d\n" % (i, i) for i in range(5000)]
    lines[3456] = b"bad 0.5 1.2.3\n"
    (tmp_path / "v.glove").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 3457: 2 finite float32 expected, got b'0.5 1.2.3'"):
        formats.load(tmp_path / "v.glove")


def test_batches_are_joined(tmp_path, sizes, numbers, assert_same_bits):
    sizes.parsed_numbers = 1000
    matrix = numbers(1000)
    for name in ("v.txt", "v.tsv"):
        formats.save([f"t{i}" for i in range(1000)], matrix, tmp_path / name)
        assert_same_bits(formats.load(tmp_path / name).matrix, matrix)
