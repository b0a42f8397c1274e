"""Pictures of vectors and of training: a labelled map, an interactive page, the training curve."""

from fastembed.plotting.history import plot_history
from fastembed.plotting.map import plot_map
from fastembed.plotting.page import write_page

__all__ = ["plot_history", "plot_map", "write_page"]
