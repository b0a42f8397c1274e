"""What all estimators have in common: the conventions of scikit-learn's estimators, without scikit-learn.

The constructor of an estimator keeps each argument, unchanged, as the attribute of the same name. scikit-learn's
`clone`, `Pipeline` and parameter searches rely on this.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, ClassVar, Generic, Self, TypeVar

from fastembed._base.optional import require
from fastembed._base.validation import check_choice, nearest, shown

Fitted = TypeVar("Fitted")
# Parameters, and their names in gensim, fastText, scikit-learn and implicit
RENAMED = {"dim": "vector_size size factors n_components", "epochs": "iterations iter epoch max_iter"}
RENAMED |= {"threads": "workers thread n_jobs", "seed": "random_state", "learning_rate": "lr alpha", "window": "ws"}
RENAMED |= {"subwords": "min_n max_n minn maxn", "chars": "minn maxn", "reading": "words tokenizer lowercase"}
RENAMED |= {"ngrams": "wordNgrams ngram_range", "min_count": "minCount min_df", "weighting": "shrink_windows"}
OUTPUTS = ("default", "pandas")  # kinds of results of `transform`


class Estimator(Generic[Fitted]):
    """The parameters of an estimator, by name, its repr, and the result of its last fit.

    An estimator is a dataclass of its parameters.
    """

    _model: Fitted | None = None
    _read: Callable[[Any], Any]

    @property
    def _fitted(self) -> Fitted:
        """The result of the last fit; AttributeError before a fit."""
        if self._model is None:
            kind = type(self).__name__
            raise AttributeError(f"this {kind} has not been fitted yet: call fit first, or {kind}.load")
        return self._model

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, in the order of the constructor.

        Parameters
        ----------
        deep : bool
            Ignored: no parameter is itself an estimator.

        Returns
        -------
        dict

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram(dim=50).get_params()["dim"]
        50
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name. The fitted state stays until the next fit.

        Parameters
        ----------
        **parameters
            As for the constructor.

        Returns
        -------
        object
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a given name; no parameter is set.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram().set_params(dim=20)
        SkipGram(dim=20)
        """
        _check_names(self, parameters, ValueError)
        vars(self).update(parameters)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, atomically. A recommender holds its users and their items.

        Parameters
        ----------
        path : path-like
            The file to create or to replace; its suffix must not be that of another format, such as .txt.

        Examples
        --------
        >>> import tempfile
        >>> from fastembed import Classifier
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Classifier().fit(["a b", "c d"], ["x", "y"]).save(f"{folder}/m.safetensors")
        ...     Classifier.load(f"{folder}/m.safetensors").predict(["c"]).tolist()
        ['y']
        """
        self._fitted.save(path)  # type: ignore[attr-defined]

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a model from a file that :meth:`save` has written. Its largest arrays are memory-mapped.

        The file must not be written to while it is open: see `Vectors.load`.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the constructor; the file does not store it.

        Returns
        -------
        object
            With the same bits.
        """
        fitted = cls._read(path)
        try:
            estimator: Any = cls(**fitted.settings | {"threads": threads})
            estimator._options()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} does not hold a {cls.__name__} that fits together: {error}") from error
        estimator._model = fitted
        return estimator

    def __repr__(self) -> str:
        """Return the constructor call, with the parameters that are not the defaults, each cut to 80 characters."""
        defaults = inspect.signature(type(self)).parameters
        values = self.get_params().items()
        changed = ((name, value) for name, value in values if repr(value) != repr(defaults[name].default))
        return f"{type(self).__name__}({', '.join(f'{name}={shown(value)}' for name, value in changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return self._model is not None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_fitting"}


def with_known_names(kind: type[Any]) -> type[Any]:
    """Let the constructor of a class of estimators raise TypeError for data, and for an unknown parameter."""
    make = kind.__init__

    @wraps(make)
    def make_checked(self: Any, *data: Any, **parameters: Any) -> None:
        if data:
            raise TypeError(f"{kind.__name__} takes parameters by name; pass data to fit, got {shown(data[0])}")
        _check_names(self, parameters, TypeError)
        make(self, **parameters)

    kind.__init__ = make_checked
    return kind


def _check_names(estimator: Any, names: Iterable[str], error: type[Exception]) -> None:
    known = list(inspect.signature(type(estimator)).parameters)
    for name in names:
        if name not in known:
            renamed = (option for option in known if name in RENAMED.get(option, "").split())
            here = next(renamed, nearest(name.lower(), known))
            raise error(f"{type(estimator).__name__} has no parameter {name!r}{here and f': it is {here} here'}")


class Transformer(Estimator[Fitted]):
    """An estimator with a method `transform`."""

    _input: ClassVar[Mapping[str, bool]]  # scikit-learn's tags of the input of `fit`

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        kind = TransformerTags(preserves_dtype=[])
        return Tags("transformer", TargetTags(required=False), kind, input_tags=InputTags(**self._input))

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set what :meth:`transform` and :meth:`fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            An array, or a DataFrame. By default nothing changes.

        Returns
        -------
        object
            Itself.

        Raises
        ------
        ValueError
            If `transform` is another word.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram().set_output(transform="default")
        SkipGram()
        """
        if transform is not None:
            check_choice("transform", transform, OUTPUTS)
            vars(self)["_sklearn_output_config"] = {"transform": transform}  # `clone` copies it
        return self


def output(estimator: Any, rows: Any, documents: object) -> Any:
    """Return the rows of `transform` in the form that `set_output` or scikit-learn's `set_config` names.

    Parameters
    ----------
    rows : ndarray (N, D)
    documents : object
        The input of `transform`. The rows get the index of a pandas object.

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
    index = None if callable(index) else index  # a list has a method `index`
    return require("pandas", "pandas").DataFrame(rows, index=index, columns=estimator.get_feature_names_out())


def fields_alone(self: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, without cached properties: its ``__getstate__``."""
    return {field.name: getattr(self, field.name) for field in fields(self)}
