"""The kernels, compiled for x86-64-v2 (SSE4.2)."""

include "../bags.pxi"
include "../train.pxi"
include "../fit.pxi"
include "../ova.pxi"
include "../sparse.pxi"
