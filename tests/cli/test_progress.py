"""The progress of training: one line per epoch on stdout, and bars on a terminal."""

import io
import subprocess
import sys
from argparse import Namespace

import pytest
from tqdm.std import TqdmDefaultWriteLock

from fastembed.cli.output import Progress
from fastembed.skipgram import SkipGram


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self):
        return True


RECORD = {"epoch": 1, "nll": 2.0, "perplexity": 7.389, "learning_rate": 1.0, "seconds": 0.5}


LINE = "epoch  1 of 2   nll 2.0000   perplexity 7.4   0.5 s\n"


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


def test_the_line_of_an_epoch_shows_the_nll_of_held_out_lines(capsys):
    with progress_of(12) as progress:
        progress.epoch(RECORD | {"epoch": 10, "validation_nll": 2.5})
    assert capsys.readouterr().out == LINE.replace(" 1 of 2", "10 of 12").replace(
        "0.5 s", "validation nll 2.5000   0.5 s"
    ).replace("7.4   v", "7.4   v")


@pytest.mark.parametrize("terminal", [False, True])
def test_an_interrupt_never_comes_where_a_lock_of_the_bars_would_make_another_error_of_it(
    monkeypatch, capsys, terminal
):
    """`tqdm` releases its lock in a `finally` also where a Ctrl-C came before it was acquired."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    with progress_of() as progress:
        progress.counting(1, 2)
        monkeypatch.setattr(TqdmDefaultWriteLock, "acquire", interrupt)
        progress._print("a line", "an event")
        monkeypatch.undo()
    assert capsys.readouterr().out == "a line\n"


def test_a_line_that_cannot_be_written_is_the_last_one_tried(monkeypatch):
    class Broken(io.StringIO):
        tries = 0

        def write(self, text):
            self.tries += 1
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", broken := Broken())
    with progress_of() as progress:
        progress.epoch(RECORD)
        progress.epoch(RECORD | {"epoch": 2})
    assert broken.tries == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_training_goes_on_after_the_pipe_of_its_lines_is_closed(corpus, tmp_path):
    """A pipe that closes early ends with code 1, and with the model saved."""
    model = tmp_path / "model.safetensors"
    options = ["--min-count", "1", "--dim", "2", "--epochs", "40"]
    command = [sys.executable, "-P", "-m", "fastembed", "train", str(corpus), "-o", str(model), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert len(SkipGram.load(model).history) == 40
