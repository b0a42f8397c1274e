"""Pictures of vectors and of training: a labelled map, which may be a page, the training curve, two models compared."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.plotting.comparison import Comparison, compare
    from fastembed.plotting.history import plot_history
    from fastembed.plotting.map import plot_map

__all__ = ["Comparison", "compare", "plot_history", "plot_map"]

__getattr__, __dir__ = lazy_names(
    __name__, {"comparison": "Comparison compare", "history": "plot_history", "map": "plot_map"}
)
