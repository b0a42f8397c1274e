"""Files of tensors come back bit for bit; damaged ones are named."""

import json
import os
import struct
import sys

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.formats.tensors import check_header, header, load_tensors, map_tensors, write_tensors


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool", ">f4", ">i8"])
def test_tensors_come_back_bit_for_bit(tmp_path, dtype):
    values = np.arange(24).reshape(4, 6).astype(dtype)
    tensors = {
        "c": values,
        "fortran": values.T,
        "strided": values[::2, ::3],
        "empty": values[:0],
        "scalar": values[1, 1:2],
    }
    write_tensors(tmp_path / "a.safetensors", tensors, {"unit": "größe"})
    found, metadata = map_tensors(tmp_path / "a.safetensors")
    assert metadata == {"unit": "größe"}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], tensor)


def test_the_library_of_the_format_reads_and_writes_the_same_files(tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="needs the library safetensors")
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype=np.uint8), "c": np.empty((0, 4), np.float32)}
    write_tensors(tmp_path / "ours", tensors, {"unit": "m"})
    library.save_file(tensors, tmp_path / "theirs", {"unit": "m"})
    theirs, (ours, fields) = library.load_file(tmp_path / "ours"), map_tensors(tmp_path / "theirs")
    assert fields == {"unit": "m"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(theirs[name], tensor, strict=True)
        np.testing.assert_array_equal(ours[name], tensor, strict=True)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        {"__metadata__": {"a": 1}},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": {"dtype": "F32", "shape": [2, -1], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**60]}},
        {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"},
    ],
    ids=repr,
)
def test_a_header_that_does_not_fit_the_bytes_is_rejected(tmp_path, entries):
    head = json.dumps(entries).encode()
    (tmp_path / "v").write_bytes(struct.pack("<Q", len(head)) + head + bytes(8))
    with pytest.raises(ValueError, match="v' is not a whole safetensors file"):
        map_tensors(tmp_path / "v")
    with pytest.raises(ValueError, match="'v' is not a whole safetensors file"):
        load_tensors((tmp_path / "v").read_bytes(), "v")


def test_a_text_is_no_tensors_and_a_cut_header_is_named():
    with pytest.raises(
        ValueError, match=r"'v' is not a whole safetensors file: it has another format; Vectors\.load reads several$"
    ):
        load_tensors(b"hello world hello again", "v")
    with pytest.raises(ValueError, match=r"it has 9 bytes, but its header promises 99$"):
        load_tensors(struct.pack("<Q", 99) + b"{", "v")


@pytest.mark.parametrize(("dtype", "size"), [("F8_E4M3", 1), ("BF16", 2)])
def test_dtypes_numpy_lacks_are_an_error_that_names_the_tensor(tmp_path, dtype, size):
    head = json.dumps({"a": {"dtype": dtype, "shape": [4 // size], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "v.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"1234")
    with pytest.raises(ValueError, match=rf"v\.safetensors'.* 'a' is of {dtype}"):
        map_tensors(path)


def test_a_header_comes_back_and_others_are_rejected():
    settings = {"dim": 100, "sample": 3e-4, "note": "größe", "max_contexts": None}
    good = header("vectors", settings)
    assert check_header(good, "vectors", "f") == settings
    wrong = [({}, "no format"), (header("counts"), "'f' holds counts, and no"), (good | {"version": "2"}, "'2'")]
    for fields, message in wrong:
        with pytest.raises(ValueError, match=message):
            check_header(fields, "vectors", "f")
    with pytest.raises(ValueError, match="JSON compliant"):
        header("vectors", {"rate": float("nan")})
    with pytest.raises(TypeError, match="JSON serializable"):
        header("vectors", {"rate": object()})


def test_safetensors_are_mapped(tmp_path):
    Vectors(["a"], np.ones((1, 3))).save(tmp_path / "v")
    bases = [Vectors.load(tmp_path / "v").matrix]
    while bases[-1] is not None:
        bases.append(getattr(bases[-1], "base", None))
    assert any(isinstance(base, np.memmap) for base in bases)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_many_tensors_take_one_mapping(tmp_path):
    import resource

    path, before = tmp_path / "many", resource.getrlimit(resource.RLIMIT_NOFILE)
    write_tensors(path, {str(k): np.arange(k, k + 2) for k in range(300)})
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(200, before[0]), before[1]))
    try:
        tensors, _ = map_tensors(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(tensors[str(k)].tolist() == [k, k + 1] for k in range(300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.vec", "pipe.bin", "pipe.safetensors"])
def test_a_pipe_is_refused_instead_of_waited_for(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="is a pipe"):
        Vectors.load(tmp_path / name)
