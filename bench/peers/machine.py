"""The facts that a figure needs: CPU, BLAS kernels that run, versions, load."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from fastembed import _kernels

OTHER_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

# Variables with which a CPU with AVX-512 runs the code for AVX2: our kernels, OpenBLAS, PyTorch and its libraries
AS_WITH_AVX2 = {
    "FASTEMBED_ISA": "x86_64_v3",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def reject_other_blas_kernels() -> None:
    """Stop if the environment makes OpenBLAS run kernels of another CPU, since ratios to them mean nothing.

    It is allowed if all libraries run the code for AVX2.
    """
    if is_as_with_avx2() and "OPENBLAS_L2_SIZE" not in os.environ:
        return
    found = [name for name in OTHER_KERNELS if name in os.environ]
    if found:
        unset = " ".join(f"-u {name}" for name in found)
        sys.exit(
            f"{', '.join(found)} makes OpenBLAS run kernels other than those of this CPU. Run\n"
            f"  env {unset} {shlex.join([sys.executable, *sys.argv])}"
        )


def facts(*packages: str) -> dict[str, str]:
    """Return the facts to print above a table, with the versions of the imported `packages` of the peers."""
    blas = [f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')}" for lib in _blas()]
    installed_by = packages_distributions()
    wanted = [package for package in ("numpy", "scipy", *packages) if package in installed_by]
    names = [installed_by[package][0] for package in wanted]  # fasttext-wheel also has fasttext
    peers = [f"{name} {version(name)}" for name in names]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    chosen = " (chosen: the CPU has AVX-512)" if is_as_with_avx2() else ""
    return {
        "build": _kernels.BUILD,
        "CPU": f"{_cpu_model()}, {_cpu_count()} usable",
        "caches": _caches(),
        "kernels": f"fastembed {_kernels.BUILD}; {', '.join(blas)}{chosen}",
        "versions": f"Python {platform.python_version()}, {', '.join(peers)}",
        "system": f"{platform.system()} {platform.release()}, load {load} at the start",
    }


def is_as_with_avx2() -> bool:
    """Return whether a CPU with AVX-512 runs the code for AVX2."""
    chosen = all(os.environ.get(name) == value for name, value in AS_WITH_AVX2.items())
    return chosen and "x86_64_v4" in _kernels.runnable_builds()


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
    """Return the name of the CPU and, since some names say little, its family and model."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.partition(":") for line in cpuinfo.read_text(encoding="utf-8").splitlines()]
        found = {name.strip(): value.strip() for name, _, value in reversed(lines)}
        if "model name" in found:
            return f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"
    return platform.processor() or platform.machine()


def _caches() -> str:
    """Return the sizes of the data caches that the first CPU uses, as Linux gives them."""
    sizes = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((cache / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            kib = int(size.removesuffix("K"))
            sizes[level] = f"{kib} KiB" if kib < 1024 else f"{kib / 1024:g} MiB"
    return ", ".join(f"{size} L{level}{'d' * (level == '1')}" for level, size in sizes.items()) or "unknown caches"
