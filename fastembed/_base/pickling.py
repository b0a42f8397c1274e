"""How public objects are pickled: by the public names of their classes, so that a module within a package may move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import fastembed

C = TypeVar("C", bound=type)


def pickled_as(name: str) -> Callable[[C], C]:
    """Return a decorator of classes whose instances are pickled, and copied, by a public name.

    What is pickled is what ``__getstate__`` returns; ``__setstate__`` takes it. Classes that derive from the class are
    pickled by their own names.

    Parameters
    ----------
    name : str
        The public name of the class, without the ``fastembed.`` before it.

    Examples
    --------
    >>> import pickle
    >>> from fastembed import Vocabulary
    >>> text = pickle.dumps(Vocabulary(["a"], [1]))
    >>> b"fastembed.vocabulary" in text, pickle.loads(text).tokens
    (False, ('a',))
    """

    def decorate(cls: C) -> C:
        def reduce(self: Any, protocol: Any) -> Any:
            if type(self) is not cls:
                return object.__reduce_ex__(self, protocol)
            return fastembed._restore, (name,), self.__getstate__()

        cls.__reduce_ex__ = reduce  # type: ignore[method-assign, assignment]
        return cls

    return decorate
