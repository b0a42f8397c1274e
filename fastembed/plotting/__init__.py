"""Pictures of vectors and of training: a labelled map, an interactive page, the training curve."""

from typing import TYPE_CHECKING

from fastembed._base.lazy import lazy_names

if TYPE_CHECKING:
    from fastembed.plotting.history import plot_history
    from fastembed.plotting.map import plot_map
    from fastembed.plotting.page import write_page

__all__ = ["plot_history", "plot_map", "write_page"]

__getattr__, __dir__ = lazy_names(__name__, {"plot_history": "history", "plot_map": "map", "write_page": "page"})
