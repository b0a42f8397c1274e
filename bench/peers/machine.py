"""The facts that a figure needs: CPU, BLAS kernels that run, versions, load."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from fastembed import _kernels

OTHER_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def reject_other_blas_kernels() -> None:
    """Stop where the environment makes OpenBLAS run kernels of another CPU: ratios to them mean nothing."""
    found = [name for name in OTHER_KERNELS if name in os.environ]
    if found:
        unset = " ".join(f"-u {name}" for name in found)
        sys.exit(
            f"{', '.join(found)} makes OpenBLAS run kernels other than those of this CPU. Run\n"
            f"  env {unset} {shlex.join([sys.executable, *sys.argv])}"
        )


def facts(*packages: str) -> dict[str, str]:
    """Return what to print above a table; `packages` are the peers whose versions belong there."""
    blas = [f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')}" for lib in _blas()]
    peers = [f"{name} {version(name)}" for name in ("numpy", "scipy", *packages)]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "CPU": f"{_cpu_model()}, {_cpu_count()} usable",
        "kernels": f"fastembed {_kernels.BUILD}; {', '.join(blas)}",
        "versions": f"Python {platform.python_version()}, {', '.join(peers)}",
        "system": f"{platform.system()} {platform.release()}, load {load} at the start",
    }


def print_facts(title: str, *packages: str) -> dict[str, str]:
    """Print a title and the facts; return the facts."""
    found = facts(*packages)
    print(f"# {title}")
    for name, text in found.items():
        print(f"{name + ':':10}{text}")
    return found


def _blas() -> list[dict[str, str]]:
    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    return [lib for lib in threadpool_info() if lib["user_api"] == "blas"]


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
