from .figure import plot_history as plot_history
from .map import plot_map as plot_map
