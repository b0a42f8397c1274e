"""The kernels, compiled for x86-64-v2 (SSE4.2)."""

include "../bags.pxi"
include "../row_trainer.pxi"
include "../block_trainer.pxi"
include "../ova.pxi"
include "../sparse.pxi"
