"""Compressed files."""

import gzip

import pytest

from fastembed import formats


def test_gzip_data_of_several_members_are_read(tmp_path):
    (tmp_path / "v.vec.gz").write_bytes(gzip.compress(b"1 1\none 1") + gzip.compress(b"5\n"))
    assert formats.load(tmp_path / "v.vec.gz").matrix[0, 0] == 15


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"1 1\none 1\n", mtime=0)[:-9], "not whole gzip data: Compressed file ended"),
        (gzip.compress(b"1 1\none 1\n", mtime=0)[:-8] + bytes(8), "not whole gzip data: CRC check failed"),
        (b"1 1\none 1\n", "not whole gzip data: Not a gzipped file"),
        (gzip.compress(b"1 1\none x\n", mtime=0), "line 2: 1 finite float32 expected"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, content, message):
    (tmp_path / "v.vec.gz").write_bytes(content)
    with pytest.raises(ValueError, match=rf"v\.vec\.gz'.*{message}"):
        formats.load(tmp_path / "v.vec.gz")
