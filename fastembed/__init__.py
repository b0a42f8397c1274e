"""Exact-softmax training of embeddings on a CPU."""

import collections.abc  # noqa: F401 - two threads that are the first to import it, at the same time, can fail

from fastembed._base.optional import lazy_names

__version__ = "0.1.0"

# The stub beside this file has the public names: a module is imported at the first use of one of its names
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
