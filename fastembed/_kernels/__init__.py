"""Everything compiled, and which build of it this process runs.

The boundary, stated once:

- The kernels know NumPy memory (typed memoryviews) and nothing else of this package. They check nothing: shapes,
  dtypes, contiguity, ids and finiteness are checked by ``fastembed.trainer.checks`` before a kernel is called.
- The caller owns all memory, scratch included. A kernel allocates nothing, holds no reference after it returns, and
  keeps no global state.
- A kernel releases the GIL for its whole loop. Two threads may run kernels at once on memory that does not overlap.
- Every kernel exists for float32 and float64 (``real`` in the sources); arrays of one call share one dtype. Sums and
  losses are double in both.
- Rows of ``weights``, and vectors of their width, are padded with zeros to whole cache lines (`padded_width`).

The kernels' source is compiled once per instruction set (see ``setup.py``); `BUILD` names the one in use: the newest
that the CPU runs, or the one that the environment variable ``FASTEMBED_ISA`` asks for. ``cooccur`` and ``cpu`` are
compiled once, for the base instruction set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

try:
    from fastembed._kernels.cpu import x86_level
except ModuleNotFoundError as error:
    raise ImportError(
        f"{__path__[0]!r} holds no compiled modules: it is a source folder, found before an installed package because"
        " Python was started beside it. Install with `pip install .`, and start Python in another folder"
    ) from error
_SPECIALIZATION = {"float32": "float", "float64": "double"}


def runnable_builds() -> tuple[str, ...]:
    """Return the compiled builds that this CPU runs, the fastest last."""
    names = ("portable", *(f"x86_64_v{level}" for level in range(2, x86_level() + 1)))
    return tuple(name for name in names if find_spec(f"{__name__}.{name}") is not None)


def choose_build(environment: Mapping[str, str] = os.environ) -> str:
    """Return the fastest runnable build, or the one that ``FASTEMBED_ISA`` names.

    Raises
    ------
    ImportError
        If ``FASTEMBED_ISA`` names no build of this platform, or one that the CPU cannot run, or if the CPU runs none.
    """
    runnable = runnable_builds()
    if not runnable:
        raise ImportError("fastembed needs an x86-64-v2 CPU (SSE4.2 and POPCNT, 2009 or later); this one has neither")
    wanted = environment.get("FASTEMBED_ISA", "")
    if not wanted:
        return runnable[-1]
    name = wanted.replace("-", "_")
    if name not in runnable:
        raise ImportError(f"FASTEMBED_ISA={wanted!r} cannot run on this CPU; these can: {', '.join(runnable)}")
    return name


BUILD = choose_build()


def kernels_for(dtype: np.dtype[Any] | str, build: str | None = None) -> SimpleNamespace:
    """Return the kernels of a build (default: `BUILD`), each specialised for a dtype, as attributes."""
    module = import_module(f"fastembed._kernels.{build or BUILD}")
    name = _SPECIALIZATION[np.dtype(dtype).name]
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    return SimpleNamespace(
        **{key: value[name] if hasattr(value, "__signatures__") else value for key, value in functions.items()}
    )
