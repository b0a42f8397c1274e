"""The file form of a model: a file of vectors that also holds whatever else a `SkipGram` has learned."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastembed
from fastembed._base.validation import check_amounts, check_finite, check_integer, check_number
from fastembed.corpus.ledger import as_ledger
from fastembed.formats import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

SQUARES = ("squares.matrix", "squares.linear")
"""The tensors of `Trainer.squares`."""

PARTS = ("history", "ledger", "max_contexts_", "windows_")
"""The attributes that are kept in the header, under their own names."""


def counts_digest(counts: Any) -> str:
    """Return the SHA-256 of counts in hexadecimal digits.

    Parameters
    ----------
    counts : csr_array (V_in, V)
        float64, canonical.

    Returns
    -------
    str
        Of the shape and `indptr` as int64, `indices` as int32 and `data` as float64, all little-endian, end to end.

    Examples
    --------
    >>> from fastembed import Counts
    >>> counts_digest(Counts.from_pairs([0, 1], [1, 0]).to_scipy())[:16]
    '8ebcdd3a69549ae5'
    """
    digest = hashlib.sha256()
    for part, dtype in ((counts.shape, "<i8"), (counts.indptr, "<i8"), (counts.indices, "<i4"), (counts.data, "<f8")):
        digest.update(np.ascontiguousarray(part, dtype=dtype).data)
    return digest.hexdigest()


def write_model(path: str | os.PathLike[str], settings: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
    """Write a model.

    Parameters
    ----------
    path : path-like
        The file to make or to replace.
    settings : mapping
        The parameters; numbers may be NumPy's.
    fitted : mapping
        The attributes of a fitted `SkipGram`, by name.

    Raises
    ------
    OSError
        If the file cannot be written; an old file then stays as it was.
    ValueError
        If a token has no UTF-8 form.
    """
    trainer, vocabulary = fitted["trainer"], fitted["vocabulary"]
    tensors = {
        "matrix": trainer.embedding,
        "linear": trainer.linear,
        "bias": trainer.bias,
        "centre": fitted["centre_"],
        **dict(zip(SQUARES, trainer.squares, strict=True)),
        "tokens.counts": vocabulary.counts,
        **pack_tokens(vocabulary.tokens),
    }
    manifest = {
        "fastembed": fastembed.__version__,
        "seed": settings["seed"],
        "counts_sha256": fitted["counts_sha256_"],
        "nll": fitted["history"][-1]["nll"] if fitted["history"] else None,
    }
    state = {name: fitted[name] for name in PARTS}
    state |= {"vocabulary.appended": vocabulary.appended, "vocabulary.ledger": vocabulary.ledger}
    metadata = header("vectors", json.loads(_json(settings))) | {"manifest": _json(manifest), "model": _json(state)}
    write_tensors(path, tensors, metadata)


def read_model(path: str | os.PathLike[str], threads: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what :func:`write_model` wrote: the parameters, and the attributes by name.

    Parameters
    ----------
    path : path-like
    threads : int, optional
        For the trainer.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a model, or is damaged.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "vectors", path)
    if "model" not in metadata:
        raise ValueError(f"{str(path)!r} holds vectors alone and no model: open it with Vectors.load")
    try:
        state = json.loads(metadata["model"])
        fitted = {name: state[name] for name in PARTS}
        fitted["counts_sha256_"] = json.loads(metadata["manifest"])["counts_sha256"]
        vocabulary = Vocabulary(
            unpack_tokens(tensors, path), tensors["tokens.counts"], as_ledger(state["vocabulary.ledger"])
        )
        vocabulary.appended = check_integer("appended", state["vocabulary.appended"], low=0, high=len(vocabulary))
        trainer = _trainer(tensors, threads)
        fitted["centre_"] = _centre(tensors["centre"], trainer.embedding.shape[1])
        _check_parts(fitted, vocabulary, trainer)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        # As a text: in a variable of the frame that it holds itself, the error would keep the file mapped
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a model that fits together: {what}") from error
    vectors = Vectors(vocabulary.tokens, tensors["matrix"], counts=vocabulary.counts)
    return settings, fitted | {"vocabulary": vocabulary, "trainer": trainer, "vectors": vectors}


def _trainer(tensors: Mapping[str, NDArray[Any]], threads: int | None) -> Trainer:
    """Return a trainer with the parameters and sums of a file."""
    trainer = Trainer(np.array(tensors["matrix"]), tensors["linear"], bias=tensors["bias"], threads=threads)
    for name, own in zip(SQUARES, trainer.squares, strict=True):
        if tensors[name].dtype != own.dtype or tensors[name].shape != own.shape:
            found = f"{tensors[name].dtype} of shape {tensors[name].shape}"
            raise ValueError(f"{name!r} must be {own.dtype} of shape {own.shape}, got {found}")
        check_amounts(name, tensors[name])
        own[:] = tensors[name]
    return trainer


def _centre(centre: NDArray[Any], dim: int) -> NDArray[np.float64]:
    """Return the centre of a file, checked."""
    if centre.dtype != np.float64 or centre.shape != (dim,):
        raise ValueError(f"'centre' must be float64 of shape ({dim},), got {centre.dtype} of shape {centre.shape}")
    check_finite("centre", centre)
    return np.array(centre)


def _check_parts(fitted: dict[str, Any], vocabulary: Vocabulary, trainer: Trainer) -> None:
    """Turn the parts from the header into what they were, after checking them against the others."""
    inputs, outputs = len(trainer.embedding), trainer.linear.shape[1]
    if len(vocabulary) != inputs:
        raise ValueError(f"{len(vocabulary)} tokens for {inputs} vectors")
    fitted["ledger"] = as_ledger(fitted["ledger"])
    if fitted["windows_"] is not None:
        fitted["windows_"] = Windows(**fitted["windows_"])
    contexts = check_integer("max_contexts_", fitted["max_contexts_"], low=1, high=inputs)
    sides = 2 if fitted["windows_"] is not None and fitted["windows_"].directed else 1
    if sides * contexts != outputs:
        raise ValueError(f"{outputs} outputs, where {contexts} contexts on {sides} sides were expected")
    records, digests = fitted["history"], fitted["counts_sha256_"]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise TypeError(f"history must be a list of records, got {records!r}")
    for record in records:
        for value in (record["nll"], *record.values()):
            check_number("history", value)
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise TypeError(f"counts_sha256_ must be a list of str, got {digests!r}")


def _json(values: Mapping[str, Any]) -> str:
    """Return JSON of values, some of which may be dataclasses, or numbers of NumPy or of other libraries."""

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        return value.item() if isinstance(value, np.generic) else float(value)

    return json.dumps(values, default=plain, allow_nan=False, ensure_ascii=False)
