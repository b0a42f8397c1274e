"""Pictures of vectors and of training: a labelled map, an interactive page, the training curve, two models compared."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.plotting.comparison import Comparison, compare, write_comparison
    from fastembed.plotting.history import plot_history
    from fastembed.plotting.map import plot_map
    from fastembed.plotting.page import write_page
    from fastembed.plotting.report import write_report

__all__ = ["Comparison", "compare", "plot_history", "plot_map", "write_comparison", "write_page", "write_report"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "comparison": "Comparison compare write_comparison",
        "history": "plot_history",
        "map": "plot_map",
        "page": "write_page",
        "report": "write_report",
    },
)
