"""Counts that are kept beside the checkpoint of a fit to a corpus, so that nothing is counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastembed._base.printable import shown
from fastembed._base.validation import check_integer
from fastembed.corpus.identity import check_same_corpus
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, write_with_fields
from fastembed.formats.atomic import check_writable, remove_leftovers
from fastembed.formats.tensors import map_tensors

RESULTS = {"appended", "held_out"}  # in the record of a file, beside what it was counted from
CountPair = tuple[Counts, Counts | None]  # to train on, and held out


class KeptCounts:
    """The files of the counts of one fit: PATH.counts, and PATH.held-out with early stopping.

    Parameters
    ----------
    checkpoint : str
        PATH.

    Raises
    ------
    OSError
        If a file cannot be written.
    ValueError
        If a file is there that no fit has kept.
    """

    def __init__(self, checkpoint: str) -> None:
        self.counts, self.held_out = self.names(checkpoint)
        for path in (self.counts, self.held_out):
            check_writable(path)
            remove_leftovers(path)
            if Path(path).exists():
                _source_of(map_tensors(path)[1], path)  # no other file is to be replaced or removed

    @staticmethod
    def names(checkpoint: str) -> tuple[str, str]:
        """Return the names of both files."""
        return f"{checkpoint}.counts", f"{checkpoint}.held-out"

    def get(self, source: Mapping[str, Any], reading: Reading | None, count: Callable[[], CountPair]) -> CountPair:
        """Return the counts of the files, or else those that `count` returns, which are kept.

        Parameters
        ----------
        source : mapping
            What is counted and how, as JSON holds it; as "corpus" what `corpus_identity` returns.
        reading : Reading, optional
            How the text is read: a file holds no tokenizer.
        count : callable

        Raises
        ------
        OSError
            If a file cannot be read or written.
        ValueError
            If a file is damaged, or holds counts of another text or counted in another way.
        """
        wanted: dict[str, Any] = json.loads(json.dumps(source))
        try:
            fields = map_tensors(self.counts)[1]
        except FileNotFoundError:
            pair = count()
            self._write(*pair, wanted)
            return pair
        counts = Counts.load(self.counts)
        found = _source_of(fields, self.counts)
        self._check(found, wanted)
        assert counts.vocabulary is not None
        counts.vocabulary.appended = check_integer("appended", found["appended"], low=0, high=counts.shape[0])
        if counts.vocabulary.reading is not None:
            counts.vocabulary.reading = reading
        return counts, self._held_out(found) if found["held_out"] else None

    def _held_out(self, record: dict[str, Any]) -> Counts:
        """Return the counts that were held out, which were counted together with the others."""
        again = f"remove {self.counts!r} to count again, and the checkpoint to begin again"
        if not Path(self.held_out).exists():
            raise FileNotFoundError(f"{self.held_out!r}, the counts held out, is missing: {again}")
        if _source_of(map_tensors(self.held_out)[1], self.held_out) != record:
            raise ValueError(f"{self.held_out!r} was not counted together with {self.counts!r}: {again}")
        return Counts.load(self.held_out)

    def _check(self, found: dict[str, Any], source: dict[str, Any]) -> None:
        """Raise ValueError if the counts are those of another call."""
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

    def _write(self, counts: Counts, held_out: Counts | None, source: dict[str, Any]) -> None:
        assert counts.vocabulary is not None
        record = source | {"appended": counts.vocabulary.appended, "held_out": held_out is not None}
        fields = {"source": json.dumps(record)}
        if held_out is not None:  # first: where the counts are, so are these
            write_with_fields(held_out, self.held_out, fields)
        write_with_fields(counts, self.counts, fields)


def _source_of(fields: Mapping[str, str], path: str) -> dict[str, Any]:
    """Return what a file says it was counted from."""
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
