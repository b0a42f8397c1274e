"""The kernels, compiled for the platform's base instruction set."""

include "../bags.pxi"
include "../train.pxi"
include "../fit.pxi"
include "../ova.pxi"
include "../sparse.pxi"
