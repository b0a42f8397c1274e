r"""The pair of files that TensorBoard's projector loads: ``vectors.tsv`` and ``metadata.tsv``.

Each line of the first is a vector, tab-separated. The second has the tokens in the same order, without a header; with
counts, a second column and a header too. The projector splits lines at "\n", skips blank ones, and rejects vectors of
dimension 1.
"""

import re
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastembed.formats.atomic import reading_pair
from fastembed.formats.streams import numbered_lines, writing
from fastembed.formats.table import Matrix, PathLike, Table
from fastembed.formats.text_rows import BATCH, parse_rows, row_template, to_float32
from fastembed.formats.tokens import add_token, encode_tokens

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
        If a token is blank or contains a tab or a line end, vectors have dimension 1, or a component exceeds float32.
    OSError
        If the folder is missing or the data cannot be written; old files are then untouched.

    Examples
    --------
    >>> write("vectors.tsv", Table(["one", "two"], np.eye(2), np.array([7, 3])))
    >>> with open("metadata.tsv", encoding="utf-8", newline="") as file:
    ...     file.read()
    'token\tcount\none\t7\ntwo\t3\n'
    """
    if table.matrix.shape[1] < 2:
        raise ValueError("TensorBoard's projector rejects vectors of dimension 1")
    blank = "[\\s\ufeff]*"  # what JavaScript trims
    names = encode_tokens(
        table.tokens, rf"[\t\n\r]|\A{blank}\Z", "is blank or contains a tab or a line end, which end a field or a line"
    )
    matrix = to_float32(table.matrix)
    template = row_template(matrix.shape[1], b"\t")
    with writing(path, metadata_path(path)) as (vectors, metadata):
        for row in matrix:
            vectors.write(template % tuple(row.tolist()))
        if table.counts is None:
            metadata.writelines(name + b"\n" for name in names)
        else:
            metadata.write(HEADER + b"\n")
            metadata.writelines(b"%s\t%d\n" % pair for pair in zip(names, table.counts.tolist(), strict=True))


def read(path: PathLike) -> Table:
    """Read both files.

    Tokens are in the first column of the metadata, counts in the one named "count". Other columns are ignored.

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
    with reading_pair(path, metadata_path(path)) as (vectors, metadata):
        tokens, counts = _read_metadata(metadata, metadata_path(path))
        return Table(tokens, _read_vectors(vectors, path), counts)


def _read_vectors(file: BinaryIO, path: PathLike) -> Matrix:
    components = bytearray()
    lines = numbered_lines(file, path)
    first = next(lines, (1, b""))
    dim = first[1].count(b"\t") + 1
    lines = chain([first], lines)
    while batch := list(islice(lines, max(1, BATCH // dim))):
        for number, line in batch:
            if (found := line.count(b"\t") + 1) != dim or not line:
                raise ValueError(f"{str(path)!r}, line {number}: {dim} numbers expected, got {found}: {line[:30]!r}")
        components += parse_rows([line for _, line in batch], b"\t", dim, path, [number for number, _ in batch])
    return np.frombuffer(components, "<f4").reshape(-1, dim)


def _read_metadata(file: BinaryIO, path: Path) -> tuple[list[str], np.ndarray | None]:
    """Return the tokens and, if there is a column of them, the counts."""
    seen: dict[str, int] = {}
    counts: list[int] = []
    columns = [b""]
    column = None
    for number, line in numbered_lines(file, path):
        where = f"{str(path)!r}, line {number}"
        fields = line.split(b"\t")
        if number == 1 and len(fields) > 1:
            columns = fields
            column = columns.index(b"count", 1) if b"count" in columns[1:] else None
            continue
        if len(fields) != len(columns):
            raise ValueError(f"{where}: {len(columns)} fields expected, got {len(fields)}: {line[:40]!r}")
        add_token(fields[0], number, seen, where, "line")
        if column is not None:
            if re.fullmatch(rb"\d{1,19}", fields[column]) is None or int(fields[column]) >= 2**63:
                raise ValueError(f"{where}: a count expected, got {fields[column][:40]!r}")
            counts.append(int(fields[column]))
    return list(seen), None if column is None else np.array(counts, dtype=np.int64)
