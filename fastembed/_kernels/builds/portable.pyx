"""The kernels, compiled for the platform's base instruction set."""

include "../bags.pxi"
include "../row_trainer.pxi"
include "../block_trainer.pxi"
include "../ova.pxi"
include "../sparse.pxi"
