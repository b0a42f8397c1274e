"""The kernels, compiled once per instruction set under the name of the build (setup.py)."""

include "../bags.pxi"
include "../row_trainer.pxi"
include "../block_trainer.pxi"
include "../squares.pxi"
include "../sparse.pxi"
include "../mixture.pxi"
