"""How a public name goes: the old one still works for a while, and says what to write instead.

With a FutureWarning. Python hides a DeprecationWarning unless the call stands in the program itself, and the call that
has to change is often in a module which the program imports. How long a while is: `CONTRIBUTING.md`, Versions.
"""

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated(instead: str, *, since: str, removal: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function or method warn at each call.

    Parameters
    ----------
    instead : str
        What to use, as it stands in a program.
    since, removal : str
        The versions that warn first, and that no longer have it.

    Examples
    --------
    >>> @deprecated("Vectors.most_similar", since="0.2", removal="0.4")
    ... def neighbours(word): ...
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        message = f"{function.__qualname__} is deprecated since {since} and goes in {removal}: use {instead}"

        @functools.wraps(function)
        def warning(*args: P.args, **kwargs: P.kwargs) -> R:
            warnings.warn(message, FutureWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warning

    return decorate


def renamed_parameter(old: str, new: str, *, since: str, removal: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Accept the old name of a keyword too, with a warning.

    Parameters
    ----------
    old, new : str
        The names.
    since, removal : str
        The versions that warn first, and that no longer accept it.

    Raises
    ------
    TypeError
        At a call with both names.

    Examples
    --------
    >>> @renamed_parameter("size", "dim", since="0.2", removal="0.4")
    ... def train(dim): ...
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__qualname__

        @functools.wraps(function)
        def renaming(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(f"{name}() got {new!r} and also {old!r}, its old name")
                message = f"{name}(): {old!r} is called {new!r} since {since}, and the old name goes in {removal}"
                warnings.warn(message, FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renaming

    return decorate
