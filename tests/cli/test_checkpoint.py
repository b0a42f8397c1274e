"""`train --checkpoint`: signals, kills and full disks."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fastembed import SkipGram
from fastembed.trainer.blocks import BlockSteps

OPTIONS = ["--dim", "8", "--min-count", "1", "--epochs", "4", "--threads", "1"]
KILL = Path(__file__).resolve().parents[2] / "tools" / "kill.py"
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
LONG = ["--dim", "8", "--min-count", "1", "--epochs", "100000", "--threads", "1"]


def kill_tool():
    spec = importlib.util.spec_from_file_location("kill", KILL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill"] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def same():
    """Whether two files of models are the same, but for the seconds in their histories."""
    digest_of = kill_tool().digest_of
    return lambda first, second: digest_of(first) == digest_of(second)


@pytest.fixture
def interrupted(run, monkeypatch):
    """Run a command line, interrupted in an epoch; return its stderr."""

    def interrupt(*argv, in_epoch=3):
        share_after = BlockSteps.share_after

        def stop(self, epoch):
            if epoch == in_epoch:
                raise KeyboardInterrupt
            return share_after(self, epoch)

        with monkeypatch.context() as patch:
            patch.setattr(BlockSteps, "share_after", stop)
            code, _, err = run(*argv)
        assert code == 130
        return err

    return interrupt


def test_a_checkpoint_of_another_fit_or_another_file_is_named_and_nothing_else_said(run, interrupted, tmp_path, corpus):
    checkpoint, model = tmp_path / "c", tmp_path / "m.safetensors"
    interrupted("train", corpus, *OPTIONS, "-o", model, "--checkpoint", checkpoint)
    code, _, err = run("train", corpus, *OPTIONS, "--epochs", 5, "-o", model, "--checkpoint", checkpoint)
    assert code == 1
    assert "another fit, with epochs 4 instead of 5" in err
    checkpoint.write_text("text", encoding="utf-8")
    assert run("train", corpus, *OPTIONS, "-o", model, "--checkpoint", checkpoint)[:2] == (1, "")


def test_the_same_command_goes_on(run, interrupted, same, tmp_path, corpus):
    model, expected, checkpoint = tmp_path / "m.safetensors", tmp_path / "e.safetensors", tmp_path / "c"
    command = ["train", corpus, *OPTIONS, "-o"]
    assert run(*command, expected)[0] == 0
    interrupted(*command, model, "--checkpoint", checkpoint)
    assert not model.exists()
    code, out, err = run(*command, model, "--checkpoint", checkpoint)
    assert (code, err) == (0, "")
    assert out.count("\nepoch ") == 2
    assert same(model, expected)
    assert checkpoint.exists()


def test_a_model_that_cannot_be_written_is_kept_elsewhere(run, interrupted, tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("fastembed.cli.inputs.check_writable", str)  # as if the folder were deleted later
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = ["train", corpus, *OPTIONS, "-o", tmp_path / "gone" / "m.safetensors"]
    for err, epochs in (run(*command)[2], 4), (interrupted(*command), 2):
        kept = re.search("; the model is in '(.*)' instead", err)[1]
        assert len(SkipGram.load(kept).history) == epochs
    left = {*tmp_path.iterdir()}
    assert "interrupted; what was read and learned is lost: with --check" in interrupted(*command, in_epoch=1)

    def full(_, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(SkipGram, "save", full)
    message = r"fastembed: error: '.*/gone/m.safetensors': No space left .*; '.*/model.safetensors': No space left .*\n"
    assert re.fullmatch(message, run(*command)[2])
    assert {*tmp_path.iterdir()} == left


def start(*command, before="", **streams):
    """Start a command line in a process, after some lines of Python."""
    program = f"import sys\n{textwrap.dedent(before)}\nfrom fastembed.cli import main\nsys.exit(main())"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"} | streams
    return subprocess.Popen([sys.executable, "-P", "-c", program, *map(str, command)], **pipes)


@needs_signals
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_signal_ends_training_in_one_line_with_a_checkpoint_if_there_is_one(tmp_path, corpus, number, checkpoint):
    options = ["--checkpoint", tmp_path / "c"] if checkpoint else []
    process = start("train", corpus, "-o", tmp_path / "m", *LONG, *options)
    while not process.stdout.readline().startswith("epoch  2"):
        assert process.poll() is None
    process.send_signal(getattr(signal, number))
    _, err = process.communicate(timeout=600)
    assert process.returncode == {"SIGTERM": 143, "SIGINT": 130}[number]
    if checkpoint:
        assert err == "fastembed: interrupted\n"
    else:
        assert re.fullmatch(
            r"fastembed: interrupted; the model after \d+ of \d+ epochs is in .*--checkpoint F.*\n", err
        )
        epochs = int(re.search(r"after (\d+) of", err)[1])
        assert len(SkipGram.load(tmp_path / "m.interrupted.safetensors").history) == epochs > 0
    left = ["c"] if checkpoint else ["m.interrupted.safetensors"]
    assert {file.name for file in tmp_path.iterdir()} == {"corpus.txt", *left}


@needs_signals
@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    """`make check-kill` does it a thousand times."""
    command = [sys.executable, "-P", KILL, tmp_path, "--kills", "8"]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"8 kills \(\d+ while a file was written, .*\), \d+ models, all with the bits of", done.stdout)
