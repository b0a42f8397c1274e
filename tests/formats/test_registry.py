"""Files of tensors come back bit for bit; what fails to be written changes nothing; junk is named as junk."""

import json
import os
import re
import stat
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fastembed import formats
from fastembed.formats.atomic import replacing_all

TOKENS = ["the", "größe", "日本", "", "two words", "tab\there", "new\nline", "\x00", "😀"]


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
    formats.write_tensors(tmp_path / "a.safetensors", tensors, {"unit": "größe"})
    found, metadata = formats.map_tensors(tmp_path / "a.safetensors")
    assert metadata == {"unit": "größe"}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], tensor)


def test_no_metadata_is_an_empty_dictionary(tmp_path):
    formats.write_tensors(tmp_path / "a", {"a": np.zeros(1)})
    assert formats.map_tensors(tmp_path / "a")[1] == {}


@pytest.mark.parametrize(
    "tensor", [np.array(["text"]), np.zeros(2, complex), np.zeros(2, np.longdouble), np.array([None]), [1.0], 3]
)
def test_other_dtypes_are_refused_before_anything_is_written(tmp_path, tensor):
    if isinstance(tensor, np.ndarray) and tensor.dtype == np.float64:
        pytest.skip("long double is float64 on this platform")
    with pytest.raises(TypeError, match="tensor 'odd' must be an array of bools, integers or floats"):
        formats.write_tensors(tmp_path / "a", {"odd": tensor})
    assert not list(tmp_path.iterdir())


def test_metadata_must_be_text(tmp_path):
    with pytest.raises(TypeError, match="'dim': 100"):
        formats.write_tensors(tmp_path / "a", {}, {"dim": 100})


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere' does not exist"):
        formats.write_tensors(tmp_path / "nowhere" / "a", {"a": np.zeros(1)})


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path.resolve() and mode == os.W_OK))
    with pytest.raises(PermissionError, match="may not be written to"):
        formats.writable(tmp_path / "a")


def test_a_read_only_file_is_named_and_stays(tmp_path, monkeypatch):
    """Before anything is written; the administrator may write to it all the same, so its mode shows nothing here."""
    path = tmp_path.resolve() / "a"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda asked, mode: not (asked == path and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"cannot write '.*a': it is read-only"):
        formats.write_tensors(path, {"a": np.zeros(1)})
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_are_replaced(tmp_path):
    for other in (tmp_path, *([os.devnull] if os.name == "posix" else [])):  # on Windows it lies in no folder
        with pytest.raises(OSError, match="not a regular file"):
            formats.write_tensors(other, {"a": np.zeros(1)})


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")

    def write_half():
        with formats.replacing(path) as temporary:
            temporary.write_text("half of the n", encoding="utf-8")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_replaced_together_or_not_at_all(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old", encoding="utf-8")

    def write_one():
        with replacing_all(paths) as (first, _):
            first.write_text("new", encoding="utf-8")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_one()
    assert [path.read_text(encoding="utf-8") for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == paths
    with replacing_all(paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new", encoding="utf-8")
    assert [path.read_text(encoding="utf-8") for path in paths] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_file_that_cannot_be_replaced_is_named_and_stays(tmp_path, monkeypatch):
    """As one that is mapped cannot on Windows."""

    def refuse(temporary, target):
        raise PermissionError(13, "Access is denied", str(temporary), 5, str(target))

    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(type(path), "replace", refuse)
    with pytest.raises(PermissionError, match=r"cannot be replaced: Access is denied; on Windows .*mapped") as caught:
        formats.write_tensors(path, {"a": np.zeros(1)})
    assert caught.value.filename == str(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits on the size of files")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    program = """
        import resource, signal, sys
        import numpy as np
        from fastembed import formats
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            formats.write_tensors(sys.argv[1], {"a": np.zeros(5000)})
        except OSError as error:
            print(error)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert "File too large" in done.stdout
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX modes and links")
def test_files_get_the_usual_mode_and_links_are_followed(tmp_path):
    (tmp_path / "plain").touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    formats.write_tensors(link, {"a": np.zeros(1)})
    assert link.is_symlink()
    mode = (tmp_path / "target").stat().st_mode
    assert stat.S_IMODE(mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX modes")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "private"
    path.touch(mode=0o600)
    formats.write_tensors(path, {"a": np.zeros(1)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_equal_contents_are_equal_files(tmp_path):
    every_character = "".join(map(chr, range(0x300))) + "\u2028\U0001f600"
    metadata = {f"field {i}": every_character for i in range(20)}
    tensors = {name: np.arange(3) for name in "bca"}
    written = set()
    for _ in range(3):
        formats.write_tensors(tmp_path / "v", tensors, metadata)
        written.add((tmp_path / "v").read_bytes())
    assert len(written) == 1
    found, fields = formats.map_tensors(tmp_path / "v")
    assert fields == metadata
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


def test_every_truncation_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "cut.safetensors"
    formats.write_tensors(path, {"a": np.arange(5.0), **formats.pack_tokens(["x", "y"])}, formats.header("vectors"))
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.safetensors' is not a whole safetensors file"):
            formats.map_tensors(path)


@pytest.mark.parametrize(
    "junk", [b"junk" * 100, b"\x00" * 64, b"PK\x03\x04" + bytes(100), b"\x80\x04\x95" + bytes(100)]
)
def test_junk_is_an_error_that_names_the_file(tmp_path, junk):
    path = tmp_path / "junk.bin"
    path.write_bytes(junk)
    with pytest.raises(ValueError, match=r"junk\.bin' is not a whole safetensors file"):
        formats.map_tensors(path)


@pytest.mark.parametrize(("dtype", "size"), [("F8_E4M3", 1), ("BF16", 2)])
def test_dtypes_numpy_lacks_are_an_error_that_names_the_tensor(tmp_path, dtype, size):
    head = json.dumps({"a": {"dtype": dtype, "shape": [4 // size], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "v.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"1234")
    with pytest.raises(ValueError, match=rf"v\.safetensors': 'a' is of {dtype}, NumPy has dtypes for BOOL, F16, F32, "):
        formats.map_tensors(path)


def test_missing_file_and_folder_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        formats.map_tensors(tmp_path / "absent")
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        formats.map_tensors(tmp_path)


def test_tokens_come_back_whatever_they_hold(tmp_path):
    formats.write_tensors(tmp_path / "a", formats.pack_tokens(TOKENS))
    assert formats.unpack_tokens(formats.map_tensors(tmp_path / "a")[0], "a") == TOKENS
    assert formats.unpack_tokens(formats.pack_tokens([]), "a") == []


def test_a_lone_surrogate_is_named():
    with pytest.raises(ValueError, match=r"'\\udc80' has no UTF-8 form"):
        formats.pack_tokens(["fine", "\udc80"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens.utf8": None}, "no tensor 'tokens.utf8'"),
        ({"tokens.offsets": None}, "no tensor 'tokens.offsets'"),
        ({"tokens.offsets": np.array([0.0, 2.0])}, "must be a row of int64, got float64"),
        ({"tokens.offsets": np.array([[0, 2]])}, r"got int64 of shape \(1, 2\)"),
        ({"tokens.offsets": np.array([], dtype=np.int64)}, "must rise from 0 to the 2 bytes"),
        ({"tokens.offsets": np.array([0, 3])}, "must rise from 0 to the 2 bytes"),
        ({"tokens.offsets": np.array([1, 2])}, "must rise from 0 to the 2 bytes"),
        ({"tokens.offsets": np.array([0, 2, 1, 2])}, "must rise from 0 to the 2 bytes"),
        ({"tokens.utf8": np.array([255, 255], dtype=np.uint8)}, "not UTF-8"),
        ({"tokens.utf8": np.array([1, 2], dtype=np.int8)}, "must be a row of uint8"),
    ],
)
def test_token_tensors_that_do_not_fit_are_refused(change, message):
    tensors = formats.pack_tokens(["a", "b"]) | change
    with pytest.raises(ValueError, match=f"'some file'.*{message}"):
        formats.unpack_tokens({name: tensor for name, tensor in tensors.items() if tensor is not None}, "some file")


def test_header_round_trip_and_refusals():
    settings = {"dim": 100, "sample": 3e-4, "note": "größe", "max_contexts": None}
    assert formats.check_header(formats.header("vectors", settings), "vectors", "f") == settings
    with pytest.raises(ValueError, match=r"'f' holds the format 'fastembed.counts'; 'fastembed.vectors' was expected"):
        formats.check_header(formats.header("counts"), "vectors", "f")
    with pytest.raises(ValueError, match="holds no format of fastembed"):
        formats.check_header({}, "vectors", "f")
    with pytest.raises(ValueError, match="version '2'"):
        formats.check_header(formats.header("vectors") | {"version": "2"}, "vectors", "f")
    for text in ("{", "[1]", "[" * 99_999):
        with pytest.raises(ValueError, match="settings"):
            formats.check_header(formats.header("vectors") | {"settings": text}, "vectors", "f")
    with pytest.raises(ValueError, match="JSON compliant"):
        formats.header("vectors", {"rate": float("nan")})
    with pytest.raises(TypeError, match="JSON serializable"):
        formats.header("vectors", {"rate": object()})
