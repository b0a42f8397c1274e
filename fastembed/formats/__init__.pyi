from .registry import FORMATS as FORMATS
from .registry import Format as Format
from .registry import format_of as format_of
from .table import Table as Table
