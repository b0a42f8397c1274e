"""The kernels, compiled for the platform's base instruction set."""

include "../train.pxi"
include "../block.pxi"
include "../sparse.pxi"
