"""The command line as a whole: exit codes, one line per error, pipes, Ctrl-C, invisible characters, progress."""

import io
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastembed.recommender import Recommender
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes and signals")
COMMAND = [sys.executable, "-P", "-m", "fastembed"]
HOSTILE = "red\x1b[31m\x07", "left\u202eright", "two\nlines\x9b2J"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("train absent.txt -o o", "absent.txt"),
        ("phrases absent.txt -o ./absent.txt", "is read"),
        ("neighbors absent.txt king", "absent.txt"),
        ("evaluate absent.txt --similarity s", "absent.txt"),
        ("export absent.txt -o absent.txt", "is read"),
        # before anything is read
        ("train absent.txt -o nowhere/v", "nowhere"),
        ("phrases absent.txt -o nowhere/v", "nowhere"),
        ("export absent.txt -o nowhere/v", "nowhere"),
        ("plot absent.txt -o nowhere/v.png", "nowhere"),
    ],
)
def test_a_missing_file_or_folder_is_named_in_one_line(run, tmp_path, monkeypatch, command, named):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*command.split())
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"fastembed: error: .*{named}.*\n", err)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_word_is_named_in_one_line_and_debug_shows_the_traceback(run, saved):
    code, out, err = run("analogy", saved, "king", "quen", "man")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: 'quen' .*\n", err)
    assert "Traceback (most recent call last)" in run("analogy", saved, "king", "quen", "man", "--debug")[2]


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
def test_a_full_disk_behind_stdout_is_one_line(saved):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([*COMMAND, "neighbors", str(saved), "king"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert re.fullmatch(rb"fastembed: error: No space left on device\n", done.stderr)


@pytest.mark.parametrize("command", ["neighbors", "predict", "recommend"])
def test_standard_input_that_is_not_utf_8_is_named(run, stdin, saved, model, tmp_path, command):
    paths = {"neighbors": saved, "predict": model, "recommend": tmp_path / "r.safetensors"}
    Recommender(dim=1, epochs=1).fit([["a", "b"], ["b", "c"]]).save(paths["recommend"])
    stdin(b"a b\xe9\n")
    expected = r"fastembed: error: standard input is not valid UTF-8 at byte 3: b'\xe9'" + "\n"
    assert run(command, paths[command], "-") == (1, "", expected)


def test_words_that_the_encoding_of_stdout_lacks_are_escaped(run, tmp_path, monkeypatch):
    Vectors(["a", "日本"], np.eye(2)).save(path := tmp_path / "v.safetensors")
    for option, shown in ([], r"  \u65e5\u672c"), (["--json"], r'"word": "\u65e5\u672c"'):
        with monkeypatch.context() as patch, (tmp_path / "lines").open("w", encoding="latin-1") as stdout:
            patch.setattr(sys, "stdout", stdout)
            assert run("neighbors", path, "a", *option) == (0, "", "")
        assert shown in (tmp_path / "lines").read_text(encoding="latin-1")


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
    assert re.fullmatch(rb"fastembed: interrupted; nothing was saved\n", err)
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("command", ["neighbors {} {}", "analogy {} {} {} {}", "evaluate {} --analogies analogies"])
def test_invisible_characters_of_words_are_escaped(run, document, tmp_path, monkeypatch, command):
    """A pipe gets the same as a terminal; --json has the unchanged words."""
    monkeypatch.chdir(tmp_path)
    Vectors([*HOSTILE, "می\u200cشود"], np.eye(4)).save("h.safetensors")
    (tmp_path / "analogies").write_text(f": {HOSTILE[0]}\n" + " ".join([*HOSTILE[:2], "a", "b"]), encoding="utf-8")
    words = iter(["h.safetensors", *HOSTILE])
    argv = [next(words) if part == "{}" else part for part in command.split()]
    _, out, err = run(*argv)
    assert all(c.isprintable() or c in "\n\u200c" for c in out + err), repr(out + err)
    assert r"red\x1b[31m\x07" in (out + err).replace("\\\\", "\\")
    if argv[0] == "analogy":
        assert document(*argv)["c"] == HOSTILE[2]


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


def test_a_file_that_exists_is_replaced_only_if_it_is_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text("a b\nb a\n", encoding="utf-8")
    old = tmp_path / "model.safetensors"
    assert run("train", "t.txt", "--min-count", 1, "--dim", 1, "--quiet") == (0, "", "")
    before = old.read_bytes()
    code, _, err = run("train", "t.txt", "--min-count", 1, "--dim", 2)
    assert (code, err) == (1, "fastembed: error: 'model.safetensors' exists: -o model.safetensors replaces it\n")
    assert old.read_bytes() == before
    assert run("train", "t.txt", "--min-count", 1, "--dim", 2, "-o", old.name, "--quiet") == (0, "", "")
    assert old.read_bytes() != before
