"""A tokenizer in several processes."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

from fastembed._base.threads import ordered_results
from fastembed.corpus.document_blocks import split_tokens

if TYPE_CHECKING:
    from fastembed.corpus.reading import Reading

Line: TypeAlias = "tuple[bytes, bool]"  # a sequence, and whether it consists of tokens that `join_tokens` has joined

BATCH_BYTES = 1 << 16  # of text that a process gets at a time
BATCH_LINES = 1 << 12

_reading: Reading  # in a process that tokenizes


def tokenize(lines: Iterable[Line], reading: Reading) -> Iterator[list[str]]:
    """Yield the tokens of each line, in order, found in as many processes as the reading says.

    Parameters
    ----------
    lines : iterable of (bytes, bool)
    reading : Reading

    Raises
    ------
    RuntimeError
        If a process ends before its work does.
    """
    if reading.compiled or reading.processes == 1:
        for line in lines:
            yield _tokens(line, reading)
        return
    import multiprocessing  # not before, as it takes time
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of this process may hold
    try:
        with (
            ProcessPoolExecutor(reading.processes, context, _start, (reading,)) as executor,
            closing(ordered_results(executor, _tokenize_batch, _batches(lines), 2 * reading.processes)) as results,
        ):
            for batch in results:
                yield from batch
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that runs the tokenizer has ended; what it printed says why. It imports the module of the "
            "tokenizer, so this must be a file, and a script may train only below `if __name__ == '__main__':`"
        ) from error


def check_picklable(tokenizer: Any, processes: int) -> None:
    """Raise TypeError for a tokenizer that cannot be sent to a process.

    Parameters
    ----------
    tokenizer : callable
    processes : int

    Examples
    --------
    >>> check_picklable(lambda text: text.split(), 2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    TypeError: tokenizer must be picklable for processes=2, as a function of a module is, got <function <lambda> ...
    """
    try:
        pickle.dumps(tokenizer)
    except Exception as error:  # whatever the object's own code raises
        raise TypeError(
            f"tokenizer must be picklable for processes={processes}, as a function of a module is, got {tokenizer!r} "
            f"({error})"
        ) from error


def _tokens(line: Line, reading: Reading) -> list[str]:
    text, tokens = line
    return split_tokens(text) if tokens else reading.tokens(text)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line[0])
        if size >= BATCH_BYTES or len(batch) == BATCH_LINES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _start(reading: Reading) -> None:
    global _reading
    _reading = reading
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the process that waits for this one


def _tokenize_batch(batch: list[Line]) -> list[list[str]]:
    return [_tokens(line, _reading) for line in batch]
