"""Damaged and hostile files, of every format, give a ValueError with the place: no crash, no giant allocation."""

import gzip
import io
import json
import pickle
import re
import struct
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed import formats

EXTRAS = {"parquet": "pyarrow", "arrow": "pyarrow"}
PATHS = [
    f"v{suffix}{packed}"
    for form in formats.FORMATS.values()
    for suffix in form.suffixes[:1]
    for packed in (["", ".gz"] if form.gzip else [""])
]


def need(path):
    """Skip without the format's library. pytest.importorskip sets filters of warnings, and so needs a single thread."""
    library = EXTRAS.get(formats.format_of(path).name)
    if library and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def load_or_refuse(path):
    """Load a file, or return None after checking that the ValueError names it."""
    try:
        return formats.load(path)
    except ValueError as error:
        message = str(error)
    assert re.search(r"v(\.[a-z]+)+'", message), message
    return None


def good_files(folder, path):
    """Save vectors and return the files that this makes."""
    tokens = ["the", "größe", "日本", "3", "e"]
    matrix = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    formats.save(tokens, matrix, folder / path, counts=np.array([9, 7, 5, 3, 1]))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("path", PATHS)
def test_every_truncation_is_refused_or_whole(tmp_path, path):
    need(path)
    for file in good_files(tmp_path, path):
        whole = file.read_bytes()
        for size in range(0, len(whole), 1 + len(whole) // 150):
            file.write_bytes(whole[:size])
            found = load_or_refuse(tmp_path / path)
            # Nothing tells that the last number, count or token of a text was cut, or a line of GloVe's after the last
            if found is not None:
                assert path in ("v.txt", "v.vec", "v.bin", "v.glove", "v.tsv", "v.npy")
                assert path == "v.glove" or len(found.tokens) == 5
        file.write_bytes(whole)
    assert len(formats.load(tmp_path / path).tokens) == 5


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\n",
        b"\x00" * 64,
        b"junk" * 100,
        b"PK\x03\x04" + bytes(100),
        pickle.dumps({"a": np.eye(2)}),
        gzip.compress(b"junk"),
        b"\xff" * 100,
        b" " * 100,
        "‮".encode() * 10,
    ],
)
def test_junk_is_refused(tmp_path, path, junk):
    need(path)
    for file in good_files(tmp_path, path):
        whole = file.read_bytes()
        file.write_bytes(junk)
        with pytest.raises(ValueError, match=r"v(\.[a-z]+)+'"):
            formats.load(tmp_path / path)
        file.write_bytes(whole)


@pytest.mark.parametrize("path", PATHS)
def test_missing_files_and_folders_are_os_errors(tmp_path, path):
    need(path)
    files = good_files(tmp_path, path)
    for file in files:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(FileNotFoundError, match=re.escape(file.name)):
            formats.load(tmp_path / path)
        file.mkdir()
        with pytest.raises(OSError, match=re.escape(file.name)):
            formats.load(tmp_path / path)
        file.rmdir()
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("v.txt", b"one 1 2\n", r"line 1: word2vec's files begin with a line 'V D', got b'one 1 2'; .*'glove'"),
        ("v.txt", b"-1 2\n", "line 1: word2vec's files begin with a line 'V D', got b'-1 2'"),
        ("v.txt", b"2 0\na\nb\n", "line 1: it promises 2 vectors of 0"),
        ("v.txt", b"0 2\n", "line 1: it promises 0 vectors of 2"),
        ("v.txt", b"9999999999 300\none 1\n", "line 2: a token and 300 numbers expected, got 2 fields"),
        ("v.txt", b"1 999999999999\none 1\n", "line 2: a token and 999999999999 numbers expected, got 2 fields"),
        ("v.txt", b"9" * 30 + b" 1\none 1\n", "line 1: word2vec's files begin"),
        ("v.txt", b"999999999999999999 1\none 1\n", "ends after 1 of the 999999999999999999 vectors"),
        ("v.txt", b"2 2\none 1 2\ntwo 2\n", "line 3: a token and 2 numbers expected, got 2 fields"),
        ("v.txt", b"2 2\none 1 2 3\ntwo 1 2\n", "line 2: a token and 2 numbers expected, got 4 fields"),
        ("v.txt", b"2 2\none 1  2\ntwo 1 2\n", "line 2: a token and 2 numbers expected, got 4 fields"),
        ("v.txt", b"2 2\n 1 2\ntwo 1 2\n", "line 2: a token and 2 numbers expected, got 3 fields"),
        ("v.txt", b"2 2\none 1 2\n\ntwo 1 2\n", "line 3: a token and 2 numbers expected, got 1 fields"),
        ("v.txt", b"1 1\none \t\n", "line 2: 1 finite float32 expected"),
        ("v.txt", b"2 2\none 1 2\ntwo 1 two\n", "line 3: 2 finite float32 expected, got b'1 two'"),
        ("v.txt", b"2 2\none 1 2\ntwo 1 1_0\n", "line 3: 2 finite float32 expected, got b'1 1_0'"),
        ("v.txt", b"2 2\none 1 2\ntwo 1 nan\n", "line 3: 2 finite float32 expected, got b'1 nan'"),
        ("v.txt", b"2 2\none 1 2\ntwo -inf 1\n", "line 3: 2 finite float32 expected, got b'-inf 1'"),
        ("v.txt", b"2 2\none 1 2\ntwo 1 1e39\n", "line 3: 2 finite float32 expected, got b'1 1e39'"),
        ("v.txt", b"2 2\none 1 2\ntwo 1\r 1\n", "line 3: 2 finite float32 expected"),
        ("v.txt", b"1 2\n\xff\xfe 1 2\n", "line 2: 'utf-8' codec can't decode"),
        ("v.txt", b"1 2\n\xed\xa0\x80 1 2\n", "line 2: 'utf-8' codec can't decode"),
        ("v.txt", b"3 2\none 1 2\ntwo 1 2\none 3 4\n", "line 4: the token 'one' is at line 2 too"),
        ("v.txt", b"1 2\none 1 2\n\ntwo 1 2\n", "line 4: it goes on after the 1 vectors it promises"),
        ("v.txt", "\ufeff1 2\none 1 2\n".encode(), "line 1: word2vec's files begin with a line 'V D'"),
        ("v.txt", b"1 2\n" + b"a" * (1 << 24) + b" 1 2\n", "line 2: it has more than 16,777,216 bytes"),
        ("v.glove", b"2 3\none 1 2 3\n", r"line 1: a token and at least two numbers .* got b'2 3'; .*'word2vec'"),
        ("v.glove", b"one 1 2\n. . 1 2\n", "line 2: a token and 2 numbers expected, got 4 fields"),
        ("v.glove", b"one 1 2\none 1 2\n", "line 2: the token 'one' is at line 1 too"),
        ("v.glove", b"one 1 2\n\n", "line 2: a token and 2 numbers expected"),
        ("v.bin", b"9999999999 300\none 1\n", "byte 15, vector 1 of 9999999999: the file ends inside it"),
        ("v.bin", b"1 999999999999\none 1\n", "line 1: 999999999999 numbers a vector promised, at most 4194304"),
        ("v.bin", b"1 1\n\xff\xfe 1234\n", "byte 4, vector 1 of 1: 'utf-8' codec can't decode"),
        ("v.bin", b"1 1\n 1234\n", "byte 4, vector 1 of 1: its token is empty"),
        ("v.bin", b"2 1\nlong_name 1234\ntwo 12", "byte 18, vector 2 of 2: the file ends inside it"),
        ("v.bin", b"2 1\nlong_name_of_the_first 1234\n", "byte 31, vector 2 of 2: the file ends inside it"),
        ("v.bin", b"1 1\none 1234\ntwo 1234\n", "byte 12: it goes on after the 1 vectors promised"),
        ("v.bin", b"2 1\none 1234\none 1234\n", "byte 12, vector 2 of 2: the token 'one' is at byte 4 too"),
        ("v.bin", b"2 1\none 1234\ntwo \x00\x00\xc0\x7f\n", "byte 12: the vector of 'two' is not finite"),
        ("v.bin", b"1 1\n" + b"a" * (20 << 20), "byte 4: no token ends within 16,777,216 bytes"),
        ("v.vec.gz", gzip.compress(b"1 1\none 1\n")[:-9], "not whole gzip data .*: Compressed file ended"),
        ("v.vec.gz", gzip.compress(b"1 1\none 1\n")[:-8] + bytes(8), "not whole gzip data .*: CRC check failed"),
        ("v.vec.gz", b"1 1\none 1\n", "not whole gzip data .*: Not a gzipped file"),
        ("v.vec.gz", gzip.compress(b"1 1\none x\n"), "line 2: 1 finite float32 expected"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, path, content, message):
    (tmp_path / path).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(path)}'.*{message}"):
        formats.load(tmp_path / path)


def test_a_fault_beyond_the_first_batch_is_found(tmp_path):
    lines = [b"t%d 0.5 %d\n" % (i, i) for i in range(300_000)]
    lines[234_567] = b"bad 0.5 1.2.3\n"
    (tmp_path / "v.glove").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 234568: 2 finite float32 expected, got b'0.5 1.2.3'"):
        formats.load(tmp_path / "v.glove")


def test_the_line_of_a_token_beside_an_array_is_named(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    for content, message in (
        (b"a\nb\na\n", "line 3: the token 'a' is at line 1 too"),
        (b"a\n\xff\n", "line 2: 'utf-8'"),
    ):
        (tmp_path / "v.tokens.txt").write_bytes(content)
        with pytest.raises(ValueError, match=rf"v\.tokens\.txt', {message}"):
            formats.load(tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("vectors", "metadata", "message"),
    [
        (b"1\t2\n3\n", b"a\nb\n", r"vectors.tsv', line 2: 2 numbers expected, got 1"),
        (b"1\t2\n\n3\t4\n", b"a\nb\n", r"vectors.tsv', line 2: 2 numbers expected"),
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


def npy(header):
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 300)}"), "not a whole .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -2)}"), "v.npy'"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}"), "v.npy'"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}"), r"must have the shape \(2, D\)"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1)}"), "not a whole .npy file"),
        (npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2)}"), "float32 or float64, got int32"),
        (npy("(" * 5000), "not a whole .npy file"),
        (npy("__import__('os')"), "not a whole .npy file"),
    ],
)
def test_hostile_npy_headers(tmp_path, array, message):
    (tmp_path / "v.npy").write_bytes(array)
    (tmp_path / "v.tokens.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        formats.load(tmp_path / "v.npy")


def test_pickles_are_never_loaded(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([[print, None]]), allow_pickle=True)
    (tmp_path / "v.npy").write_bytes(file.getvalue())
    (tmp_path / "v.tokens.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not a whole \.npy file"):
        formats.load(tmp_path / "v.npy")


def safetensors(entries):
    head = json.dumps(entries).encode()
    return struct.pack("<Q", len(head)) + head + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**62),
        safetensors({"matrix": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 64]}}),
        safetensors({"matrix": {"dtype": "F32", "shape": [-2, -8], "data_offsets": [0, 64]}}),
        safetensors({"matrix": {"dtype": "F32", "shape": [2, 8], "data_offsets": [0, 2**60]}}),
    ],
)
def test_hostile_safetensors_headers(tmp_path, content):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(ValueError, match="v' is not a whole safetensors file"):
        formats.load(tmp_path / "v")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"token": ["a"]}, r"must have the columns 'token' and 'vector', got \['token'\]"),
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
def test_tables_that_hold_something_else_are_refused(tmp_path, path, columns, message):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import feather, parquet

    (parquet.write_table if path == "v.parquet" else feather.write_feather)(pyarrow.table(columns), tmp_path / path)
    with pytest.raises(ValueError, match=rf"{re.escape(path)}'.*{message}"):
        formats.load(tmp_path / path)


def test_a_changed_byte_of_a_vector_in_parquet_is_refused(tmp_path):
    need("v.parquet")
    (file,) = good_files(tmp_path, "v.parquet")
    data = bytearray(file.read_bytes())
    vector = formats.load(file).matrix[2].tobytes()
    data[data.index(vector)] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"v\.parquet' is not a whole file .*CRC"):
        formats.load(file)


# A change of some bytes: flips, cuts, repeats, and numbers that are too large or negative
PIECES = st.sampled_from(
    [b"\x00", b"\xff" * 4, b"-1", b"99999999999", b" ", b"\n", b"\t", b"nan", b"1e999", b"\xf0\x9f"]
)
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.binary(max_size=8), PIECES)), min_size=1, max_size=4
)


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # of a header that looks like Python 2's
@pytest.mark.parametrize("path", PATHS)
def test_mutated_files_load_whole_or_are_refused(tmp_path_factory, path):
    need(path)
    folder = tmp_path_factory.mktemp("mutated")
    whole = {file: file.read_bytes() for file in good_files(folder, path)}

    @settings(max_examples=300, database=None)
    @given(st.sampled_from(sorted(whole)), EDITS)
    def mutate(file, edits):
        data = whole[file]
        for place, cut, put in edits:
            at = int(place * len(data))
            data = data[:at] + put + data[at + cut :]
        for other, content in whole.items():
            other.write_bytes(data if other == file else content)
        found = load_or_refuse(folder / path)
        if found is not None:
            assert found.matrix.dtype in (np.float32, np.float64)
            assert found.matrix.shape[0] == len(found.tokens) == len(set(found.tokens)) > 0
            assert np.isfinite(found.matrix).all()
            assert found.counts is None or (found.counts.shape == (len(found.tokens),) and found.counts.min() >= 0)

    mutate()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space")
def test_promises_allocate_nothing(tmp_path):
    """Load files that promise terabytes with little address space to spare."""
    record = b"one " + bytes(4)
    bomb = b"x" * (300 << 20)
    (tmp_path / "a.bin").write_bytes(b"999999999999 1000\n" + record)
    (tmp_path / "a.bin.gz").write_bytes(gzip.compress(b"999999999999 1000\n" + record))
    (tmp_path / "a.glove.gz").write_bytes(gzip.compress(bomb, 1))
    (tmp_path / "b.bin.gz").write_bytes(gzip.compress(b"1 1\n" + bomb, 1))
    (tmp_path / "a.npy").write_bytes(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 300)}"))
    (tmp_path / "a.tokens.txt").write_text("a\n", encoding="utf-8")
    (tmp_path / "a.safetensors").write_bytes(
        safetensors({"matrix": {"dtype": "F32", "shape": [2**30, 300], "data_offsets": [0, 1200 * 2**30]}})
    )
    program = """
        import resource, sys
        from pathlib import Path
        from fastembed import formats
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
        for path in sys.argv[1:]:
            try:
                formats.load(path)
            except ValueError as error:
                print(error)
    """
    names = ["a.bin", "a.bin.gz", "a.glove.gz", "b.bin.gz", "a.npy", "a.safetensors"]
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), *(str(tmp_path / name) for name in names)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    assert all(name in line for name, line in zip(names, done.stdout.splitlines(), strict=True))


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits on the size of files")
@pytest.mark.parametrize("path", PATHS)
def test_a_full_disk_leaves_the_old_files_and_nothing_else(tmp_path, path):
    need(path)
    old = {file: file.read_bytes() for file in good_files(tmp_path, path)}
    program = """
        import resource, signal, sys
        import numpy as np
        from fastembed import formats
        tokens = [f"t{i}" for i in range(3000)]
        matrix = np.random.default_rng(0).normal(size=(3000, 8))
        formats.format_of(sys.argv[1]).read  # what is imported late
        try:
            import pyarrow.parquet
        except ImportError:
            pass
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for limit in (10, 5000, 20000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
            try:
                formats.save(tokens, matrix, sys.argv[1])
            except OSError as error:
                print(error)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), str(tmp_path / path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    assert [path in line and "File too large" in line for line in done.stdout.splitlines()] == [True] * 3
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == old
