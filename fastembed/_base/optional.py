"""Imports at first use: of public names, and of the libraries of an extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package whose modules define its public names.

    The modules are imported at first use, since an import of a package holds the import lock of the package while it
    waits for the locks of its modules. A thread that imports a module first takes the locks in the other order. Python
    resolves the deadlock by letting one thread see an incomplete module.

    Parameters
    ----------
    package : str
        The ``__name__`` of the package.
    names : mapping of str to str
        The public names of each module, with spaces between; a module is within the package unless it has a full name.

    Examples
    --------
    >>> get, listed = lazy_names("fastembed.trainer", {"trainer": "Trainer"})
    >>> get("Trainer").__name__, listed()
    ('Trainer', ['Trainer'])
    """
    modules = {name: module for module, several in names.items() for name in several.split()}

    def get(name: str) -> object:
        if name in modules:
            module = modules[name] if "." in modules[name] else f"{package}.{modules[name]}"
            return getattr(import_module(module), name)
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
