"""The conventions of scikit-learn's estimators, without scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self


class Estimator:
    """A base for classes whose constructor keeps its arguments as they are, each under its own name.

    scikit-learn's `clone`, `Pipeline` and searches of parameters work on them.

    Examples
    --------
    >>> class Scale(Estimator):
    ...     def __init__(self, factor=2, offset=0):
    ...         self.factor, self.offset = factor, offset
    >>> Scale(3).set_params(offset=1).get_params()
    {'factor': 3, 'offset': 1}
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            Without effect: no parameter is itself an estimator.

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
        """Set parameters by name; those that fits have learned stay until the next fit.

        Parameters
        ----------
        **parameters
            As for the constructor.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name; nothing has been set then.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram().set_params(dim=50, epochs=3)
        SkipGram(dim=50, epochs=3)
        """
        known = list(inspect.signature(type(self)).parameters)
        for name in parameters:
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
        vars(self).update(parameters)
        return self

    def __repr__(self) -> str:
        """Return the call of the constructor that gives these parameters, without those at their defaults."""
        defaults = inspect.signature(type(self)).parameters
        shown = ((name, repr(value)) for name, value in self.get_params().items())
        others = (f"{name}={text}" for name, text in shown if text != repr(defaults[name].default))
        return f"{type(self).__name__}({', '.join(others)})"

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn, from version 1.6, asks of an estimator in a pipeline: it takes documents."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(two_d_array=False, string=True),
        )
