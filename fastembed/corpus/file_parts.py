"""Parts of the files of a corpus, for tasks that other processes and machines may do."""

from __future__ import annotations

from typing import BinaryIO

from fastembed._base.random_access import RandomAccess
from fastembed.corpus.plain_blocks import open_plain, plain_parts
from fastembed.corpus.sources import RegularFile, Spool, TextFile
from fastembed.corpus.text_blocks import Cut


class FilePart:
    """A part of a file that is not compressed: whole sequences.

    Parameters
    ----------
    file : TextFile
    part : (int, int)
        The first byte, and the one behind the last; see `plain_parts`.
    """

    def __init__(self, file: TextFile, part: tuple[int, int]) -> None:
        self.file, self.part, self.name = file, part, file.name

    def size(self) -> int:
        """Return its number of bytes."""
        return self.part[1] - self.part[0]

    def open(self) -> BinaryIO:
        """Return a stream of the bytes of the whole file."""
        return self.file.open()

    def random_access(self) -> RandomAccess:
        """Return a reader of the bytes of the whole file at any offset."""
        return self.file.random_access()


def file_parts(file: TextFile, size: int, cut: Cut) -> list[TextFile]:
    """Return the parts of a file, of about `size` bytes each, or the file alone if it is compressed or short."""
    if file.size() <= size or (plain := open_plain(file)) is None:
        return [file]
    return [FilePart(file, part) for part in plain_parts(plain, size, cut)]


def shared_file(file: TextFile) -> TextFile:
    """Return a file, or a part of one, by a name that other processes know; raise ValueError if it has none."""
    if isinstance(file, FilePart):
        return FilePart(shared_file(file.file), file.part)
    if isinstance(file, Spool):
        raise ValueError(f"{file.name} cannot be read by other processes: write it to a file that they can open")
    return RegularFile(file.path.absolute()) if isinstance(file, RegularFile) else file
