"""The versions and the machine that an installation runs on."""

from __future__ import annotations

import platform

import numpy as np
import scipy
from threadpoolctl import threadpool_info

import fastembed
from fastembed import _kernels
from fastembed._base.threads import check_threads
from fastembed._kernels.words import unicode_version


def versions() -> dict[str, str]:
    """Return versions (that of Unicode's tables too), the compiled build and its caches, BLAS and threads, by name.

    Examples
    --------
    >>> list(versions())
    ['fastembed', 'build', 'caches', 'python', 'unicode', 'numpy', 'scipy', 'blas', 'threads']
    """
    blas = [
        f"{library['internal_api']} {library['version']}, {library.get('architecture', 'unknown')} kernels,"
        f" {library['num_threads']} threads"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    return {
        "fastembed": fastembed.__version__,
        "build": f"{_kernels.BUILD} (this CPU runs {', '.join(_kernels.runnable_builds())})",
        "caches": str(_kernels.CACHES),
        "python": f"{platform.python_version()} on {platform.platform()}",
        "unicode": unicode_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": "; ".join(blas) or "none found",
        "threads": str(check_threads(None)),
    }


def show_versions() -> None:
    """Print versions, the compiled build and the CPU's caches, BLAS and threads: what a bug report should include.

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    fastembed  ...
    """
    for name, value in versions().items():
        print(f"{name:<10} {value}")
