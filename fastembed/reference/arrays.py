"""The types of the reference."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Real = npt.ArrayLike
Ids = npt.NDArray[np.integer]
