"""Atomic writes: what fails changes nothing, and what succeeds keeps modes and links."""

import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fastembed.formats.atomic import check_writable, replacing, replacing_all
from fastembed.formats.tensors import write_tensors


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere' does not exist"):
        write_tensors(tmp_path / "nowhere" / "a", {"a": np.zeros(1)})


def test_a_folder_that_is_not_writable_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path.resolve() and mode == os.W_OK))
    with pytest.raises(PermissionError, match="is not writable"):
        check_writable(tmp_path / "a")


def test_a_read_only_file_is_named_and_stays(tmp_path, monkeypatch):
    """It is named before anything is written. The mode of a real file would not stop an administrator."""
    path = tmp_path.resolve() / "a"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda asked, mode: not (asked == path and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"cannot write '.*a': it is read-only"):
        write_tensors(path, {"a": np.zeros(1)})
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_are_replaced(tmp_path):
    for other in (tmp_path, *([os.devnull] if os.name == "posix" else [])):  # on Windows it lies in no folder
        with pytest.raises(OSError, match="not a regular file"):
            write_tensors(other, {"a": np.zeros(1)})


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")

    def write_half():
        with replacing(path) as temporary:
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
    """As on Windows if it is mapped."""

    def fail(temporary, target):
        raise PermissionError(13, "Access is denied", str(temporary), 5, str(target))

    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(PermissionError, match=r"cannot be replaced: Access is denied; on Windows .*mapped") as caught:
        write_tensors(path, {"a": np.zeros(1)})
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
        from fastembed.formats.tensors import write_tensors
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_tensors(sys.argv[1], {"a": np.zeros(5000)})
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
    write_tensors(link, {"a": np.zeros(1)})
    assert link.is_symlink()
    mode = (tmp_path / "target").stat().st_mode
    assert stat.S_IMODE(mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX modes")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "private"
    path.touch(mode=0o600)
    write_tensors(path, {"a": np.zeros(1)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
