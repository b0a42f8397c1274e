"""The kernels, compiled for the platform's base instruction set."""

include "row.pxi"
include "block.pxi"
include "sparse.pxi"
