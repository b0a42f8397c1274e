"""Parts of the files of a corpus, for tasks that other processes and machines may do."""

from __future__ import annotations

from typing import BinaryIO

from fastembed._base.positions import Placed
from fastembed.corpus.plain_blocks import open_plain, plain_parts
from fastembed.corpus.sources import RegularFile, Spool, TextFile
from fastembed.corpus.text_blocks import Cut


class FilePart:
    """A part of a file that is not compressed: whole sequences.

    Parameters
    ----------
    file : TextFile
    part : (int, int)
        From one byte to another; see `plain_parts`.
    """

    def __init__(self, file: TextFile, part: tuple[int, int]) -> None:
        self.file, self.part, self.name = file, part, file.name

    def size(self) -> int:
        """Return its number of bytes."""
        return self.part[1] - self.part[0]

    def open(self) -> BinaryIO:
        """Return a stream of the bytes of the whole file."""
        return self.file.open()

    def placed(self) -> Placed:
        """Return what reads the bytes of the whole file from any place."""
        return self.file.placed()


def file_parts(file: TextFile, size: int, cut: Cut) -> list[TextFile]:
    """Return the parts of a file of about so many bytes, or the file alone if it is compressed or short."""
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
