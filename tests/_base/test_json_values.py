"""`plain`: values as JSON can hold them."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from fastembed._base.validation import plain


@dataclass
class Point:
    x: object
    y: object


def test_containers_scalars_and_dataclasses_become_what_json_has():
    value = {"a": (np.int8(1), [np.float32(0.5)]), "b": Point(np.True_, None), "c": "text", "d": 7, "e": np.str_("s")}
    found = plain(value)
    assert found == {"a": [1, [0.5]], "b": {"x": True, "y": None}, "c": "text", "d": 7, "e": "s"}
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert {type(found["a"][0]), type(found["a"][1][0]), type(found["b"]["x"])} == {int, float, bool}


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float32("-inf"), np.float64("nan")])
def test_numbers_that_are_not_finite_are_rejected_or_become_none(number):
    with pytest.raises(ValueError, match="JSON holds finite numbers only, got "):
        plain({"a": [number]})
    assert plain({"a": [Point(number, 1)]}, none_for_nan=True) == {"a": [{"x": None, "y": 1}]}


def test_other_values_stay_for_json_to_reject():
    value = object()
    assert plain([value]) == [value]
