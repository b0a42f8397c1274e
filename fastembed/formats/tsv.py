r"""The pair of files that TensorBoard's projector loads: ``vectors.tsv`` and ``metadata.tsv``.

A line of the first has the numbers of one vector, tab-separated. The second has the tokens, in the same order, without
a header; with counts, a second column and then also a header. The projector cuts lines at "\n", passes over blank
ones, and refuses vectors of one number.
"""

import re
from itertools import chain, islice
from pathlib import Path

import numpy as np

from fastembed.formats.number_text import BATCH, parse_rows, template, to_float32
from fastembed.formats.streams import read_lines, reading, writing
from fastembed.formats.table import Matrix, PathLike, Table, encode_tokens, take_token

HEADER = b"token\tcount"


def metadata_path(path: PathLike) -> Path:
    """Return the file of the tokens.

    Examples
    --------
    >>> metadata_path("vectors.tsv").name, metadata_path("wiki.tsv").name
    ('metadata.tsv', 'wiki.metadata.tsv')
    """
    stem = Path(path).stem
    other = stem.replace("vectors", "metadata") if "vectors" in stem else f"{stem}.metadata"
    return Path(path).with_name(f"{other}{Path(path).suffix}")


def write(path: PathLike, table: Table) -> None:
    r"""Write both files.

    Raises
    ------
    ValueError
        If a token is blank or contains a tab or a line end, vectors have one number only, or a number exceeds float32.
    OSError
        If the folder is missing or the disk refuses the data; old files are then untouched.

    Examples
    --------
    >>> write("vectors.tsv", Table(["one", "two"], np.eye(2), np.array([7, 3])))
    >>> with open("metadata.tsv", encoding="utf-8", newline="") as file:
    ...     file.read()
    'token\tcount\none\t7\ntwo\t3\n'
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("the projector refuses vectors of one number")
    blank = "[\\s\ufeff]*"  # what JavaScript trims
    names = encode_tokens(
        table.tokens, rf"[\t\n\r]|\A{blank}\Z", "is blank or contains a tab or a line end, which end a field or a line"
    )
    matrix = to_float32(table.matrix)
    numbers = template(matrix.shape[1], b"\t")
    with writing(path, metadata_path(path)) as (vectors, metadata):
        for row in matrix:
            vectors.write(numbers % tuple(row.tolist()))
        if table.counts is None:
            metadata.writelines(name + b"\n" for name in names)
        else:
            metadata.write(HEADER + b"\n")
            metadata.writelines(b"%s\t%d\n" % pair for pair in zip(names, table.counts.tolist(), strict=True))


def read(path: PathLike) -> Table:
    """Read both files.

    The metadata may have other columns, which are left out: tokens are in the first, counts in one named "count".

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    ValueError
        If one is not such a file; the line is named.

    Examples
    --------
    >>> write("vectors.tsv", Table(["one", "two"], np.eye(2), np.array([7, 3])))
    >>> read("vectors.tsv").counts
    array([7, 3])
    """
    tokens, counts = _read_metadata(metadata_path(path))
    return Table(tokens, _read_vectors(path), counts)


def _read_vectors(path: PathLike) -> Matrix:
    numbers = bytearray()
    with reading(path) as file:
        lines = read_lines(file, path)
        first = next(lines, (1, b""))
        dim = first[1].count(b"\t") + 1
        lines = chain([first], lines)
        while batch := list(islice(lines, max(1, BATCH // dim))):
            for number, line in batch:
                if (found := line.count(b"\t") + 1) != dim or not line:
                    raise ValueError(
                        f"{str(path)!r}, line {number}: {dim} numbers expected, got {found}: {line[:30]!r}"
                    )
            numbers += parse_rows([line for _, line in batch], b"\t", dim, path, [number for number, _ in batch])
    return np.frombuffer(numbers, "<f4").reshape(-1, dim)


def _read_metadata(path: Path) -> tuple[list[str], np.ndarray | None]:
    """Return the tokens and, if there is a column of them, the counts."""
    seen: dict[str, int] = {}
    counts: list[int] = []
    columns = [b""]
    column = None
    with reading(path) as file:
        for number, line in read_lines(file, path):
            where = f"{str(path)!r}, line {number}"
            fields = line.split(b"\t")
            if number == 1 and len(fields) > 1:
                columns = fields
                column = columns.index(b"count", 1) if b"count" in columns[1:] else None
                continue
            if len(fields) != len(columns):
                raise ValueError(f"{where}: {len(columns)} fields expected, got {len(fields)}: {line[:40]!r}")
            take_token(fields[0], number, seen, where, "line")
            if column is not None:
                if re.fullmatch(rb"\d{1,19}", fields[column]) is None or int(fields[column]) >= 2**63:
                    raise ValueError(f"{where}: a count expected, got {fields[column][:40]!r}")
                counts.append(int(fields[column]))
    return list(seen), None if column is None else np.array(counts, dtype=np.int64)
