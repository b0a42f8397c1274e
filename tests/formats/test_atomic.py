"""Atomic writes: a failed write changes nothing, and a successful write keeps modes and links."""

import errno
import os
import stat
import sys

import numpy as np
import pytest

from fastembed.formats.atomic import check_writable, replacing
from fastembed.formats.tensors import write_tensors


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_tensors(tmp_path / "nowhere" / "a", {"a": np.zeros(1)})


def test_a_read_only_file_is_named_and_stays(tmp_path, monkeypatch):
    """It is named before anything is written. The mode of a real file would not stop an administrator."""
    path = tmp_path.resolve() / "a"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda asked, mode: not (asked == path and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"'.*a': .*read-only"):
        write_tensors(path, {"a": np.zeros(1)})
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_are_replaced(tmp_path):
    for other in (tmp_path, *([os.devnull] if os.name == "posix" else [])):  # on Windows it lies in no folder
        with pytest.raises(OSError, match="not a regular file"):
            write_tensors(other, {"a": np.zeros(1)})


def test_a_failed_or_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    """At the rename, as on Windows if the file is mapped, or before it."""
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    for place, error in (("replace", PermissionError(13, "Access is denied")), ("chmod", KeyboardInterrupt())):

        def fail(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(type(path), place, fail)
            with pytest.raises(type(error)):
                write_tensors(path, {"a": np.zeros(1)})
        assert path.read_text(encoding="utf-8") == "old"
        assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path):
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match=r"No space left.*'.*a'"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


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
    with replacing(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_writable_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path.resolve() and mode == os.W_OK))
    with pytest.raises(PermissionError, match="is not writable"):
        check_writable(tmp_path / "a")


@pytest.mark.thread_unsafe(reason="a process has one working directory")
@pytest.mark.skipif(sys.platform == "win32", reason="keeps the working directory")
def test_a_working_directory_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError, match="cannot write 'a': the working directory does not exist"):
        check_writable("a")
