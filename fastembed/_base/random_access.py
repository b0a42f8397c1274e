"""Random access to an open file, by any number of threads at once."""

from __future__ import annotations

import os
import weakref
from threading import Lock
from typing import BinaryIO, Protocol


class RandomAccess(Protocol):
    """A file of known size that any thread may read at any offset."""

    size: int

    def read_some(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from an offset on; no bytes only at the end of the file."""


class RandomAccessFile:
    """An open file that any thread may read at any offset; it is closed when nothing refers to it.

    Parameters
    ----------
    stream : BinaryIO
        An open file with a file descriptor.
    """

    def __init__(self, stream: BinaryIO) -> None:
        weakref.finalize(self, stream.close)
        self.size = os.fstat(stream.fileno()).st_size
        self._stream = stream
        self._lock = Lock()  # for Windows, which cannot seek and read in one call

    def read_some(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from an offset on; no bytes only at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._stream.fileno(), size, offset)
        with self._lock:
            self._stream.seek(offset)
            return self._stream.read(size)

    def read(self, offset: int, size: int) -> bytes:
        """Return just `size` bytes from an offset on.

        Raises
        ------
        OSError
            If the file cannot be read, or ends too early.
        """
        parts: list[bytes] = []
        while size:
            data = self.read_some(offset, size)
            if not data:
                raise OSError(f"the file ends {size:,} bytes too early")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)
