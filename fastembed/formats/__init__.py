"""Files of vectors in the formats that other tools read, and in safetensors.

Files are written whole or not at all. Nothing in a file is ever unpickled or executed. A damaged file is a ValueError
that names the place. A file that cannot be read or written is an OSError.
"""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.formats.registry import FORMATS, Format, format_of
    from fastembed.formats.table import Table

__all__ = ["FORMATS", "Format", "Table", "format_of"]

__getattr__, __dir__ = lazy_names(__name__, {"registry": "FORMATS Format format_of", "table": "Table"})
