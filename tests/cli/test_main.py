"""The command line as a whole: exit codes, one line per error, pipes, Ctrl-C, invisible characters, progress."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from argparse import Namespace
from contextlib import contextmanager

import numpy as np
import pytest

from fastembed.cli.output import Progress
from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes and signals")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_first_imports_is_answered_and_one_at_the_end_changes_nothing(number, code):
    script = f"""
import os, sys
from fastembed.cli import main

class Finder:
    def find_spec(self, name, *_):
        if name == interrupted:
            os.kill(os.getpid(), {number:d})

interrupted = sys.argv.pop()
sys.meta_path.insert(0, Finder())
code = main()
os.kill(os.getpid(), {number:d})
sys.exit(code)
"""
    for module, expected in ("fastembed.cli.output", (code, "fastembed: interrupted\n")), ("none", (0, "")):
        command = [sys.executable, "-P", "-c", script, "info", module]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600)
        assert (done.returncode, done.stderr) == expected


HOSTILE = "red\x1b[31m\x07", "left\u202eright", "two\nlines\x9b2J"
SEEN = r"red\x1b[31m\x07", r"left\u202eright", r"two\nlines\x9b2J"
RECORD = {"epoch": 1, "nll": 2.0, "perplexity": 7.389, "learning_rate": 1.0, "seconds": 0.5}
LINE = "epoch  1 of 2   nll 2.0000   perplexity 7.4   0.5 s\n"


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


@pytest.mark.parametrize("command", ["train", "count", "export", "plot"])
def test_a_missing_output_folder_is_found_before_anything_is_read(run, tmp_path, command):
    output = tmp_path / "nowhere" / "v"
    code, out, err = run(command, tmp_path / "absent", *([] if command == "export" else ["-o"]), output)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: cannot write '.*v': the folder '.*nowhere' does not exist\n", err)


def test_an_unknown_word_is_named_in_one_line_with_the_closest_spellings_and_debug_shows_the_traceback(run, saved):
    code, out, err = run("analogy", saved, "king", "quen", "man")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: 'quen' is not among the 4 tokens.* 'queen'.*\n", err)
    assert "Traceback (most recent call last)" in run("analogy", saved, "king", "quen", "man", "--debug")[2]


@pytest.fixture
def stdout_to(monkeypatch):
    """Let stdout be a file or descriptor; closing it at the end must not fail, since Python would print that error."""
    streams = []

    def redirect(file, **options):
        streams.append(open(file, "w", **options))  # noqa: PTH123, SIM115 - may be a descriptor
        monkeypatch.setattr(sys, "stdout", streams[-1])

    yield redirect
    for stream in streams:
        stream.close()


@posix
def test_a_closed_pipe_ends_the_process_silently():
    """Python itself would report it once more at exit."""
    command = [sys.executable, "-P", "-m", "fastembed", "info"]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 - a descriptor
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (1, "")


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


@contextmanager
def training_from_a_pipe(output):
    """Yield a process that trains on its standard input, and has begun to read it; a Ctrl-C interrupts it."""
    command = [sys.executable, "-P", "-m", "fastembed", "train", "-", "-o", str(output), "--min-count", "1"]
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += f"import os; os.execv({sys.executable!r}, {command!r})"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"some words\n" * (1 << 16))  # more than a pipe holds: it is reading
        process.stdin.flush()
        yield process


@posix
def test_ctrl_c_while_reading_is_one_line(tmp_path):
    with training_from_a_pipe(tmp_path / "v") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (130, b"")
    assert re.fullmatch(rb"fastembed: interrupted after [\d,]+ bytes of standard input\n", err)
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
    assert command[0] == "export" or SEEN[0] in printed.replace("\\\\", "\\")
    if command[0] == "analogy":
        assert "می\u200cشود" in printed
        assert len(printed.splitlines()) == 2
        assert document("analogy", hostile, *HOSTILE)["c"] == HOSTILE[2]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes a stream")
@pytest.mark.parametrize("redirection", [">&-", "2>&-"])
def test_a_process_without_stdout_or_stderr_does_its_work(tmp_path, redirection):
    (tmp_path / "text").write_text("a b c\nb c d\n" * 9, encoding="utf-8")
    command = f'"{sys.executable}" -P -m fastembed train text -o model.safetensors --dim 3 --min-count 1 {redirection}'
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=600)
    assert done.returncode == 0, done
    assert (tmp_path / "model.safetensors").exists()


@posix
@pytest.mark.parametrize(
    "command",
    ["tokens PIPE --top 3", "train PIPE -o OUT --dim 3 --quiet --checkpoint c --early-stopping --phrases auto"],
)
def test_a_pipe_is_read_once_as_a_file_is(workplace, command):
    """A second opening of a named pipe would wait for another writer; one of /dev/stdin would find nothing."""
    (workplace / "long").write_text("the cat sat on the mat\nthe dog sat on the cat\n" * 99, encoding="utf-8")
    os.mkfifo(workplace / "pipe")
    found = []
    for name, feed in ("long", ""), ("pipe", "cat long > pipe &"), ("/dev/stdin", "cat long |"):
        words = command.replace("PIPE", name).replace("OUT", "out.safetensors")
        line = f"{feed} {shlex.quote(sys.executable)} -m fastembed {words}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=600)
        assert (done.returncode, done.stderr) == (0, "")
        found.append(done.stdout.replace(name, ""))
    assert found[1:] == found[:1] * 2


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self):
        return True


def progress_of(epochs=2, **options):
    return Progress(Namespace(**{"quiet": False, "json": False, "json_lines": False} | options), epochs)


def report(**options):
    with progress_of(**options) as progress:
        progress.reading(5, 10)
        progress.reading(10, 10)
        progress.counting(3, None)
        progress.epoch(RECORD)


def test_bars_are_drawn_only_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    report()
    assert capsys.readouterr().out == LINE
    for stage in ("reading", "count", "training"):
        assert stage in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", json_terminal := Terminal())
    report(json=True)
    assert capsys.readouterr().out == ""
    assert "training" in json_terminal.getvalue()
    for quiet, stream in ((True, Terminal()), (False, io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        report(quiet=quiet)
        assert (capsys.readouterr().out, stream.getvalue()) == ("" if quiet else LINE, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_training_goes_on_after_the_pipe_of_its_lines_is_closed(tmp_path):
    """A pipe that closes early ends with code 1, and with the model saved: it has more lines than a pipe holds."""
    text, model = tmp_path / "text", tmp_path / "model.safetensors"
    text.write_text("a b c\n" * 9, encoding="utf-8")
    options = ["--min-count", "1", "--dim", "2", "--epochs", "1500"]
    command = [sys.executable, "-P", "-m", "fastembed", "train", str(text), "-o", str(model), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert len(SkipGram.load(model).history) == 1500
