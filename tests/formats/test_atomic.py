"""Atomic writes: a failed write changes nothing, and a successful write keeps modes and links."""

import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.tensors import write_tensors


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere' does not exist"):
        write_tensors(tmp_path / "nowhere" / "a", {"a": np.zeros(1)})


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


# ---------------------------------------------------------------- two files that belong together


@pytest.fixture
def pairs():
    """Two models of the same size: their tokens and vectors tell to which one a file belongs."""
    return [
        Vectors([f"{name}{n}" for n in range(50)], np.full((50, 2), float(number)))
        for name, number in (("a", 1), ("b", 2))
    ]


def is_whole(vectors):
    return {token[0] for token in vectors.tokens} == {"a" if vectors.matrix[0, 0] == 1 else "b"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks and renames")
@pytest.mark.parametrize("suffix", [".npy", ".tsv"])
@pytest.mark.parametrize("rename", [0, 1, 2])
@pytest.mark.parametrize("early", [True, False])
def test_a_ctrl_c_between_two_renames_leaves_files_that_belong_together(
    tmp_path, monkeypatch, pairs, suffix, rename, early
):
    path, renames = tmp_path / f"v{suffix}", []
    pairs[0].save(path)
    replace = type(path).replace

    def interrupt(source, target):
        renames.append(target)
        if not early:
            replace(source, target)
        if len(renames) == rename + 1:
            raise KeyboardInterrupt
        return replace(source, target) if early else None

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pairs[1].save(path)
    assert Vectors.load(path).matrix[0, 0] == 2
    assert is_whole(Vectors.load(path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks and renames")
@pytest.mark.parametrize("suffix", [".npy", ".tsv"])
def test_a_killed_writer_never_leaves_files_of_two_models(tmp_path, pairs, suffix):
    """At any of its renames: the old pair, the new one, or one file without the other."""
    program = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from fastembed import Vectors
        replace, left = Path.replace, [int(sys.argv[2])]
        def kill(source, target):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return replace(source, target)
        Path.replace = kill
        Vectors([f"b{n}" for n in range(50)], np.full((50, 2), 2.0)).save(sys.argv[1])
    """
    for rename in range(4):
        folder = tmp_path / str(rename)
        folder.mkdir()
        path = folder / f"v{suffix}"
        pairs[0].save(path)
        subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(program), str(path), str(rename)], check=False)
        try:
            assert is_whole(Vectors.load(path))
        except FileNotFoundError:
            assert rename in (1, 2)


# ---------------------------------------------------------------- what killed writers leave

WRITER = """
    import os, signal, sys
    from fastembed.formats.atomic import replacing
    with replacing(sys.argv[1]) as temporary:
        temporary.write_text("half", encoding="utf-8")
        print(temporary.name, flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def writer(tmp_path):
    """Start a process that is in the middle of writing a file; return it and the name of its temporary file."""
    processes = []

    def start(name):
        command = [sys.executable, "-P", "-c", textwrap.dedent(WRITER), str(tmp_path / name)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
        processes.append(subprocess.Popen(command, **pipes))
        return processes[-1], processes[-1].stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["a", "a" * 250, "ä" * 110])
def test_what_a_killed_writer_leaves_is_removed_by_the_next_one_and_by_no_other(tmp_path, writer, name):
    process, temporary = writer(name)
    process.kill()
    process.wait()
    write_tensors(tmp_path / "b", {"a": np.zeros(1)})
    remove_leftovers(tmp_path / f"{name[:-1]}b")
    assert {file.name for file in tmp_path.iterdir()} == {"b", temporary}
    write_tensors(tmp_path / name, {"a": np.zeros(1)})
    assert {file.name for file in tmp_path.iterdir()} == {"b", name}


def test_the_temporary_file_of_a_living_writer_stays(tmp_path, writer):
    process, temporary = writer("a")
    remove_leftovers(tmp_path / "a")
    write_tensors(tmp_path / "a", {"a": np.zeros(1)})
    assert {file.name for file in tmp_path.iterdir()} == {"a", temporary}
    process.communicate("\n")
    assert process.returncode == 0
    assert (tmp_path / "a").read_text(encoding="utf-8") == "half"


def test_a_folder_that_is_not_writable_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path.resolve() and mode == os.W_OK))
    with pytest.raises(PermissionError, match="is not writable"):
        check_writable(tmp_path / "a")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks and renames")
@pytest.mark.parametrize("suffix", [".npy", ".tsv"])
@pytest.mark.parametrize("rename", [0, 1, 2])
def test_a_failed_rename_leaves_the_old_pair(tmp_path, monkeypatch, pairs, suffix, rename):
    path, renames = tmp_path / f"v{suffix}", []
    pairs[0].save(path)
    replace = type(path).replace

    def fail(source, target):
        renames.append(target)
        if len(renames) == rename + 1:
            raise OSError(5, "Input/output error", str(target))
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", fail)
        with pytest.raises(OSError, match="Input/output error"):
            pairs[1].save(path)
    assert Vectors.load(path).tokens == pairs[0].tokens
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks and renames")
@pytest.mark.parametrize("suffix", [".npy", ".tsv"])
def test_writers_and_readers_of_a_pair_at_once_see_files_that_belong_together(tmp_path, pairs, in_threads, suffix):
    path = tmp_path / f"v{suffix}"
    pairs[0].save(path)

    def write(vectors):
        for _ in range(60):
            vectors.save(path)

    def read():
        return [is_whole(Vectors.load(path)) for _ in range(60)]

    *_, first, second = in_threads(*[lambda own=own: write(own) for own in pairs], read, read)
    assert all(first)
    assert all(second)
    assert is_whole(Vectors.load(path))
