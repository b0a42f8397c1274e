"""The kernels, compiled for x86-64-v3 (AVX2, FMA)."""

include "../bags.pxi"
include "../row_trainer.pxi"
include "../block_trainer.pxi"
include "../ova.pxi"
include "../sparse.pxi"
