"""`train --checkpoint`: interruptions and kills."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastembed.cli.output import Progress

OPTIONS = ["--dim", "8", "--min-count", "1", "--epochs", "4", "--threads", "1"]
KILL = Path(__file__).resolve().parents[2] / "tools" / "kill.py"


@pytest.fixture
def same():
    """Whether two files of models are the same, but for the seconds in their histories."""
    spec = importlib.util.spec_from_file_location("kill", KILL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill"] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return lambda first, second: module.digest_of(first) == module.digest_of(second)


@pytest.fixture
def interrupted(run, monkeypatch):
    """Run a command line, which a Ctrl-C interrupts at the end of its third epoch; return its stderr."""

    def interrupt(*argv):
        epoch = Progress.epoch

        def stop(self, record):
            if record["epoch"] == 3:
                raise KeyboardInterrupt
            epoch(self, record)

        with monkeypatch.context() as patch:
            patch.setattr(Progress, "epoch", stop)
            code, _, err = run(*argv)
        assert code == 130
        return err

    return interrupt


def test_the_same_command_goes_on_and_another_is_refused(run, interrupted, same, tmp_path, corpus):
    model, expected, checkpoint = tmp_path / "m.safetensors", tmp_path / "e.safetensors", tmp_path / "c"
    command = ["train", corpus, *OPTIONS, "-o"]
    assert run(*command, expected)[0] == 0
    err = interrupted(*command, model, "--checkpoint", checkpoint)
    assert re.fullmatch("fastembed: interrupted.*\n", err)
    assert not model.exists()
    code, out, err = run(*command, model, "--checkpoint", checkpoint, "--epochs", 5)
    assert (code, err.count("\n"), "epochs" in err) == (1, 1, True)
    code, out, err = run(*command, model, "--checkpoint", checkpoint)
    assert (code, err) == (0, "")
    assert out.count("\nepoch ") <= 2
    assert same(model, expected)


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    """`make check-kill` does it a thousand times."""
    command = [sys.executable, "-P", KILL, tmp_path, "--kills", "8"]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"8 kills \(\d+ while a file was written, .*\), \d+ models, all with the bits of", done.stdout)
