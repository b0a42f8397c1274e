"""Files of vectors in the formats that other tools read, and in safetensors.

Files are written whole or not at all. Nothing in a file is ever unpickled or executed. A damaged file is a ValueError
that names the place. A file that cannot be read or written is an OSError.
"""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
