"""All compiled modules, and the choice of the build that this process runs.

==============  =====================================================================================================
``builds/``     the numeric kernels, one module per instruction set, compiled from the ``.pxi`` files beside it: ``row``
                (one example) and ``row_trainer`` (many), ``block`` (a block of counts), ``block_tasks`` (what a thread
                does in a step on one, with ``blas``), ``block_trainer`` (many, by a ``crew`` of threads), ``bags``,
                ``sparse`` (CSR times dense), ``squares`` (a ridge per label)
``cooccur``     windows over token ids -> counts
``tiles``       rows of counts <-> the tiles of a store
``words``       text -> text: words out of raw text, lines of wrapped text joined
``tokens``      text -> tokens -> ids: the table of tokens; the check of UTF-8; with ``phrases.pxi``, the tables of
                neighbours and of phrases
``ngrams``      n-grams of characters or of words -> ids, by an exact dictionary
``features``    token ids -> bags of features, labelled lines -> labels and text, for the classifier
``cpu``         the instruction set and the caches of this CPU, and the mode of its floats
==============  =====================================================================================================

The ``.pxd`` files are shared by the sources: ``types``, ``bits``, ``exp``, ``primitives`` and ``bags`` (numbers),
``float_mode``, ``hashing``, ``bytes_table`` (the hash table of tokens and of n-grams), ``token_scan``. A source imports
or includes by name all that it uses. Modules outside ``builds`` are compiled once, for the base instruction set.

Of every compiled module:

- It takes memory (typed memoryviews) and numbers, and imports nothing of this package. `row_trainer`, `block_trainer`
  and `RowTrainer.train` take scratch memory, bags and the exchange with other processes as attributes of objects;
  tables and `features.bags` also take lists.
- It has no global state: the tile sizes for the caches are arguments.
- Loops over an array, a text or a table run without the GIL, except where Python objects are made, taken or called:
  in `TokenTable.fill` and `frequent`, `NeighborTable.frequent`, `PhraseTable.insert`, `Ranking.take`, and where a
  `BlockTrainer` calls its exchange with other processes. In ``features``, `bags` checks with the GIL as well.
- Two threads may run kernels in parallel on memory that does not overlap, or that both only read.

Of ``builds``, ``cooccur`` and ``tiles``:

- The kernels check nothing. Shapes, dtypes, contiguity, ids and finiteness are checked before a kernel is called: by
  ``fastembed.trainer``, ``fastembed.classifier``, ``fastembed.skipgram`` and ``fastembed.counts``. `block_trainer`
  has the only check: that BLAS takes integers of the right type.
- The caller owns all memory, scratch included. A kernel allocates nothing and holds no reference after it returns, with
  two exceptions: a ``RowTrainer`` and a ``BlockTrainer`` hold the arrays that they are bound to, and a ``BlockTrainer``
  the threads' places and locks of its crew.

Of ``builds`` alone:

- Every kernel exists for float32 and float64 (``real`` in the sources); arrays of one call share one dtype. Losses,
  normalisers of the softmax and Adagrad's sums of squares are double in both.
- Rows of ``weights``, and vectors of their width, are padded with zeros to whole cache lines
  (`fastembed._base.arrays.padded_width`).
- They compute in the floating-point mode of the thread that calls them, which the caller makes the default one
  (`cpu.DefaultFloatMode`). `RowTrainer.step` does so itself, and all leave the mode as it was.
- A function for Python is what the library calls; `exp_array` alone is for the tests, which need the exponential by
  itself to see its error. The steps on a block are compared with their twin as `block_trainer` makes them.

Of ``tokens``, ``words``, ``ngrams`` and ``features``:

- A ``TokenTable``, a ``NeighborTable``, a ``PhraseTable`` and an ``NgramTable`` are objects with state. A table
  allocates and frees its own memory; if it cannot grow, it raises MemoryError and keeps its counts so far.
  One thread may add to a table at a time; any number may read a table while none adds. A ``PairIndex`` owns its memory
  and does not change once it is made.
- A ``Ranking`` refers to tables, which must not change while it is used. What else is allocated for a call, as in
  `number_pairs`, is freed in it.
- Functions that return a text return new bytes: `words`, `sequences`, `PhraseTable.join`, `separate_labels`.
- A text must be valid UTF-8, which `valid_utf8` checks. `PhraseTable.insert` and some of ``features`` check their
  arguments, and raise ValueError. The others check nothing: ``fastembed.ngrams``, ``fastembed.corpus`` and
  ``fastembed.classifier`` pass valid arguments.
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


# A tile of the linear layer is read twice: for the logits, and for their share of the gradient. At the second use it
# should still be in the first-level cache, together with the next tile, which is prefetched meanwhile. If the whole
# layer fits into the second-level cache, prefetching costs more than it gains, and a larger tile is better. The figures
# are in docs/design.md.
KIB = 1 << 10
TILE_BYTES = 8 * KIB  # with the next one, half of the smallest first-level cache in use, 32 KiB
TILE_BYTES_IN_LEVEL2 = 32 * KIB


def tiling(rows: int, row_bytes: int, level2: int) -> tuple[int, bool]:
    """Return the rows per tile of a linear layer, a multiple of 8, and whether to prefetch the next tile."""
    prefetch = rows * row_bytes > level2
    tile_rows = (TILE_BYTES if prefetch else TILE_BYTES_IN_LEVEL2) // row_bytes // 8 * 8
    return min(max(tile_rows, 8), kernels_for("float32").TILE_ROWS), prefetch


def level2_bytes() -> int:
    """Return the size of the second-level cache: from CPUID; on other architectures 512 KiB, on those of Apple 4 MiB.

    Tiles determine the order of sums, so they must not depend on the core that runs this: the smallest cache counts.
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
