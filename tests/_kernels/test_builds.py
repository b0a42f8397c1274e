"""Which build runs, how the builds were compiled, and that importing them leaves the process as it was."""

import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fastembed._kernels as package
from fastembed._kernels import KIB, LEVEL2_BYTES, choose_build, runnable_builds
from fastembed._kernels.cpu import data_cache_bytes, x86_level

SHARED = ["cooccur", "cpu", "features", "ngrams", "tiles", "tokens", "words"]  # by all CPUs
X86_64 = platform.machine().lower() in ("x86_64", "amd64")


def python(code, **environment):
    """Run code in a new Python process, with the installed package."""
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )


# ---------------------------------------------------------------- choice of the build


def test_runnable_builds_are_those_up_to_the_level_of_the_cpu():
    if not X86_64 or "portable" in runnable_builds():
        assert runnable_builds() == ("portable",)
    else:
        assert runnable_builds() == tuple(f"x86_64_v{level}" for level in range(2, x86_level() + 1))
        assert 2 <= x86_level() <= 4


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux' list of the CPU's features")
@pytest.mark.skipif(not X86_64, reason="levels of x86-64")
def test_the_level_is_what_the_system_says():
    flags = set(
        re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    )
    needs = [
        {"sse4_2", "popcnt", "ssse3", "cx16"},
        {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"},
        {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    ]
    level = 1
    while level < 4 and needs[level - 1] <= flags:
        level += 1
    assert x86_level() == level


def test_the_newest_build_is_the_default():
    assert choose_build({}) == choose_build({"FASTEMBED_ISA": ""}) == runnable_builds()[-1]


@pytest.mark.parametrize("build", runnable_builds())
def test_a_build_can_be_forced(build):
    assert choose_build({"FASTEMBED_ISA": build}) == choose_build({"FASTEMBED_ISA": build.replace("_", "-")}) == build
    code = """
import sys, fastembed
from fastembed import _kernels
fastembed.Trainer.random(5, 3).step(0)
print(_kernels.BUILD, sorted(m[26:] for m in sys.modules if m.startswith("fastembed._kernels.builds.")))
"""
    done = python(code, FASTEMBED_ISA=build)
    assert done.stdout == f"{build} ['{build}']\n", done.stderr


def test_a_build_that_the_cpu_cannot_run_is_an_error(monkeypatch):
    if runnable_builds() == ("portable",):
        pytest.skip("needs builds to choose from")
    monkeypatch.setattr(package, "x86_level", lambda: 3)
    assert choose_build({}) == "x86_64_v3"
    with pytest.raises(ImportError, match=r"'x86_64_v4' cannot run on this CPU; these can: x86_64_v2, x86_64_v3$"):
        choose_build({"FASTEMBED_ISA": "x86_64_v4"})
    monkeypatch.setattr(package, "x86_level", lambda: 1)
    with pytest.raises(ImportError, match="needs an x86-64-v2 CPU"):
        choose_build({})


# ---------------------------------------------------------------- caches


def test_the_second_level_cache_of_this_cpu_has_a_plausible_size():
    assert 64 * KIB <= LEVEL2_BYTES <= 256 * KIB * KIB


LISTED = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")  # on x86-64 the third is that of the second level


@pytest.mark.skipif(not (X86_64 and LISTED.exists()), reason="needs Linux's list of caches, on x86-64")
def test_cpuid_says_of_the_second_level_cache_what_the_system_says():
    assert data_cache_bytes(2) in (0, int(LISTED.read_text(encoding="ascii").strip().removesuffix("K")) * KIB)
    assert data_cache_bytes(9) == 0


# ---------------------------------------------------------------- threads


needs_no_gil = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python, which warns of the GIL"
)


EVERYTHING = """
import importlib, pkgutil, sys, tempfile
import fastembed

for module in pkgutil.walk_packages(fastembed.__path__, "fastembed."):
    if not module.name.endswith("__main__") and "x86_64" not in module.name:  # the build in use is imported below
        importlib.import_module(module.name)
with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/text", "w", encoding="utf-8") as file:
        file.write("a b c a b\\nb c a\\n" * 9)
    assert fastembed.cli.main(["train", f"{folder}/text", f"--output={folder}/model", "--dim=4", "--min-count=1"]) == 0
    model = fastembed.SkipGram.load(f"{folder}/model").partial_fit(f"{folder}/text")
    model.vectors.save(f"{folder}/vectors.txt")
    fastembed.Vectors.load(f"{folder}/vectors.txt").most_similar("a")
    model.trainer.step(0, 1)
print(sys._is_gil_enabled())
"""


@needs_no_gil
def test_the_package_and_its_dependencies_leave_the_gil_off():
    done = python(EVERYTHING)
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["False"], 0), done.stderr


# ---------------------------------------------------------------- how it was compiled


def instructions(name):
    """Return the mnemonics and operands in the code of a module."""
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump")
    module = importlib.import_module(f"fastembed._kernels.{name}").__file__
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", module], capture_output=True, encoding="utf-8", check=True
    ).stdout
    code = [line.split("\t", 1)[1] for line in listing.splitlines() if "\t" in line]
    assert len(code) > 1000
    return code


def vex_encoded(code):
    """Return the instructions of AVX and later: wide registers, or a v in front (verr, verw and vm* are older)."""
    return [i for i in code if re.search(r"%[yz]mm|%k[0-7]\b", i) or re.match(r"v(?!err|erw|m[a-z]+\s*$)", i)]


@pytest.mark.skipif("x86_64_v2" not in runnable_builds(), reason="builds of x86-64")
@pytest.mark.parametrize("name", ["builds.x86_64_v2", *SHARED])
def test_modules_for_every_cpu_have_no_avx(name):
    assert vex_encoded(instructions(name)) == []


@pytest.mark.skipif("x86_64_v3" not in runnable_builds(), reason="needs a CPU with AVX2")
def test_newer_builds_have_avx_which_the_test_above_would_see():
    code = instructions("builds.x86_64_v3")
    assert len(vex_encoded(code)) > 1000
    assert not [i for i in code if "%zmm" in i]


# ---------------------------------------------------------------- the process' floating-point state

STATE = """
import ctypes, ctypes.util
import numpy as np

def state():
    tiny = {t: np.full(33, np.finfo(t).smallest_subnormal, t) for t in (np.float32, np.float64)}
    results = [(a * t(1)).tobytes() for t, a in tiny.items()]                         # flushed if inputs count as zero
    results += [(np.full(33, np.finfo(t).tiny, t) / t(4)).tobytes() for t in tiny]    # ... if results are set to zero
    thirds = [np.full(33, sign, t) / t(3) for t in tiny for sign in (1, -1)]          # rounded otherwise in other modes
    name = ctypes.util.find_library("m")
    mode = ctypes.CDLL(name).fegetround() if name else None
    return results, [a.tobytes() for a in thirds], mode, [float(a[0]) for a in tiny.values()]

before = state()
assert all(before[3]) and all(any(bits) for bits in before[0])
import fastembed
assert state() == before
from fastembed import _kernels
from scipy import sparse
counts = sparse.csr_array(np.eye(50, 3000))
for build in _kernels.runnable_builds():
    _kernels.BUILD = build
    trainer = fastembed.Trainer.random(50, 20, output_size=3000, threads=2)
    trainer.train(range(50), update_linear=True)
    trainer.fit_counts(counts, epochs=2)
    assert state() == before
print("as before")
"""


def test_import_and_training_leave_subnormals_and_rounding_alone():
    done = python(STATE)
    assert done.stdout == "as before\n", done.stderr


def test_import_loads_no_extra_and_nothing_that_only_some_commands_need():
    code = """
import sys
from fastembed import *
print([m for m in ("matplotlib", "torch", "gensim", "pandas", "pytest") if m in sys.modules])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stderr
