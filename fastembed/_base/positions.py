"""Reading from any place of an open file, by any thread."""

from __future__ import annotations

import os
import weakref
from threading import Lock
from typing import BinaryIO, Protocol


class Placed(Protocol):
    """A file of known size, from any place of which any thread may read."""

    size: int

    def some(self, offset: int, size: int) -> bytes:
        """Return at most so many bytes from a place on; none only at the end of the file."""


class PlacedReader:
    """An open file, from any place of which any thread may read; closed when nothing refers to it.

    Parameters
    ----------
    stream : BinaryIO
        Of a file that the system knows.
    """

    def __init__(self, stream: BinaryIO) -> None:
        weakref.finalize(self, stream.close)
        self.size = os.fstat(stream.fileno()).st_size
        self._stream = stream
        self._lock = Lock()  # on Windows, which cannot be given a place and a size at once

    def some(self, offset: int, size: int) -> bytes:
        """Return at most so many bytes from a place on; none only at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._stream.fileno(), size, offset)
        with self._lock:
            self._stream.seek(offset)
            return self._stream.read(size)

    def all(self, offset: int, size: int) -> bytes:
        """Return these bytes.

        Raises
        ------
        OSError
            If the file cannot be read, or ends before.
        """
        parts: list[bytes] = []
        while size:
            data = self.some(offset, size)
            if not data:
                raise OSError(f"the file ends {size:,} bytes too early")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)
