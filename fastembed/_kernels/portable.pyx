"""The kernels, compiled for the platform's base instruction set."""

include "row.pxi"
include "row_train.pxi"
include "block.pxi"
include "sparse.pxi"
