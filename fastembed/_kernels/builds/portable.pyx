"""The kernels, compiled for the platform's base instruction set."""

include "../train.pxi"
include "../fit.pxi"
include "../sparse.pxi"
