"""Files that have a URL, which fsspec reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

from fastembed._base.extras import require

_URL = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)


def is_url(name: object) -> TypeGuard[str]:
    """Return whether a name is a URL.

    Examples
    --------
    >>> is_url("s3://bucket/text.gz"), is_url("C:/text"), is_url("a://b c")
    (True, False, True)
    """
    return isinstance(name, str) and _URL.match(name) is not None


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Let errors of file systems name a URL, as FileNotFoundError, PermissionError or another OSError.

    Libraries of file systems have errors of their own, of many kinds.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {url!r}: {_reason(error)}") from error
    except PermissionError as error:
        raise PermissionError(f"{url!r} cannot be read or written: {_reason(error)}") from error
    except ImportError as error:
        raise ImportError(f"{url!r} needs a library: {error}") from error
    except Exception as error:
        raise OSError(f"{url!r} cannot be read or written: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def file_system(url: str, **options: Any) -> tuple[Any, str]:
    """Return the file system of a URL, of fsspec, and the path in it."""
    core = require("fsspec.core", "remote")
    with naming(url):
        found: tuple[Any, str] = core.url_to_fs(url, **options)
    return found
