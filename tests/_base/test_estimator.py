"""The conventions of estimators, on a class that has nothing else."""

import pytest

from fastembed._base import estimator


class Scale:
    def __init__(self, factor=2, offset=0):
        self.factor, self.offset = factor, offset


def test_parameters_are_those_of_the_constructor():
    scale = Scale(3)
    scale.learned_ = 7
    assert estimator.get_params(scale) == {"factor": 3, "offset": 0}


def test_parameters_are_set_all_or_none():
    scale = Scale()
    estimator.set_params(scale, {"factor": 5, "offset": 1})
    with pytest.raises(ValueError, match="Scale has no parameter 'size'; it has factor, offset"):
        estimator.set_params(scale, {"factor": 9, "size": 8})
    assert estimator.get_params(scale) == {"factor": 5, "offset": 1}


def test_the_call_names_what_is_not_the_default():
    assert estimator.constructor_call(Scale()) == "Scale()"
    assert estimator.constructor_call(Scale(offset="x")) == "Scale(offset='x')"
