"""What is imported when it is first used: public names, libraries of an extra, and files that have a URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeGuard


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package whose modules define its public names.

    A package that imported them at once would hold its own lock while it waits for theirs, and a thread that imports
    one of the modules first waits in the other order. Python then lets one of the two see an incomplete module.

    Parameters
    ----------
    package : str
        The ``__name__`` of the package.
    modules : mapping of str to str
        The module, within the package, of each public name.

    Examples
    --------
    >>> get, names = lazy_names("fastembed.trainer", {"Trainer": "trainer"})
    >>> get("Trainer").__name__, names()
    ('Trainer', ['Trainer'])
    """

    def get(name: str) -> object:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted(modules)


def require(module: str, extra: str) -> Any:
    """Import a module that an extra installs.

    Parameters
    ----------
    module : str
        The name of the module.
    extra : str
        The name of the extra, for the error.

    Raises
    ------
    ImportError
        If the module is missing or cannot be imported. The message gives the reason and the extra.

    Examples
    --------
    >>> require("no_such_library", "parquet")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ImportError: no_such_library cannot be imported (No module ...): install fastembed-cython with the extra [parquet]
    """
    try:
        return import_module(module)
    except ImportError as error:
        message = f"{module} cannot be imported ({error}): install fastembed-cython with the extra [{extra}]"
        raise ImportError(message, name=error.name) from error


# ---------------------------------------------------------------- files that have a URL

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
