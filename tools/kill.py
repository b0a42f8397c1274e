"""Kill `fastembed train` repeatedly, restart it until it ends, and compare the results.

    python tools/kill.py FOLDER --kills 1000

A training with a checkpoint is killed by SIGKILL at a random time, half of the time during a write, and restarted with
the same command until it ends. Then the next training begins, until the given number of kills is reached. After each
kill every file must be complete. After a restart no temporary file of the killed process may be left. The model must
have the SHA-256 of an uninterrupted run, except for the seconds in its history. One of ten processes starts Python; the
others are forked from this one, which has imported the package. The program prints figures, or exits with 1 and a
message. It needs an installed fastembed and POSIX.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# Training imports the first three late; they are imported here so that forked processes need not
import scipy.linalg.cython_blas  # noqa: F401

import fastembed.cli.train
import fastembed.skipgram  # noqa: F401
from fastembed.cli import main as run_command
from fastembed.formats.tensors import map_tensors

WORDS, LINES, LENGTH = 600, 1500, 20
SHORTEST = ["--dim", "24", "--epochs", "12", "--min-count", "1", "--quiet"]
OWN_PYTHON = 0.1  # share of processes that start Python instead of being forked


@dataclass
class Tally:
    """The numbers of kills and models so far."""

    kills: int = 0
    in_writing: int = 0  # kills while a temporary file existed
    models: int = 0


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="an empty or new folder to work in")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        tally = run(arguments.folder.resolve(), arguments.kills, random.Random(arguments.seed))
    except AssertionError as error:
        print(f"wrong: {error}")
        return 1
    print(
        f"{tally.kills} kills ({tally.in_writing} while a file was written), {tally.models} models, all with the bits"
        f" of an undisturbed run; {time.monotonic() - begin:.0f} s"
    )
    return 0


def run(folder: Path, kills: int, rng: random.Random) -> Tally:
    """Kill processes the given number of times; return the tally.

    Raises
    ------
    AssertionError
        If a file is incomplete, or a model differs.
    """
    jobs = prepare(folder)
    undisturbed = {name: train(folder, [*job, "-o", f"{name}.safetensors"]) for name, job in jobs.items()}
    tally = Tally()
    while tally.kills < kills:
        name = rng.choice(list(jobs))
        seconds, digest = undisturbed[name]
        live_until_it_ends(folder, [*jobs[name], "-o", "model.safetensors"], seconds, tally, rng, kills)
        model = folder / "model.safetensors"
        if tally.kills <= kills and model.exists():
            assert digest_of(model) == digest, f"{name}: the model is not that of an undisturbed run"
            model.unlink()
            (folder / "checkpoint").unlink()
            tally.models += 1
    return tally


def prepare(folder: Path) -> dict[str, list[str]]:
    """Write a text and its counts; return the commands to be killed, by name."""
    rng = random.Random(1)
    with (folder / "old.txt").open("w", encoding="utf-8") as file:
        for _ in range(LINES):
            place = rng.randrange(WORDS)
            steps = (place := (place + rng.randrange(3)) % WORDS for _ in range(LENGTH))
            file.write(" ".join(f"w{step}" for step in steps) + "\n")
    call(folder, ["count", "old.txt", "-o", "old.counts", "--min-count", "1", "--quiet"])
    return {
        "text": ["train", "old.txt", *SHORTEST],
        "early stopping": ["train", "old.txt", "--early-stopping", "--patience", "12", *SHORTEST],
        "counts": ["train", "--counts", "old.counts", *SHORTEST[:4], *SHORTEST[6:]],
    }


def train(folder: Path, command: list[str]) -> tuple[float, str]:
    """Run an uninterrupted training without a checkpoint; return its seconds and the hash of its model."""
    begin = time.monotonic()
    call(folder, command)
    return time.monotonic() - begin, digest_of(folder / command[-1])


def call(folder: Path, command: list[str]) -> None:
    """Run a command of fastembed."""
    process = Process(folder, command)
    code = process.wait()
    assert code == 0, f"{command}: exit code {code}: {process.printed()}"


class Process:
    """A process of fastembed, as a child of this one."""

    def __init__(self, folder: Path, command: list[str], own_python: bool = False) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(folder, command, own_python)

    def _run(self, folder: Path, command: list[str], own_python: bool) -> NoReturn:
        code = 1
        try:
            os.dup2(self._errors.fileno(), sys.stderr.fileno())
            os.chdir(folder)
            if own_python:
                os.execv(sys.executable, [sys.executable, "-P", "-m", "fastembed", *command])
            code = run_command(command)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def runs(self) -> bool:
        """Whether the process is running."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is None

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        if self.runs():
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the process to end; return its exit code, or the negative number of the signal that ended it."""
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self._status)

    def printed(self) -> str:
        """Return the standard error of the process."""
        self._errors.seek(0)
        return self._errors.read().decode()


def live_until_it_ends(
    folder: Path, command: list[str], seconds: float, tally: Tally, rng: random.Random, kills: int
) -> None:
    """Start and kill a training repeatedly, until it ends by itself or there were enough kills.

    Parameters
    ----------
    folder, command, tally, rng, kills
    seconds : float
        The duration of the training.
    """
    while True:
        before = temporaries(folder)
        threads, own_python = str(rng.choice([1, 2, 3])), rng.random() < OWN_PYTHON
        process = Process(folder, [*command, "--checkpoint", "checkpoint", "--threads", threads], own_python)
        if tally.kills < kills:
            kill_at_some_moment(process, folder, seconds + START_SECONDS * own_python, rng)
        code = process.wait()
        if code != -signal.SIGKILL:
            assert code == 0, f"{command}: exit code {code}: {process.printed()}"
            return
        tally.kills += 1
        seconds *= 1.2  # so that it ends eventually, even on a busy machine
        if tally.kills % 50 == 0:
            print(f"{tally.kills} kills, {tally.models} models", file=sys.stderr, flush=True)
        tally.in_writing += bool(temporaries(folder) - before)
        check_whole(folder)


START_SECONDS = 1  # seconds for Python to start and import the package


def kill_at_some_moment(process: Process, folder: Path, seconds: float, rng: random.Random) -> None:
    """Kill a process at a random time within `seconds`, or during a write, unless it ends before."""
    end = time.monotonic() + rng.uniform(0, seconds)
    if rng.random() < 0.5:  # at the next file that it writes after that time, or a little later
        known = temporaries(folder)
        while process.runs() and (time.monotonic() < end or not temporaries(folder) - known):
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, 0.003))
    else:
        while process.runs() and time.monotonic() < end:
            time.sleep(0.001)
    process.kill()


def temporaries(folder: Path) -> set[str]:
    """Return the names of the temporary files in a folder."""
    return {entry.name for entry in os.scandir(folder) if entry.name.endswith(".tmp")}


def check_whole(folder: Path) -> None:
    """Raise AssertionError unless all files of the training are complete."""
    for name in ("checkpoint", "model.safetensors"):
        if (folder / name).exists():
            try:
                map_tensors(folder / name)
            except ValueError as error:
                raise AssertionError(f"{name} is not whole: {error}") from error


def digest_of(model: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(model.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
