from .counts import Counts as Counts
from .windows import Windows as Windows
