"""Counts that are stored next to the checkpoint of a fit to a corpus, so that nothing is counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from fastembed._base.validation import check_integer, shown
from fastembed.corpus.corpus import check_same_corpus
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, Folder, write_with_fields
from fastembed.counts.folders import LocalFolder, NoManifestError
from fastembed.counts.store import CountsStore
from fastembed.counts.store_writer import check_no_others
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.tensors import map_tensors
from fastembed.vocabulary import Vocabulary

RESULTS = {"appended", "held_out"}  # fields of the record of a file besides its source
AnyCounts: TypeAlias = Counts | CountsStore
CountPair: TypeAlias = tuple[AnyCounts, AnyCounts | None]  # counts to train on, and held-out counts
# Where the counts of a vocabulary are to be
StoresFor: TypeAlias = "Callable[[Vocabulary], tuple[Folder | None, Folder | None]]"


class CheckpointCounts:
    """The files or stores of the counts of one fit: PATH.counts, and with early stopping PATH.held-out.

    Parameters
    ----------
    checkpoint : str
        PATH.

    Raises
    ------
    OSError
        If a file cannot be written.
    ValueError
        If such a file exists but was not written by a fit.
    """

    def __init__(self, checkpoint: str) -> None:
        self.counts, self.held_out = self.names(checkpoint)
        for path in (self.counts, self.held_out):
            if not Path(path).is_dir():
                check_writable(path)
                remove_leftovers(path)
            if (fields := _fields(path)) is not None:
                _source_of(fields, path)  # never replace or remove other files

    @staticmethod
    def names(checkpoint: str) -> tuple[str, str]:
        """Return the names of both files."""
        return f"{checkpoint}.counts", f"{checkpoint}.held-out"

    def get(
        self,
        source: Mapping[str, Any],
        reading: Reading | None,
        count: Callable[[StoresFor], CountPair],
        *,
        in_stores: bool = False,
    ) -> CountPair:
        """Return the counts in the files if they exist; otherwise call `count` and store its counts.

        Parameters
        ----------
        source : mapping
            The corpus and the options of counting, as JSON values; "corpus" is the result of `corpus_identity`.
        reading : Reading, optional
            How the text is read, since a file stores no tokenizer.
        count : callable
            Called with a function that returns the stores for the counts of a vocabulary.
        in_stores : bool
            Whether the counts are in stores instead of files.

        Raises
        ------
        OSError
            If a file cannot be read or written.
        ValueError
            If a file is damaged, or its counts are of another text or were counted in another way.
        """
        wanted: dict[str, Any] = json.loads(json.dumps(source))
        fields = _fields(self.counts)
        if fields is None:
            if in_stores:
                return count(partial(self._stores, wanted))
            counts, held_out = count(lambda vocabulary: (None, None))
            self._write(counts, held_out, wanted)
            return counts, held_out
        counts = _open(self.counts)
        found = _source_of(fields, self.counts)
        self._check(found, wanted)
        assert counts.vocabulary is not None
        counts.vocabulary.appended = check_integer("appended", found["appended"], low=0, high=counts.shape[0])
        if counts.vocabulary.reading is not None:
            counts.vocabulary.reading = reading
        return counts, self._held_out(found) if found["held_out"] else None

    def _stores(self, source: dict[str, Any], vocabulary: Vocabulary) -> tuple[Folder, Folder]:
        """Return the folders for counts of a vocabulary, whose manifests record the source."""
        record = source | {"appended": vocabulary.appended, "held_out": source["early_stopping"]}
        fields = {"source": json.dumps(record)}
        return LocalFolder.of(self.counts, fields), LocalFolder.of(self.held_out, fields)

    def _held_out(self, record: dict[str, Any]) -> AnyCounts:
        """Return the held-out counts, which were counted together with the others."""
        again = f"remove {self.counts!r} to count again, and the checkpoint to begin again"
        fields = _fields(self.held_out)
        if fields is None:
            raise FileNotFoundError(f"{self.held_out!r}, the counts held out, is missing: {again}")
        if _source_of(fields, self.held_out) != record:
            raise ValueError(f"{self.held_out!r} was not counted together with {self.counts!r}: {again}")
        return _open(self.held_out)

    def _check(self, found: dict[str, Any], source: dict[str, Any]) -> None:
        """Raise ValueError if the counts are from another call."""
        for name in sorted((source | found).keys() - RESULTS - {"corpus"}):
            value = source.get(name)
            if found.get(name) != value:
                raise ValueError(
                    f"{self.counts!r} was counted with {name} {shown(found.get(name))} instead of {shown(value)}: go on"
                    " with the same, or remove it and the checkpoint to begin again"
                )
        try:
            check_same_corpus(found["corpus"], source["corpus"], self.counts)
        except ValueError as error:
            raise ValueError(f"{error}; remove it to count again, and the checkpoint to begin again") from None

    def _write(self, counts: AnyCounts, held_out: AnyCounts | None, source: dict[str, Any]) -> None:
        assert counts.vocabulary is not None
        assert isinstance(counts, Counts)
        assert isinstance(held_out, Counts | None)
        record = source | {"appended": counts.vocabulary.appended, "held_out": held_out is not None}
        fields = {"source": json.dumps(record)}
        if held_out is not None:  # written first: if the other counts exist, so do these
            write_with_fields(held_out, self.held_out, fields)
        write_with_fields(counts, self.counts, fields)


def _fields(path: str) -> Mapping[str, str] | None:
    """Return the text fields of a file or of a store; None if it does not exist or is incomplete."""
    if not Path(path).is_dir():
        return map_tensors(path)[1] if Path(path).exists() else None
    folder = LocalFolder.of(path)
    check_no_others(folder)
    try:
        return folder.manifest()[1]
    except NoManifestError:
        return None


def _open(path: str) -> AnyCounts:
    return Counts.open(path) if Path(path).is_dir() else Counts.load(path)


def _source_of(fields: Mapping[str, str], path: str) -> dict[str, Any]:
    """Return the source of the counts that is recorded in a file."""
    try:
        found = json.loads(fields["source"])
        if not isinstance(found, dict) or not isinstance(found["corpus"], dict) or not found.keys() >= RESULTS:
            raise TypeError
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(
            f"{path!r} does not say what it was counted from: it is not that of a checkpoint,"
            " whose name must be another"
        ) from None
    return found
