"""The programs of this folder, each for some seconds.

`make test-failures`, `make fuzz`, `make soak` and `make bits` run them for as long as one likes.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LOADS = [f"load {name}" for name in ("vectors", "model", "trainer", "Classifier", "counts", "vocabulary", "phrases")]
TIME_LIMIT = 3600  # seconds, for a program that would otherwise hang; beside ten others one took 700
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = pytest.mark.slow


def run(program, *arguments, folder, **environment):
    """Run a program in a folder, which must end well; return its output."""
    command = [sys.executable, "-P", HERE / f"{program}.py", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, timeout=TIME_LIMIT, cwd=folder,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def load(program):
    spec = importlib.util.spec_from_file_location(program, HERE / f"{program}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[program] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- every allocation and every call on a file fails once

WITH_SHIM = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc"
    or shutil.which(os.environ.get("CC", "gcc")) is None
    or "LD_PRELOAD" in os.environ,
    reason="needs glibc, a C compiler, and to be loaded first",
)


@WITH_SHIM
@pytest.mark.parametrize(
    "chosen", [("--kinds", "call", "full-disk"), ("--kinds", "allocation", "--only", "save", *LOADS)]
)
def test_what_was_there_outlives_failures(tmp_path, chosen):
    """Of calls on files every one, of allocations one of some hundreds of each operation.

    But for loading a recommender: its answers index arrays, and NumPy ends the process where that gets no memory.
    """
    printed = run("failures", "--share", 300, "--seed", 0, *chosen, folder=tmp_path)
    tried = re.findall(r": ([\d,]+) tried of [\d,]+, 0 problems", printed)
    assert sum(int(number.replace(",", "")) for number in tried) > 20


# ---------------------------------------------------------------- mutated files


@ON_LINUX
def test_mutated_files_of_every_kind_are_read_or_rejected(tmp_path):
    printed = run("fuzz", "--seed", 0, "--times", 1, "--per-round", 15, "--tries", 1200, folder=tmp_path)
    kinds = re.findall(r"^(.+): ([\d,]+) tries, ([\d,]+) read$", printed, flags=re.MULTILINE)
    assert len(kinds) > 30
    assert all(int(tries.replace(",", "")) >= 15 for _, tries, _ in kinds)
    assert sum(int(read.replace(",", "")) for *_, read in kinds) > 100  # mutations are not all so coarse


# ---------------------------------------------------------------- a soak, and the bits


@ON_LINUX
def test_a_loop_of_training_and_queries_holds_what_it_held(tmp_path):
    """Memory is checked in the long form only, after caches have filled."""
    printed = run(
        "soak", "--minutes", 0.02, "--warm-up", 3, "--allowed", 0.2, folder=tmp_path, **load("soak").ALLOCATOR
    )
    assert "results: all the same\n" in printed


def test_a_model_has_the_same_sha256_on_any_threads_with_any_hash_seed(tmp_path):
    text = tmp_path / "text"
    text.write_text("".join(f"a{i % 7} b{i % 5} c{i % 11} d\n" for i in range(3000)), encoding="utf-8")
    printed = run("bits", "--threads", 1, 2, 3, "--hash-seeds", 0, 1, "--text", text, folder=tmp_path)
    assert len(re.findall(r"^ +\d +\d  [0-9a-f]{64}$", printed, flags=re.MULTILINE)) == 6
    assert "all the same\n" in printed
