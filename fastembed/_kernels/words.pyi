from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Text: TypeAlias = bytes | npt.NDArray[np.uint8]

KEEP: int
SHAPE: int
DROP: int
PARAGRAPH: int
SENTENCE: int
DOCUMENT: int

def unicode_version() -> str: ...
def words(text: _Text, keep_case: bool, digits: int) -> bytes: ...
def sequences(text: _Text, unit: int, inside: bool, last: bool) -> bytes: ...
