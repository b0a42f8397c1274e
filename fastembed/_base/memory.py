"""Free memory, and limits on the memory of this process."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from fastembed._base.validation import check_integer

LEAST = 10**6  # bytes, the smallest limit
UNKNOWN = 4 << 30  # bytes: the free memory on systems that do not report it


def check_memory_limit(limit: int | None) -> int:
    """Return the limit in bytes; by default half of the free memory.

    Raises
    ------
    TypeError
        If `limit` is neither None nor an integer.
    ValueError
        If `limit` is below 1 MB.
    """
    if limit is None:
        return max(free_memory() // 2, LEAST)
    return check_integer("memory_limit (bytes, such as 200_000_000)", limit, low=LEAST)


def free_memory() -> int:
    """Return how many bytes this process can still take without swapping: of the machine, or of its Linux cgroup."""
    if sys.platform == "win32":
        return _free_on_windows()
    kilobytes = _number(Path("/proc/meminfo"), "MemAvailable:")
    if kilobytes is not None:
        free = 1024 * kilobytes
    else:
        names = os.sysconf_names
        pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in names else "SC_PHYS_PAGES"
        free = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE") if pages in names else UNKNOWN
    group = Path("/sys/fs/cgroup")
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    cache = _number(group / "memory.stat", "inactive_file") or 0
    return free if limit is None or used is None else max(min(free, limit - used + cache), 0)


def check_free(count: int, what: str, advice: str) -> None:
    """Raise MemoryError if an operation takes more memory than is free.

    Parameters
    ----------
    count : int
        The bytes of the operation.
    what, advice : str
        For the message: the operation, and what would take less memory.

    Examples
    --------
    >>> check_free(10**18, "an answer of 10 digits", "ask for fewer")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    MemoryError: an answer of 10 digits takes about 1,000,000,000.0 GB, but ... are free: ask for fewer
    """
    free = free_memory()
    if count > free:
        raise MemoryError(f"{what} takes about {readable(count)}, but {readable(free)} are free: {advice}")


def readable(count: int) -> str:
    """Return a number of bytes as GB or MB.

    Examples
    --------
    >>> readable(1_240_000_000), readable(56_000_000)
    ('1.2 GB', '56 MB')
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def resident_memory() -> int:
    """Return how many bytes of memory this process holds now, on Linux; 0 on other systems."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def give_back_freed() -> None:
    """Let the C library give freed memory back to the system: glibc keeps fragments of freed memory."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # glibc alone has it
        trim(0)


def _number(file: Path, name: str = "") -> int | None:
    """Return the number in a file of the system, or the number behind a name in it; None without a number."""
    try:
        text = file.read_text(encoding="utf-8")
        return int(text.partition(name)[2].split()[0] if name else text)
    except (OSError, ValueError, IndexError):  # no such file or name, or "max"
        return None


def _free_on_windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page", "free_page", "virtual", "left", "more")),
        )

    status = Status(length=ctypes.sizeof(Status))
    library: Any = ctypes
    return int(status.free) if library.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else UNKNOWN
