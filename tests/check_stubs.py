"""stubtest of the compiled modules: run by `make lint`, from the folder of pyproject.toml.

All builds of the kernels share the stub of `portable`, and stubtest passes over names that a stub imports from another.
So the build that this CPU runs stands here for `portable`.
"""

import sys
from importlib import import_module

from mypy.stubtest import parse_options, test_stubs

from fastembed._kernels import BUILD

sys.modules["fastembed._kernels.builds.portable"] = import_module(f"fastembed._kernels.builds.{BUILD}")
modules = [
    f"fastembed._kernels.{name}"
    for name in ("builds.portable", "cooccur", "cpu", "features", "ngrams", "tiles", "tokens", "words")
]
options = ["--mypy-config-file", "pyproject.toml", "--allowlist", "tests/stubtest_allowlist.txt"]
sys.exit(test_stubs(parse_options([*options, *modules])))
