from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

_Text: TypeAlias = bytes | npt.NDArray[np.uint8]
_Int64: TypeAlias = npt.NDArray[np.int64]

@disjoint_base
class NgramTable:
    @property
    def text_bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def count(
        self, text: _Text, units: _Int64, documents: _Int64, shortest: int, longest: int, ids: npt.NDArray[np.int32]
    ) -> None: ...
    def find(
        self, text: _Text, units: _Int64, documents: _Int64, shortest: int, longest: int, ids: npt.NDArray[np.int32]
    ) -> None: ...
    def fill(self, text: _Text, offsets: _Int64) -> None: ...
    def take(self, text: npt.NDArray[np.uint8], offsets: _Int64, documents: _Int64) -> None: ...
