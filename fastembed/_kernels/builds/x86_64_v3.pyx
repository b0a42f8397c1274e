"""The kernels, compiled for x86-64-v3 (AVX2, FMA)."""

include "../bags.pxi"
include "../train.pxi"
include "../fit.pxi"
include "../ova.pxi"
include "../sparse.pxi"
