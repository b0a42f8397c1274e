"""Imports at first use: of public names, and of the libraries of an extra."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package, whose stub ``__init__.pyi`` imports its names.

    A module is imported when one of its names is first used, since an import of a package holds the import lock of the
    package while it waits for the locks of its modules. A thread that imports a module first takes the locks in the
    other order. Python resolves the deadlock by letting one thread see an incomplete module.

    Parameters
    ----------
    package, file : str
        The ``__name__`` and the ``__file__`` of the package.

    Examples
    --------
    >>> import fastembed.trainer
    >>> get, listed, names = lazy_names("fastembed.trainer", fastembed.trainer.__file__)
    >>> get("Trainer").__name__, listed(), names
    ('Trainer', ['Trainer'], ['Trainer'])
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    modules = {alias.name: node.module for node in imports for alias in node.names}  # None for a module itself

    def get(name: str) -> object:
        if name in modules:
            module = import_module(f"{package}.{modules[name] or name}")
            return getattr(module, name) if modules[name] else module
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted(modules), sorted(modules)


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
