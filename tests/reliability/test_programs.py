"""The programs of this folder, each for some seconds.

`make test-failures`, `make fuzz`, `make soak` and `make bits` run them for as long as one likes.
"""

import importlib.util
import json
import os
import platform
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIME_LIMIT = 600  # seconds, for a program that would otherwise hang
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = pytest.mark.slow


def run(program, *arguments, folder, **environment):
    """Run a program in a folder; return its exit code and its output."""
    command = [sys.executable, "-P", HERE / f"{program}.py", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, timeout=TIME_LIMIT, cwd=folder,
        env=os.environ | environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


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
    "chosen", [("--kinds", "call", "full-disk"), ("--kinds", "allocation", "--only", "save", "load")]
)
def test_what_was_there_outlives_failures(tmp_path, chosen):
    """Of calls on files one of some tens, of allocations one of some hundreds of each operation."""
    share = 30 if "call" in chosen else 300
    code, printed = run("failures", "--share", share, "--seed", 0, *chosen, folder=tmp_path)
    assert code == 0, printed
    tried = re.search(
        r"([\d,]+) of kind allocation, ([\d,]+) of kind call, ([\d,]+) of kind full-disk; 0 prob", printed
    )
    assert sum(int(number.replace(",", "")) for number in tried.groups()) > 20


@WITH_SHIM
def test_what_a_failure_leaves_behind_is_found(tmp_path):
    """The program that looks for problems finds these: a file left open, one left behind, another state, a signal."""
    broken = tmp_path / "failures.py"
    source = (HERE / "failures.py").read_text(encoding="utf-8")
    shutil.copy(HERE / "failing.c", tmp_path)
    broken.write_text(source.replace("def deepcopy", f"{BROKEN}def deepcopy"), encoding="utf-8")
    command = [sys.executable, "-P", broken, "--kinds", "call"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=TIME_LIMIT)
    assert done.returncode == 1, done.stderr
    for problem in (
        "left open",
        "left behind",
        "neither the one before",
        "SIGSEGV",
        "raised KeyError",
        "another result",
    ):
        assert problem in done.stdout


BROKEN = """
def operations(folder):
    kept, text = [], folder / "text.txt"
    text.write_bytes(bytes(1000))

    def broken(state):
        try:
            file = text.open("rb")
            state.append(1)
            content = file.read()
            file.close()
            state.pop()
            return len(content)
        except OSError:
            died = Path(__file__).with_name("died")
            if len(kept) == 1 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGSEGV)
            kept.append(state and file)
            (folder / f"left {len(kept)}").touch()
            raise KeyError from None

    def quiet():
        try:
            return text.read_bytes()
        except OSError:
            return b""

    return {"broken": Operation(list, broken, len), "silent": Operation(lambda: None, lambda _: len(quiet()))}


"""


# ---------------------------------------------------------------- mutated files


@ON_LINUX
def test_mutated_files_of_every_kind_are_read_or_rejected(tmp_path):
    code, printed = run("fuzz", "--seed", 0, "--times", 1, "--per-round", 15, "--tries", 1200, folder=tmp_path)
    assert code == 0, printed
    kinds = re.findall(r"^(.+): ([\d,]+) tries, ([\d,]+) read$", printed, flags=re.MULTILINE)
    assert len(kinds) > 30
    assert all(int(tries.replace(",", "")) >= 15 for _, tries, _ in kinds)
    assert sum(int(read.replace(",", "")) for *_, read in kinds) > 100  # mutations are not all so coarse


def test_a_mutation_depends_on_its_seed_alone():
    fuzz = load("fuzz")
    data, other = bytes(range(200)), bytes(200)
    mutations = [fuzz.mutated(data, other, random.Random(seed)) for seed in range(50)]
    assert mutations == [fuzz.mutated(data, other, random.Random(seed)) for seed in range(50)]
    assert len(set(mutations)) > 40


def test_a_mutated_header_keeps_a_sound_length():
    fuzz = load("fuzz")
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for seed in range(50):
        found = fuzz.mutated_header(struct.pack("<Q", len(header)) + header + b"data", b"", random.Random(seed))
        assert found[8 + struct.unpack("<Q", found[:8])[0] :] == b"data"


@pytest.mark.thread_unsafe(reason="changes the working directory")
def test_a_file_that_is_read_wrongly_is_kept(tmp_path, monkeypatch, capfd):
    fuzz = load("fuzz")
    monkeypatch.setattr(fuzz, "DOCUMENTED", (OSError,))
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--tries", "40", "--only", "vocabulary"])
    monkeypatch.chdir(tmp_path)
    assert fuzz.main() == 1
    assert "ValueError" in capfd.readouterr().out
    assert next(tmp_path.glob("fuzz-0-*/v.txt")).is_file()


# ---------------------------------------------------------------- a soak, and the bits


@ON_LINUX
def test_a_loop_of_training_and_queries_holds_what_it_held(tmp_path):
    """Memory is checked in the long form only, after caches have filled."""
    code, printed = run(
        "soak", "--minutes", 0.02, "--warm-up", 3, "--allowed", 0.2, folder=tmp_path, **load("soak").ALLOCATOR
    )
    assert code == 0, printed
    assert "1 different result\n" in printed


def test_a_model_has_the_same_sha256_on_any_threads_with_any_hash_seed(tmp_path):
    text = tmp_path / "text"
    text.write_text("".join(f"a{i % 7} b{i % 5} c{i % 11} d\n" for i in range(3000)), encoding="utf-8")
    code, printed = run("bits", "--threads", 1, 2, 3, "--hash-seeds", 0, 1, "--text", text, folder=tmp_path)
    assert code == 0, printed
    assert len(re.findall(r"^ +\d +\d  [0-9a-f]{64}$", printed, flags=re.MULTILINE)) == 6
    assert "1 different model\n" in printed
