"""The kernels, compiled for x86-64-v4 (AVX-512)."""

include "../bags.pxi"
include "../train.pxi"
include "../fit.pxi"
include "../ova.pxi"
include "../sparse.pxi"
