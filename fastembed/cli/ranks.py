"""``--mpi``: one command by all ranks of an MPI job, of which rank 0 alone prints and writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fastembed._base.optional import require
from fastembed.cli.output import one_line, print_error
from fastembed.trainer.ranks import Communicator, Ranks, is_known_to_all

T = TypeVar("T")


class Job:
    """What makes a command: this process, or with --mpi the ranks of a job, of which this process is one.

    Parameters
    ----------
    arguments : Namespace

    Attributes
    ----------
    first : bool
        Whether this process prints and writes.
    comm : Communicator or None
        Of the ranks, if there are any.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.comm: Communicator | None = None
        self._ranks: Ranks | None = None
        if arguments.mpi:
            try:
                self.comm = require("mpi4py.MPI", "mpi").COMM_WORLD
            except RuntimeError as error:  # of mpi4py's wheel
                raise ImportError(f"mpi4py finds no MPI: {error}; start the ranks with mpiexec") from error
            self._ranks = Ranks(self.comm)
        self.first = self._ranks is None or self._ranks.first
        self._debug = arguments.debug

    def run(self, command: Callable[[], None]) -> None:
        """Run a command: an error that all ranks have is that of rank 0, whose exit code is the job's."""
        if self._ranks is None:
            command()
            return
        with self._reporting(), self._ranks.ending_all():
            try:
                command()
            except (Exception, SystemExit) as error:
                if self.first or not is_known_to_all(error):
                    raise

    def prepare(self, function: Callable[[], T]) -> T:
        """Return ``function()``, called by rank 0 before the others, so that it alone reports wrong usage."""
        ranks = self._ranks
        if ranks is None:
            return function()
        prepared = ranks.on_first_rank(function)
        return ranks.agreed(lambda: function() if prepared is None else prepared)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Let an error of one rank be one line during a `with` block."""
        hook = sys.excepthook
        if not self._debug:
            sys.excepthook = lambda _, error, __: print_error("; ".join([one_line(error), *error.__notes__]))
        try:
            yield
        finally:
            sys.excepthook = hook
