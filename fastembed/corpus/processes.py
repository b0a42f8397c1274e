"""A tokenizer in several processes."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fastembed._base.threads import ordered_results
from fastembed.corpus.document_blocks import split_tokens

if TYPE_CHECKING:
    from fastembed.corpus.reading import Reading

Item = TypeVar("Item")
Result = TypeVar("Result")
Line: TypeAlias = "tuple[bytes, bool]"  # a sequence, and whether it consists of tokens that `join_tokens` has joined

BATCH_BYTES = 1 << 16  # bytes of text that a process gets at a time
BATCH_ITEMS = 1 << 12

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
    return read_in_processes(_tokens, lines, lambda line: len(line[0]), reading)


def read_in_processes(
    read: Callable[[Item, Reading], Result], items: Iterable[Item], size: Callable[[Item], int], reading: Reading
) -> Iterator[Result]:
    """Yield ``read(item, reading)`` for each item, in order, found in as many processes as the reading says.

    Parameters
    ----------
    read : callable
        A function of a module.
    items : iterable
    size : callable
        Returns about how many bytes of text an item has.
    reading : Reading

    Raises
    ------
    RuntimeError
        If a process ends before its work does.
    """
    if reading.compiled or reading.processes == 1:
        for item in items:
            yield read(item, reading)
        return
    import multiprocessing  # not before, as it takes time
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of this process may hold
    try:
        with (
            ProcessPoolExecutor(reading.processes, context, _start, (reading,)) as executor,
            closing(
                ordered_results(executor, partial(_read_batch, read), _batches(items, size), 2 * reading.processes)
            ) as results,
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


def _batches(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= BATCH_BYTES or len(batch) == BATCH_ITEMS:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _start(reading: Reading) -> None:
    global _reading
    _reading = reading
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the process that waits for this one


def _read_batch(read: Callable[[Item, Reading], Result], batch: list[Item]) -> list[Result]:
    return [read(item, _reading) for item in batch]
