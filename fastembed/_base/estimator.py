"""The conventions of scikit-learn's estimators, without scikit-learn: what the methods of an estimator delegate to.

The constructor of an estimator keeps its arguments as they are, each under its own name. scikit-learn's `clone`,
`Pipeline` and parameter searches build on that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fastembed
from fastembed._base.optional import require
from fastembed._base.validation import check_choice, shown

OUTPUTS = ("default", "pandas")  # what `transform` can be set to return


def get_params(estimator: object) -> dict[str, Any]:
    """Return the parameters of an estimator by name, in the order of its constructor.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    dict

    Examples
    --------
    >>> class Scale:
    ...     def __init__(self, factor=2, offset=0):
    ...         self.factor, self.offset = factor, offset
    >>> get_params(Scale(3))
    {'factor': 3, 'offset': 0}
    """
    return {name: getattr(estimator, name) for name in inspect.signature(type(estimator)).parameters}


def set_params(estimator: object, parameters: Mapping[str, Any]) -> None:
    """Set parameters of an estimator by name: all of them, or none if one is unknown.

    Parameters
    ----------
    estimator : object
    parameters : mapping of str to object

    Raises
    ------
    ValueError
        If the constructor has no parameter of a name.
    """
    known = inspect.signature(type(estimator)).parameters
    for name in parameters:
        if name not in known:
            raise ValueError(f"{type(estimator).__name__} has no parameter {name!r}; it has {', '.join(known)}")
    vars(estimator).update(parameters)


def constructor_call(estimator: object) -> str:
    """Return the constructor call that gives an estimator's parameters, without those at their defaults.

    Values of more than 80 characters, such as long lists of words, are cut.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    str
    """
    defaults = inspect.signature(type(estimator)).parameters
    values = get_params(estimator).items()
    changed = ((name, value) for name, value in values if repr(value) != repr(defaults[name].default))
    arguments = (f"{name}={shown(value)}" for name, value in changed)
    return f"{type(estimator).__name__}({', '.join(arguments)})"


def document_transformer_tags() -> Any:
    """Return the tags, in the sense of scikit-learn 1.6 and later, of a transformer of documents."""
    from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

    return Tags(
        estimator_type="transformer",
        target_tags=TargetTags(required=False),
        transformer_tags=TransformerTags(preserves_dtype=[]),
        input_tags=InputTags(two_d_array=False, string=True),
    )


def set_output(estimator: object, transform: str | None) -> None:
    """Set what `transform` of an estimator returns; None changes nothing.

    Parameters
    ----------
    estimator : object
    transform : {"default", "pandas"} or None

    Raises
    ------
    ValueError
        If it is another.
    """
    if transform is not None:
        check_choice("transform", transform, OUTPUTS)
        vars(estimator)["_sklearn_output_config"] = {"transform": transform}  # which scikit-learn's `clone` copies


def output(estimator: Any, rows: Any, documents: object) -> Any:
    """Return the rows that `transform` computed, as `set_output` or scikit-learn's `set_config` asks for them.

    Parameters
    ----------
    estimator : object
    rows : ndarray (N, D)
    documents : object
        What they were computed from. If it has an index, as a Series of pandas, the rows get it.

    Raises
    ------
    ImportError
        If pandas is asked for and missing.
    ValueError
        If scikit-learn is set to another kind of output.
    """
    wanted = getattr(estimator, "_sklearn_output_config", {}).get("transform")
    if wanted is None and "sklearn" in sys.modules:
        wanted = sys.modules["sklearn"].get_config()["transform_output"]
    if wanted is None or check_choice("transform_output", wanted, OUTPUTS) == "default":
        return rows
    index = getattr(documents, "index", None)
    index = None if callable(index) else index  # as of a list
    return require("pandas", "pandas").DataFrame(rows, index=index, columns=estimator.get_feature_names_out())


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
