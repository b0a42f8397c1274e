"""The command line as a whole: exit codes, one line per error, pipes, Ctrl-C, invisible characters, progress."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes and signals")
COMMAND = [sys.executable, "-P", "-m", "fastembed"]
HOSTILE = "red\x1b[31m\x07", "left\u202eright", "two\nlines\x9b2J"


@pytest.mark.parametrize("command", ["train", "count", "neighbors", "evaluate", "export", "plot", "info"])
def test_a_missing_file_is_named_in_one_line(run, tmp_path, command):
    more = {
        "train": ["-o", tmp_path / "o"],
        "count": ["-o", tmp_path / "o"],
        "neighbors": ["king"],
        "evaluate": ["--similarity", tmp_path / "absent"],
        "export": [tmp_path / "o.vec"],
        "plot": ["-o", tmp_path / "o.png", "--history"],
        "info": [],
    }[command]
    code, out, err = run(command, tmp_path / "absent.txt", *more)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*absent\.txt.*\n", err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "phrases", "export", "plot"])
def test_a_missing_output_folder_is_found_before_anything_is_read(run, tmp_path, command):
    output = tmp_path / "nowhere" / "v"
    code, out, err = run(command, tmp_path / "absent", *([] if command == "export" else ["-o"]), output)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*nowhere' does not exist\n", err)


def test_an_unknown_word_is_named_in_one_line_and_debug_shows_the_traceback(run, saved):
    code, out, err = run("analogy", saved, "king", "quen", "man")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: 'quen' .*\n", err)
    assert "Traceback (most recent call last)" in run("analogy", saved, "king", "quen", "man", "--debug")[2]


@pytest.fixture
def stdout_to(monkeypatch):
    """Let stdout be a file; closing it at the end must not fail, since Python would print that error."""
    streams = []

    def redirect(file, **options):
        streams.append(open(file, "w", **options))  # noqa: PTH123, SIM115
        monkeypatch.setattr(sys, "stdout", streams[-1])

    yield redirect
    for stream in streams:
        stream.close()


@posix
def test_a_closed_pipe_ends_the_process_silently():
    """Python itself would report it once more at exit."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 - a descriptor
        done = subprocess.run([*COMMAND, "info"], stdout=closed, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (1, "")


@posix
def test_training_goes_on_after_the_pipe_of_its_lines_is_closed(tmp_path):
    """A pipe that closes early ends with code 1, and with the model saved: it has more lines than a pipe holds."""
    text, model = tmp_path / "text", tmp_path / "model.safetensors"
    text.write_text("a b c\n" * 9, encoding="utf-8")
    options = ["--min-count", "1", "--dim", "2", "--epochs", "1500"]
    command = [*COMMAND, "train", str(text), "-o", str(model), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert len(SkipGram.load(model).history) == 1500


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_one_line(run, saved, stdout_to):
    stdout_to("/dev/full", encoding="utf-8")
    code, out, err = run("neighbors", saved, "king")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*No space left on device\n", err)


def test_words_that_the_encoding_of_stdout_lacks_are_escaped(run, tmp_path, stdout_to):
    path = tmp_path / "v.safetensors"
    Vectors(["a", "日本"], np.eye(2)).save(path)
    stdout_to(tmp_path / "lines", encoding="latin-1")
    assert run("neighbors", path, "a") == (0, "", "")
    assert r"\u65e5\u672c" in (tmp_path / "lines").read_text(encoding="latin-1")
    stdout_to(tmp_path / "document", encoding="latin-1")
    assert run("neighbors", path, "a", "--json") == (0, "", "")
    found = json.loads((tmp_path / "document").read_text(encoding="latin-1"))
    assert found["queries"][0]["neighbors"][0]["word"] == "日本"


@posix
def test_ctrl_c_while_reading_is_one_line(tmp_path):
    command = [*COMMAND, "train", "-", "-o", str(tmp_path / "v"), "--min-count", "1"]
    script = "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += f"os.execv({sys.executable!r}, {command!r})"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"some words\n" * (1 << 16))  # more than a pipe holds: it is reading
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (130, b"")
    assert re.fullmatch(rb"fastembed: interrupted.*\n", err)
    assert not (tmp_path / "v").exists()


@pytest.fixture
def hostile(tmp_path):
    """Vectors with control sequences of terminals in their words, tensors and settings."""
    path = tmp_path / "hostile.safetensors"
    vectors = Vectors([*HOSTILE, "می\u200cشود"], np.eye(4))
    vectors.save(path, settings={HOSTILE[0]: HOSTILE[1]})
    tensors, metadata = map_tensors(path)
    write_tensors(tmp_path / "h.safetensors", {HOSTILE[0]: np.eye(2), **tensors}, metadata)
    (tmp_path / "analogies").write_text(f": {HOSTILE[0]}\n" + " ".join([*HOSTILE[:2], "a", "b"]), encoding="utf-8")
    return tmp_path / "h.safetensors"


@pytest.mark.parametrize(
    "command",
    [
        ("neighbors", HOSTILE[0], "--negative", *HOSTILE[1:]),
        ("analogy", *HOSTILE),
        ("evaluate", "--analogies", "analogies"),
        ("info",),
        ("export", "absent/\x1b]2;title\x07.vec"),
    ],
)
def test_invisible_characters_of_words_are_escaped(run, document, hostile, monkeypatch, command):
    """A pipe gets the same as a terminal; --json has the unchanged words."""
    monkeypatch.chdir(hostile.parent)
    _, out, err = run(command[0], hostile, *command[1:])
    printed = out + err
    assert all(c.isprintable() or c in "\n\u200c" for c in printed), repr(printed)
    assert command[0] == "export" or r"red\x1b[31m\x07" in printed.replace("\\\\", "\\")
    if command[0] == "analogy":
        assert len(printed.splitlines()) == 2
        assert document("analogy", hostile, *HOSTILE)["c"] == HOSTILE[2]


@posix
def test_a_pipe_is_read_once_as_a_file_is(workplace):
    """A second opening of a named pipe would wait for another writer; one of /dev/stdin would find nothing."""
    os.mkfifo(workplace / "pipe")
    found = []
    options = "-o out.safetensors --dim 3 --min-count 1 --quiet --checkpoint c --early-stopping"
    for name, feed in ("text", ""), ("pipe", "cat text > pipe &"), ("/dev/stdin", "cat text |"):
        line = f"rm -f c; {feed} '{sys.executable}' -m fastembed train {name} {options}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=600)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        found.append(Vectors.load("out.safetensors").matrix.tobytes())
    assert found[1:] == found[:1] * 2


def test_bars_are_drawn_only_on_a_terminal_and_not_with_quiet(run, tmp_path, text, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    command = ("train", text, "-o", tmp_path / "m.safetensors", "--dim", 2, "--min-count", 1)
    for terminal, options, drawn in (
        (Terminal(), [], True),
        (Terminal(), ["--quiet"], False),
        (io.StringIO(), [], False),
    ):
        monkeypatch.setattr(sys, "stderr", terminal)
        assert run(*command, *options)[0] == 0
        assert ("training" in terminal.getvalue()) == drawn
