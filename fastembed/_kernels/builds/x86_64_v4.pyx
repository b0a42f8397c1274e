"""The kernels, compiled for x86-64-v4 (AVX-512)."""

include "../bags.pxi"
include "../row_trainer.pxi"
include "../block_trainer.pxi"
include "../ova.pxi"
include "../sparse.pxi"
