"""Imports of the libraries of an extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any


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
