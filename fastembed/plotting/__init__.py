"""Pictures of vectors and of training: a labelled map, which may be a page, and the training curve.

A wrong argument is a TypeError, ValueError or KeyError (unknown word). A missing library is an ImportError that names
the extra. A file that cannot be written is an OSError, and the old file stays.
"""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
