"""Pictures of vectors and of training: a labelled map, which may be a page, and the training curve.

A wrong argument is a TypeError, ValueError or KeyError (unknown word). A missing library is an ImportError that names
the extra. A file that cannot be written is an OSError, and the old file stays.
"""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.plotting.figure import plot_history
    from fastembed.plotting.map import plot_map

__all__ = ["plot_history", "plot_map"]

__getattr__, __dir__ = lazy_names(__name__, {"figure": "plot_history", "map": "plot_map"})
