"""The file format of counts: matrix, options of counting and tokens in one safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import canonical_csr, csr
from fastembed._base.validation import plain
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.counts.sums import StoredCSR
from fastembed.counts.windows import Windows
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.vocabulary import Vocabulary


def write_counts(path: str | os.PathLike[str], matrix: StoredCSR, **attributes: Any) -> None:
    """Write counts; the keyword arguments are the attributes of ``Counts``.

    Raises
    ------
    OSError
        If the file cannot be written; an old file then stays as it was.
    """
    tensors, settings = pack_attributes(matrix.shape, **attributes)
    tensors |= {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    write_tensors(path, tensors, header("counts", settings))


def pack_attributes(
    shape: tuple[int, int],
    *,
    windows: Windows | None,
    keep: npt.NDArray[np.float64] | None,
    ledger: Ledger | None,
    vocabulary: Vocabulary | None,
    baskets: str | None,
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return tensors and settings that store the options of counting in a file."""
    tensors: dict[str, npt.NDArray[Any]] = {} if keep is None else {"keep": keep}
    settings: dict[str, Any] = {"shape": shape, "windows": windows, "ledger": ledger, "baskets": baskets}
    if vocabulary is not None:
        tensors |= {"tokens.counts": vocabulary.counts, **pack_tokens(vocabulary.tokens)}
        settings["vocabulary.ledger"] = vocabulary.ledger
        settings["vocabulary.reading"] = vocabulary.reading and vocabulary.reading.record()
        if vocabulary.appended:
            settings["vocabulary.appended"] = vocabulary.appended
    packed: dict[str, Any] = plain(settings)
    return tensors, packed


def read_counts(path: str | os.PathLike[str]) -> tuple[StoredCSR, dict[str, Any]]:
    """Return the memory-mapped matrix, and the keyword arguments of ``Counts``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold counts, or is damaged.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "counts", path)
    try:
        shape, attributes = unpack_attributes(tensors, settings, path)
        arrays = csr(tensors["data"], tensors["indices"], tensors["indptr"], shape)
        matrix = StoredCSR.of(canonical_csr("counts", arrays))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} does not hold counts that fit together: {error}") from error
    return matrix, attributes


def unpack_attributes(
    tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any], path: str | os.PathLike[str]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Return the shape and the keyword arguments of ``Counts`` from the result of `pack_attributes`."""
    n_rows, n_columns = settings["shape"]
    vocabulary = None
    if "tokens.counts" in tensors:
        counted = settings["vocabulary.ledger"] and Ledger(**settings["vocabulary.ledger"])
        vocabulary = Vocabulary(unpack_tokens(tensors, path), tensors["tokens.counts"], counted)
        if (reading := settings.get("vocabulary.reading")) is not None:
            vocabulary.reading = Reading.from_record(reading)
        vocabulary.appended = settings.get("vocabulary.appended", 0)
    return (n_rows, n_columns), {
        "windows": settings["windows"] and Windows(**settings["windows"]),
        "keep": tensors.get("keep"),
        "ledger": settings["ledger"] and Ledger(**settings["ledger"]),
        "vocabulary": vocabulary,
        "baskets": settings["baskets"],
    }
