"""The text of a file that is not compressed, in blocks that any thread may read.

The thread that goes through a file looks only at the ends of the blocks: 4 kB of each MB or more. So it costs next to
nothing, and as many threads as there are read and split the text.
"""

from __future__ import annotations

import itertools
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastembed._base.random_access import RandomAccess
from fastembed.corpus import text_blocks
from fastembed.corpus.sources import TextFile
from fastembed.corpus.text_blocks import COMPRESSED, Cut, cut_line

LARGE_BLOCK_BYTES = 1 << 22  # the most bytes of a block, in large files
BLOCKS = 256  # blocks grow with a file as long as it has this many: enough for many threads
TAIL_BYTES = 1 << 12  # the end of a block, in which the end of a line is looked for first


@dataclass(frozen=True)
class PlainBlock:
    """Part of the text of a file, as a `TextBlock`, that is read when it is asked for.

    Attributes
    ----------
    file : PlainFile
    offset, size : int
        Its place in the file, and its number of bytes there.
    inside : bool
        Whether the block begins inside a sequence of which earlier blocks held more than white space.
    """

    file: PlainFile
    offset: int
    size: int
    inside: bool

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    @property
    def last(self) -> bool:
        """Whether the file ends here."""
        return self.offset + self.size == self.file.size

    @property
    def text(self) -> bytes:
        r"""Its bytes; they end in \n at the end of the file, even if the file does not."""
        text = self.file.read(self.offset, self.size)
        if not self.offset and text.startswith(BOM_UTF8):
            text = b" " * len(BOM_UTF8) + text[len(BOM_UTF8) :]  # the byte order mark is not part of a token
        if self.last and not text.endswith(b"\n"):
            text += b"\n"
        return text

    @property
    def line(self) -> int:
        """The number, from 1, of the line in which the block begins. The file is read up to there."""
        places = range(0, self.offset, text_blocks.BLOCK_BYTES)
        return 1 + sum(self.file.read(at, min(text_blocks.BLOCK_BYTES, self.offset - at)).count(b"\n") for at in places)


class PlainFile:
    """An open file that any thread may read at any offset.

    Parameters
    ----------
    name : str
    reader : RandomAccess
    """

    def __init__(self, name: str, reader: RandomAccess) -> None:
        self.name, self.size = name, reader.size
        self._reader = reader

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from an offset on.

        Raises
        ------
        OSError
            If the file cannot be read, or does not have them any more.
        """
        parts: list[bytes] = []
        while size or not parts:
            try:
                data = self._reader.read_some(offset, size)
            except OSError as error:
                raise OSError(f"cannot read {self.name!r} beyond byte {offset:,}: {error}") from error
            if len(data) < min(size, 1):
                raise OSError(f"cannot read {self.name!r} beyond byte {offset:,}: it has become shorter")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def open_plain(file: TextFile) -> PlainFile | None:
    """Return the open file, or None for one that has to be read from its beginning to its end.

    That is a compressed file, or one whose size the system does not know, as in /proc.
    """
    if Path(file.name).suffix.lower() in COMPRESSED:
        return None
    reader = file.random_access()
    return PlainFile(file.name, reader) if reader.size else None


def plain_blocks(
    file: PlainFile,
    report: Callable[[int], object] | None = None,
    cut_text: Cut = cut_line,
    part: tuple[int, int] | None = None,
) -> Iterator[PlainBlock]:
    """Yield the blocks of a file; `report` is called with the number of bytes that they have reached.

    Each ends where some bytes, of the size of a block, can be cut. Of these the last few are looked at first. Those of
    a part, one of `plain_parts`, are blocks of the whole.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a token has no end.
    """
    (begin, stop), inside = part or (0, file.size), False
    origin, size = begin, _block_bytes(file.size)
    for first in range(-(-begin // size) * size, stop, size):
        last = min(first + size, file.size)
        end, ended = (last, True) if last == file.size else _last_cut(file, first, last, cut_text)
        if report:
            report(min(last, stop) - origin)
        if end <= first and last - begin > text_blocks.LONGEST_TOKEN:
            raise text_blocks.token_without_end(file.name, PlainBlock(file, begin, 0, inside).line)
        if end > first:  # otherwise the bytes are in a token that ends in a later block
            block = PlainBlock(file, begin, end - begin, inside)
            yield block
            begin, inside = end, not ended and (inside or not block.text.isspace())


def _block_bytes(size: int) -> int:
    """Return the size in bytes of the blocks of a file of `size` bytes."""
    return max(text_blocks.BLOCK_BYTES, min(size // BLOCKS, LARGE_BLOCK_BYTES))


def plain_parts(file: PlainFile, size: int, cut_text: Cut = cut_line) -> list[tuple[int, int]]:
    """Return parts of a file, from one place to another, of about `size` bytes: where a block and a sequence end.

    A part may be longer, since it has whole sequences.
    """
    ends, block = [0], _block_bytes(file.size)
    for first in range(0, file.size, block):
        last = min(first + block, file.size)
        if last == file.size:
            ends.append(last)
        elif last - ends[-1] >= size:
            end, ended = _last_cut(file, first, last, cut_text)
            if ended:
                ends.append(end)
    return list(itertools.pairwise(ends))


def _last_cut(file: PlainFile, first: int, last: int, cut_text: Cut) -> tuple[int, bool]:
    """Return where these bytes are cut, `first` if nowhere, and whether a sequence ends there."""
    start = max(last - TAIL_BYTES, first)
    place, ended = cut_text(file.read(start, last - start))
    if ended:
        return start + place, True
    place, ended = cut_text(file.read(first, last - first))
    return first + place, ended
