"""The programs of this folder, each for some seconds.

`make check-fuzz` and `make check-bits` run them for as long as one likes.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIME_LIMIT = 3600  # seconds, for a program that would otherwise hang; beside ten others one took 700
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = pytest.mark.slow


def run(program, *arguments, folder):
    """Run a program in a folder, which must end well; return its output."""
    command = [sys.executable, "-P", HERE / f"{program}.py", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, timeout=TIME_LIMIT, cwd=folder
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@ON_LINUX
def test_mutated_files_of_every_kind_are_read_or_rejected(tmp_path):
    printed = run("fuzz", "--seed", 0, "--times", 1, "--per-round", 15, "--tries", 1200, folder=tmp_path)
    kinds = re.findall(r"^(.+): ([\d,]+) tries, ([\d,]+) read$", printed, flags=re.MULTILINE)
    assert len(kinds) > 30
    assert all(int(tries.replace(",", "")) >= 15 for _, tries, _ in kinds)
    assert sum(int(read.replace(",", "")) for *_, read in kinds) > 100  # mutations are not all so coarse


def test_a_model_has_the_same_sha256_on_any_threads_with_any_hash_seed(tmp_path):
    text = tmp_path / "text"
    text.write_text("".join(f"a{i % 7} b{i % 5} c{i % 11} d\n" for i in range(3000)), encoding="utf-8")
    printed = run("bits", "--threads", 1, 2, 3, "--hash-seeds", 0, 1, "--text", text, folder=tmp_path)
    assert len(re.findall(r"^ +\d +\d  [0-9a-f]{64}$", printed, flags=re.MULTILINE)) == 6
    assert "all the same\n" in printed
