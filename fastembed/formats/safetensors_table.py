"""Vectors in safetensors, the library's own format: tokens, matrix, counts, n-grams, settings; mapped into memory."""

from fastembed.formats.table import PathLike, Table
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors


def write(path: PathLike, table: Table) -> None:
    """Write the tensors "matrix", "tokens.utf8", "tokens.offsets", where counts are known "tokens.counts", and n-grams.

    Raises
    ------
    TypeError, ValueError
        If a token has no UTF-8 form, or the settings are not JSON.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import numpy as np
    >>> write("v.safetensors", Table(["one", "two"], np.eye(2), settings={"dim": 2}))
    >>> read("v.safetensors").settings
    {'dim': 2}
    """
    tensors = {"matrix": table.matrix, **pack_tokens(table.tokens), **table.ngrams}
    if table.counts is not None:
        tensors["tokens.counts"] = table.counts
    write_tensors(path, tensors, header("vectors", table.settings))


def read(path: PathLike) -> Table:
    """Read what :func:`write` wrote; the matrix is mapped into memory.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole file of vectors.

    Examples
    --------
    See :func:`write`.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "vectors", path)
    tokens = unpack_tokens(tensors, path)
    if "matrix" not in tensors:
        raise ValueError(f"{str(path)!r} has no tensor 'matrix': it has {sorted(tensors)}")
    ngrams = {name: tensor for name, tensor in tensors.items() if name.startswith("ngrams.")}
    if ngrams and "centre" in tensors:  # what is taken from every vector that is composed of them
        ngrams["centre"] = tensors["centre"]
    return Table(tokens, tensors["matrix"], tensors.get("tokens.counts"), settings, ngrams)
