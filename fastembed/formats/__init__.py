"""Files of vectors in every format that other tools read, and the safetensors files of all else.

Files are written whole or not at all. Nothing here is ever unpickled or executed.
"""

from fastembed.formats.atomic import replacing, writable
from fastembed.formats.convert import from_pandas, to_gensim, to_pandas
from fastembed.formats.registry import FORMATS, Format, check_output, format_of, load, save
from fastembed.formats.table import Table
from fastembed.formats.tensors import (
    check_header,
    header,
    map_tensors,
    pack_tokens,
    unpack_tokens,
    write_tensors,
)

__all__ = [
    "FORMATS",
    "Format",
    "Table",
    "check_header",
    "check_output",
    "format_of",
    "from_pandas",
    "header",
    "load",
    "map_tensors",
    "pack_tokens",
    "replacing",
    "save",
    "to_gensim",
    "to_pandas",
    "unpack_tokens",
    "writable",
    "write_tensors",
]
