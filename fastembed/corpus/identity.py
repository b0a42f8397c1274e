"""What a corpus is known by, to see whether it is still the same without reading its files again."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import DocumentCorpus, FileCorpus, Source, as_corpus
from fastembed.corpus.sources import RegularFile, TextFile, UrlFile

CHUNK = 1 << 20  # bytes that are read at a time


def corpus_identity(corpus: Source) -> dict[str, Any]:
    """Return what a corpus is known by, as JSON holds it.

    Parameters
    ----------
    corpus
        As `fastembed.corpus` takes it.

    Returns
    -------
    dict
        Of files: their names, sizes and times of change, and how they are read; of a URL, what fsspec calls its key,
        such as an ETag, instead of the time; of a pipe, its SHA-256. Of sequences
        in memory: their SHA-256, for which all are visited once.

    Examples
    --------
    >>> corpus_identity([["a", "b"]])["sequences"][:8]
    '7d24a12b'
    """
    reader = as_corpus(corpus)
    if isinstance(reader, FileCorpus):
        files = [_file_identity(file) for file in reader._files]
        return {"files": files, "structure": asdict(reader._structure), "reading": reader.reading.record()}
    digest = hashlib.sha256()
    for sequence in reader.sequences(Ledger()):
        digest.update(repr(list(sequence)).encode() + b"\n")
    reading = reader.reading.record() if isinstance(reader, DocumentCorpus) else None
    return {"sequences": digest.hexdigest(), "reading": reading}


def _file_identity(file: TextFile) -> dict[str, Any]:
    if isinstance(file, RegularFile):
        found = Path(file.path).stat()
        return {"name": file.name, "bytes": found.st_size, "changed": found.st_mtime_ns}
    if isinstance(file, UrlFile):
        return {"name": file.name, "bytes": file.size(), "key": file.key()}
    with file.open() as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return {"name": file.name, "bytes": file.size(), "sha256": digest.hexdigest()}


def check_same_corpus(before: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raise ValueError if a corpus is not the one that it was, naming the first file that differs.

    Parameters
    ----------
    before, now : dict
        Of `corpus_identity`.
    where : str
        What was made of it before, for the message.

    Examples
    --------
    >>> old, new = ({"files": [{"name": "a.txt", "bytes": size}]} for size in (7, 9))
    >>> check_same_corpus(old, new, "counts.safetensors")
    Traceback (most recent call last):
        ...
    ValueError: 'a.txt' has changed since 'counts.safetensors' was counted from it: bytes was 7 and is 9
    """
    if before == now:
        return
    old, new = before.get("files", []), now.get("files", [])
    if [file["name"] for file in old] != [file["name"] for file in new]:
        names = [", ".join(repr(file["name"]) for file in files) or "sequences in memory" for files in (old, new)]
        raise ValueError(f"{where!r} was counted from other files: {names[0]} instead of {names[1]}")
    for file, found in zip(old, new, strict=True):
        for name, value in found.items():
            if file.get(name) != value:
                raise ValueError(
                    f"{file['name']!r} has changed since {where!r} was counted from it: {name} was {file.get(name)}"
                    f" and is {value}"
                )
    differing = [name for name in now if before.get(name) != now[name]]
    if differing == ["sequences"]:
        raise ValueError(f"the sequences in memory have changed since {where!r} was counted from them")
    raise ValueError(f"the text is read in another way than when {where!r} was counted: {', '.join(differing)}")
