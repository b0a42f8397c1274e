"""Which build runs, how the builds were compiled, and that importing them leaves the process as it was."""

import ast
import importlib
import inspect
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import fastembed._kernels as package
from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._kernels import choose_build, kernels_for, runnable_builds
from fastembed._kernels.cpu import x86_level

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(package.__file__).parent
BUILDS = [f"builds.{name}" for name in runnable_builds()]
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


def test_an_unknown_build_is_an_error():
    done = python("from fastembed import Trainer", FASTEMBED_ISA="x86_64_v9")
    assert done.returncode == 1
    expected = "ImportError: FASTEMBED_ISA='x86_64_v9' cannot run on this CPU; these can: " + ", ".join(
        runnable_builds()
    )
    assert done.stderr.splitlines()[-1] == expected


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


@pytest.mark.parametrize("build", runnable_builds())
@pytest.mark.parametrize(("dtype", "other"), [("float32", "float64"), ("float64", "float32")])
def test_kernels_are_of_their_dtype(build, dtype, other):
    kernels = kernels_for(dtype, build)
    kernels.softmax(np.ones(3, dtype))
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        kernels.softmax(np.ones(3, other))


def test_other_dtypes_have_no_kernels():
    with pytest.raises(KeyError):
        kernels_for("float16")


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("name", [*SHARED, *BUILDS])
def test_compiled_modules_hold_no_state(name):
    """They hold functions and classes only, so that they can declare that they do not need the GIL."""
    module = importlib.import_module(f"fastembed._kernels.{name}")
    held = {key: value for key, value in vars(module).items() if not key.startswith("__") and not callable(value)}
    assert held == {}


def test_sources_of_the_kernels_hold_no_state():
    """They have no variables of Cython or C either, which a module does not show."""
    files = [file for kind in ("pyx", "pxd", "pxi") for file in (ROOT / "fastembed" / "_kernels").rglob(f"*.{kind}")]
    variable = re.compile(r"cdef (?!(extern|enum|struct|class)\b)[^(]*(=|$)|\s*static (?!(inline|const)\b)[^(]*(=|;|$)")
    held = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if variable.match(line)]
    assert len(files) > 10
    assert held == []
    for line in ("cdef int steps", "cdef list found = []", "cdef object cache = dict()", "    static int calls = 0;"):
        assert variable.match(line)


needs_no_gil = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python, which warns of the GIL"
)


@needs_no_gil
@pytest.mark.parametrize("name", [*SHARED, *BUILDS])
def test_compiled_modules_leave_the_gil_off(name):
    done = python(f"import sys, fastembed._kernels.{name}; print(sys._is_gil_enabled())")
    assert (done.stdout, done.stderr) == ("False\n", "")


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


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", 16), ("float64", 8)])
def test_the_padded_width_is_whole_cache_lines(dtype, lanes):
    widths = {dim: padded_width(dim, dtype) for dim in (1, lanes - 1, lanes, lanes + 1, 100)}
    assert widths == {1: lanes, lanes - 1: lanes, lanes: lanes, lanes + 1: 2 * lanes, 100: -(-100 // lanes) * lanes}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_aligned_zeros_begin_at_a_cache_line(dtype):
    for shape in ((), (0,), (1,), (7, 3), (2, 3, 4)):
        array = aligned_zeros(shape, dtype)
        assert (array.shape, array.dtype, array.any()) == (shape, dtype, False)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0 or not array.size


# ---------------------------------------------------------------- how it was compiled


def declared(path):
    """Return the names and arguments in a stub, except those that only type checkers see."""
    functions = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = [argument.arg for argument in node.args.args]
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in (each for each in node.body if not each.name.startswith("_")):
                functions[f"{node.name}.{method.name}"] = [argument.arg for argument in method.args.args]
    return functions


def compiled(module):
    """Return the names and arguments in a compiled module."""
    functions = {}
    for name, value in vars(module).items():
        if isinstance(value, type):
            for member in (key for key in vars(value) if not key.startswith("_")):
                found = getattr(value, member)
                arguments = list(inspect.signature(found).parameters) if callable(found) else ["self"]  # of a property
                functions[f"{name}.{member}"] = arguments
        elif callable(value) and not name.startswith("_"):
            functions[name] = list(inspect.signature(value).parameters)
    return functions


@pytest.mark.thread_unsafe(reason="ast counts its recursion in one place for all threads, in some Pythons")
@pytest.mark.parametrize("name", [*BUILDS, *SHARED])
def test_stubs_say_what_the_modules_hold(name):
    stub = FOLDER / f"{name.replace('.', '/')}.pyi"
    if "import *" in stub.read_text(encoding="utf-8"):
        stub = FOLDER / "builds" / "portable.pyi"
    assert declared(stub) == compiled(importlib.import_module(f"fastembed._kernels.{name}"))


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


@pytest.mark.thread_unsafe(reason="ast counts its recursion in one place for all threads, in some Pythons")
def test_no_flag_of_the_compiler_is_forbidden():
    setup = ROOT / "setup.py"
    strings = [
        node.value for node in ast.walk(ast.parse(setup.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    ]
    flags = [value for value in strings if isinstance(value, str) and re.match(r"[-/][A-Za-z]", value)]
    assert "-O3" in flags
    forbidden = ("fast-math", "Ofast", "unsafe-math", "native", "finite-math", "fp:fast", "reciprocal-math")
    assert not [flag for flag in flags for word in forbidden if word in flag]


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
print([m for m in ("matplotlib", "torch", "gensim", "pandas", "pytest", "fastembed.reference") if m in sys.modules])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stderr
