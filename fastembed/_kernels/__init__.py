"""All compiled modules, and the choice of the build that this process runs.

==============  =====================================================================================================
``builds/``     the numeric kernels, a module per instruction set, compiled from these ``.pxi`` files:
                ``row`` (one example), ``row_trainer`` (many examples);
                ``block`` (a block of counts), ``exchange`` (with other processes), ``block_tasks`` (a thread's part of
                a step, with ``blas``), ``team`` (the threads), ``block_trainer`` (many blocks);
                ``bags``, ``sparse`` (CSR times dense), ``squares`` (a ridge per label), ``mixture`` (of two logits)
``cooccur``     windows over token ids -> counts; products and regressions of sparse matrices
``tiles``       rows of counts <-> the tiles of a store
``words``       text -> text: words out of raw text, lines of wrapped text joined
``tokens``      text -> tokens -> ids: the table of tokens, the check of UTF-8; with ``phrases.pxi`` the tables of
                neighbours and of phrases
``ngrams``      n-grams of characters or of words -> ids, by an exact dictionary
``features``    token ids -> bags of features, labelled lines -> labels and text, for the classifier
``cpu``         the instruction set, the caches and the floating-point mode of this CPU
==============  =====================================================================================================

The sources share the ``.pxd`` files: ``types``, ``bits``, ``exp``, ``primitives`` and ``bags`` (numbers), ``tile``,
``float_mode``, ``hashing``, ``bytes_table`` (the hash table of tokens and of n-grams), ``token_scan``. A source imports
or includes by name all that it uses. Modules outside of ``builds`` are compiled once, for the base instruction set.

Every compiled module:

- takes memory (typed memoryviews) and numbers, and imports nothing of this package. `row_trainer`, `block_trainer` and
  `RowTrainer.train` also take objects whose attributes are arrays; tables and `features.bags` also take lists;
- has no global state. The tile sizes for the caches are arguments;
- releases the GIL in loops over an array, a text or a table, unless they make, take or call Python objects:
  `TokenTable.fill` and `frequent`, `NeighborTable.frequent`, `PhraseTable.insert`, `Ranking.take`, the checks of
  `features.bags`, and the calls of a `BlockTrainer` to its exchange;
- may run in several threads at once, on memory that does not overlap or that all threads only read.

``builds``, ``cooccur`` and ``tiles``:

- check nothing. ``fastembed.trainer``, ``classifier``, ``recommender``, ``skipgram`` and ``counts`` check shapes,
  dtypes, contiguity, ids and finiteness first. The one check is `block_trainer`'s: that BLAS takes integers of type
  int;
- allocate nothing. The caller owns all memory, scratch included. A ``RowTrainer`` and a ``BlockTrainer`` keep the
  arrays that they are bound to; a ``BlockTrainer`` owns the locks of its team. All other kernels keep no reference.

``builds`` alone:

- has every kernel for float32 and float64 (``real`` in the sources). All arrays of a call have one dtype. Losses,
  normalisers of the softmax and Adagrad's sums of squares are double in both;
- takes rows of ``weights``, and vectors of their width, padded with zeros to whole cache lines
  (`fastembed._base.arrays.padded_width`);
- computes in the floating-point mode of the calling thread, which the caller makes the default one
  (`cpu.DefaultFloatMode`). `RowTrainer.step` does so itself. All kernels leave the mode unchanged;
- shows Python the functions that the library calls, and `exp_array`, by which the tests measure the exponential. The
  tests compare the steps on a block with their twin through `block_trainer`.

``tokens``, ``words``, ``ngrams`` and ``features``:

- have objects with state: ``TokenTable``, ``NeighborTable``, ``PhraseTable``, ``NgramTable``. A table allocates and
  frees its memory. If it cannot grow, it raises MemoryError and keeps its counts. One thread may add to a table at a
  time; any number may read it while none adds. A ``PairIndex`` owns its memory and never changes;
- have a ``Ranking``, which refers to tables. The tables must not change while it is in use;
- free what they allocate for a call, and return texts as new bytes;
- take valid UTF-8, which `valid_utf8` checks. `PhraseTable.insert`, `PairIndex` and `features.bags` check their
  arguments and raise ValueError. All else is checked by ``fastembed.ngrams``, ``corpus`` and ``classifier``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

try:
    from fastembed._kernels.cpu import data_cache_bytes, x86_level
except ModuleNotFoundError as error:
    raise ImportError(
        f"{__path__[0]!r} is a source folder: `pip install .`, and start Python in another folder"
    ) from error

_SPECIALIZATION = {"float32": "float", "float64": "double"}  # Cython's names of the versions of a kernel


def runnable_builds() -> tuple[str, ...]:
    """Return the compiled builds that this CPU runs, the fastest last."""
    names = ("portable", *(f"x86_64_v{level}" for level in range(2, x86_level() + 1)))
    return tuple(name for name in names if find_spec(f"{__name__}.builds.{name}") is not None)


def choose_build(environment: Mapping[str, str] = os.environ) -> str:
    """Return the fastest runnable build, or the one that ``FASTEMBED_ISA`` names.

    Raises
    ------
    ImportError
        If ``FASTEMBED_ISA`` is not a runnable build, or if no build runs on this CPU.
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


# A step reads a tile of the linear layer twice: for the logits, and for their share of the gradient. At the second use
# the tile should still be in the first-level cache, with the next tile, which is prefetched meanwhile. If the whole
# layer fits the second-level cache, prefetching costs more than it gains, and a larger tile is faster. docs/design.md
# has the figures.
KIB = 1 << 10
TILE_BYTES = 8 * KIB  # two tiles are half of the smallest first-level cache in use, 32 KiB
TILE_BYTES_IN_LEVEL2 = 32 * KIB


def tiling(rows: int, row_bytes: int, level2: int) -> tuple[int, bool]:
    """Return the rows per tile of a linear layer, a multiple of 8, and whether to prefetch the next tile."""
    prefetch = rows * row_bytes > level2
    tile_rows = (TILE_BYTES if prefetch else TILE_BYTES_IN_LEVEL2) // row_bytes // 8 * 8
    return min(max(tile_rows, 8), kernels_for("float32").TILE_ROWS), prefetch


def level2_bytes() -> int:
    """Return the size of the second-level cache: from CPUID; on other architectures 512 KiB, on those of Apple 4 MiB.

    Tiles determine the order of sums, so the size must not depend on the core that runs this function.
    """
    return data_cache_bytes(2) or (4096 * KIB if sys.platform == "darwin" else 512 * KIB)


BUILD = choose_build()
LEVEL2_BYTES = level2_bytes()


_specialized: dict[tuple[np.dtype[Any] | str, str], SimpleNamespace] = {}


def kernels_for(dtype: np.dtype[Any] | str, build: str | None = None) -> SimpleNamespace:
    """Return the kernels of a build (default: `BUILD`), each specialised for a dtype, and its constants."""
    which = dtype, build or BUILD  # tests set BUILD
    if which not in _specialized:
        module, name = import_module(f"{__name__}.builds.{which[1]}"), _SPECIALIZATION[np.dtype(dtype).name]
        public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        _specialized[which] = SimpleNamespace(
            **{key: value[name] if hasattr(value, "__signatures__") else value for key, value in public.items()}
        )
    return _specialized[which]
