"""The versions and the machine that an installation runs on."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib import import_module
from typing import Any

import numpy as np
import scipy
from threadpoolctl import threadpool_info

import fastembed
from fastembed import _kernels
from fastembed._base.threads import SingleThreadedBlas, check_threads
from fastembed._kernels.words import unicode_version

DEPTH = 2000  # terms of each sum: BLAS adds up several hundred at a time


def versions() -> dict[str, str]:
    """Return versions (that of Unicode's tables too), the compiled build and its caches, BLAS and threads, by name.

    Examples
    --------
    >>> list(versions())
    ['fastembed', 'build', 'caches', 'python', 'unicode', 'numpy', 'scipy', 'blas', 'threads']
    """
    blas = [f"{_blas_kernels(library)}, {library['num_threads']} threads" for library in _blas_libraries()]
    return {
        "fastembed": fastembed.__version__,
        "build": f"{_kernels.BUILD} (this CPU runs {', '.join(_kernels.runnable_builds())})",
        "caches": f"{_kernels.LEVEL2_BYTES >> 10:,} KiB L2",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "unicode": unicode_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": "; ".join(blas) or "none found",
        "threads": str(check_threads(None)),
    }


def origin_of_bits() -> dict[str, str]:
    """Return all that the bits of a result may depend on besides what it is computed from, by name.

    Examples
    --------
    >>> list(origin_of_bits())
    ['fastembed', 'kernels', 'numpy', 'scipy', 'BLAS', 'products of BLAS']
    """
    products = _products_digest()  # first: it loads SciPy's BLAS
    own = [each for each in _blas_libraries() if {"numpy", "scipy"} & set(re.split(r"\W", each["filepath"]))]
    return {
        "fastembed": fastembed.__version__,
        "kernels": _kernels.BUILD,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "BLAS": "; ".join(sorted({_blas_kernels(library) for library in own or _blas_libraries()})) or "unknown",
        "products of BLAS": products,
    }


def _products_digest() -> str:
    """Return a digest of the bits of some matrix products, by SciPy's BLAS as in training and by NumPy's as elsewhere.

    BLAS chooses how to add up by the CPU, its caches included; its name and version do not say all.
    """
    blas = import_module("scipy.linalg.blas")  # here, since it takes long
    digest = hashlib.sha256()
    with SingleThreadedBlas():
        for dtype, multiply in (("float32", blas.sgemm), ("float64", blas.dgemm)):
            numbers = np.sin(np.arange(DEPTH * 32, dtype=np.float64)).astype(dtype).reshape(DEPTH, 32)
            digest.update(multiply(1, numbers.T, numbers).tobytes())
            digest.update((numbers.T @ numbers).tobytes())
    return digest.hexdigest()[:16]


def _blas_libraries() -> list[dict[str, Any]]:
    return [library for library in threadpool_info() if library["user_api"] == "blas"]


def _blas_kernels(library: dict[str, Any]) -> str:
    """Return the name, the version and the kernels of a BLAS library."""
    return f"{library['internal_api']} {library['version']}, {library.get('architecture', 'unknown')} kernels"


def show_versions() -> None:
    """Print versions, the compiled build and the CPU's caches, BLAS and threads: what a bug report should include.

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    fastembed  ...
    """
    for name, value in versions().items():
        print(f"{name:<10} {value}")
