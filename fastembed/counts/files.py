"""The file form of counts: the matrix, how it was counted, and the tokens, in one safetensors file."""

from __future__ import annotations

import os
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.csr import canonical_csr, csr
from fastembed._base.validation import check_amounts
from fastembed.corpus.ledger import Ledger, as_ledger
from fastembed.counts.external_sum import Run
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

DTYPES = {"data": np.float64, "indices": np.int32, "indptr": np.int64, "keep": np.float64}


def write_counts(
    path: str | os.PathLike[str],
    run: Run,
    *,
    windows: Windows | None,
    keep: npt.NDArray[np.float64] | None,
    ledger: Ledger | None,
    vocabulary: Vocabulary | None,
) -> None:
    """Write counts; the arguments are those of :class:`fastembed.counts.Counts`.

    Raises
    ------
    OSError
        If the file cannot be written; an old file then stays as it was.
    """
    tensors: dict[str, npt.NDArray[Any]] = {"data": run.data, "indices": run.indices, "indptr": run.indptr}
    if keep is not None:
        tensors["keep"] = keep
    settings = {"shape": (len(run.indptr) - 1, run.n_columns), "windows": windows, "ledger": ledger}
    if vocabulary is not None:
        tensors |= {"tokens.counts": vocabulary.counts, **pack_tokens(vocabulary.tokens)}
        settings["vocabulary.ledger"] = vocabulary.ledger
    plain = {name: asdict(value) if is_dataclass(value) else value for name, value in settings.items()}
    write_tensors(path, tensors, header("counts", plain))


def read_counts(path: str | os.PathLike[str]) -> tuple[Run, dict[str, Any]]:
    """Return (the matrix, mapped into memory; the other arguments of ``Counts``).

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
        for name, dtype in DTYPES.items():
            if name in tensors and tensors[name].dtype != dtype:
                raise TypeError(f"{name} is {tensors[name].dtype} instead of {np.dtype(dtype)}")
        n_rows, n_columns = settings["shape"]
        matrix = csr(tensors["data"], tensors["indices"], tensors["indptr"], (n_rows, n_columns))
        run = Run.of(canonical_csr("counts", matrix))
        windows = None if settings["windows"] is None else Windows(**settings["windows"])
        if windows is not None and windows.columns(n_rows) != n_columns:
            raise ValueError(f"{n_columns} columns, where the windows give {windows.columns(n_rows)}")
        keep = _keep(tensors.get("keep"), windows, n_rows)
        ledger, vocabulary = as_ledger(settings["ledger"]), None
        if "tokens.counts" in tensors:
            counted = as_ledger(settings["vocabulary.ledger"])
            vocabulary = Vocabulary(unpack_tokens(tensors, path), tensors["tokens.counts"], counted)
            if len(vocabulary) != n_rows:
                raise ValueError(f"{len(vocabulary)} tokens for {n_rows} rows")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} does not hold counts that fit together: {error}") from error
    return run, {"windows": windows, "keep": keep, "ledger": ledger, "vocabulary": vocabulary}


def _keep(keep: npt.NDArray[np.float64] | None, windows: Windows | None, n_rows: int) -> Any:
    """Return the factors of subsampling after checking that they are some, just where there was subsampling."""
    if (keep is not None) != (windows is not None and windows.sample is not None):
        raise ValueError("'keep' and the windows' 'sample' must be there together")
    if keep is not None:
        check_amounts("keep", keep)
        if keep.shape != (n_rows,) or keep.min() <= 0 or keep.max() > 1:
            raise ValueError(f"keep must be {n_rows} shares above 0 and up to 1")
    return keep
