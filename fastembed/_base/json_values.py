"""Values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np


def plain(value: Any, *, none_for_nan: bool = False) -> Any:
    """Return a value made of dicts, lists, strings, plain numbers, booleans and None, as `json.dumps` takes it.

    Parameters
    ----------
    value : object
        Mappings, lists, tuples and dataclasses are converted with all that is in them, NumPy's scalars to Python's.
        Anything else stays as it is.
    none_for_nan : bool
        Whether NaN and infinities, which JSON does not have, become None. By default they are rejected.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If a float is not finite, unless `none_for_nan`.

    Examples
    --------
    >>> plain({"window": (np.int8(1), 2), "sample": np.float32(0.5)})
    {'window': [1, 2], 'sample': 0.5}
    >>> plain({"accuracy": float("nan")}, none_for_nan=True)
    {'accuracy': None}
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: plain(item, none_for_nan=none_for_nan) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, none_for_nan=none_for_nan) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if not none_for_nan:
            raise ValueError(f"JSON holds finite numbers only, got {value!r}")
        return None
    return value
