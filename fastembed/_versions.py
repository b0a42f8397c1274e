"""What this installation runs on."""

from __future__ import annotations

import platform

import numpy as np
import scipy
from threadpoolctl import threadpool_info

import fastembed
from fastembed import _kernels
from fastembed._threads import check_threads


def show_versions() -> None:
    """Print versions, the compiled build in use, BLAS and threads: what a report of a problem should hold.

    Examples
    --------
    >>> show_versions()  # doctest: +ELLIPSIS
    fastembed  ...
    """
    blas = [
        f"{library['internal_api']} {library['version']}, {library.get('architecture', 'unknown')} kernels,"
        f" {library['num_threads']} threads"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    rows = {
        "fastembed": fastembed.__version__,
        "build": f"{_kernels.BUILD} (this CPU runs {', '.join(_kernels.runnable_builds())})",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": "; ".join(blas) or "none found",
        "threads": str(check_threads(None)),
    }
    for name, value in rows.items():
        print(f"{name:<10} {value}")
