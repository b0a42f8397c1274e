"""Kill `fastembed train` again and again, start it again until it ends, and compare what it ends in.

    python tools/kill.py FOLDER --kills 1000

A training is started with a checkpoint, killed by SIGKILL at a random moment, half of the time while it writes, and
started again with the same command until it ends. Then the next training begins, until there were so many kills. After
each kill every file must be whole; once the process has started again, no temporary file of the killed one may be left;
and the model must have the SHA-256 of one that was never interrupted, but for the seconds in its history. It exits with
1 and says what was wrong, or prints the figures. Needs fastembed installed; POSIX.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fastembed.formats.tensors import map_tensors

WORDS, LINES, LENGTH = 1500, 4000, 20
SHORTEST = ["--dim", "24", "--epochs", "12", "--min-count", "1", "--checkpoint-minutes", "0.0005", "--quiet"]
COMMAND = [sys.executable, "-P", "-m", "fastembed"]
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}


@dataclass
class Tally:
    """What has happened so far."""

    kills: int = 0
    in_writing: int = 0  # while a temporary file was there
    leftovers: int = 0  # temporary files that were left by a kill, and removed by the next start
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
        f"{tally.kills} kills ({tally.in_writing} while a file was written, {tally.leftovers} temporary files left and"
        f" removed by the next start), {tally.models} models, all with the bits of an undisturbed run;"
        f" {time.monotonic() - begin:.0f} s"
    )
    return 0


def run(folder: Path, kills: int, rng: random.Random) -> Tally:
    """Kill so many times; return what has happened.

    Raises
    ------
    AssertionError
        If a file is not whole, a temporary file is left, or a model is another one.
    """
    jobs = prepare(folder)
    undisturbed = {name: digest_of(train(folder, [*job, "-o", f"{name}.safetensors"])) for name, job in jobs.items()}
    tally = Tally()
    while tally.kills < kills:
        name = rng.choice(list(jobs))
        live_until_it_ends(folder, [*jobs[name], "-o", "model.safetensors"], tally, rng, kills)
        model = folder / "model.safetensors"
        if tally.kills <= kills and model.exists():
            assert digest_of(model) == undisturbed[name], f"{name}: the model is not that of an undisturbed run"
            left = [file.name for file in folder.iterdir() if "checkpoint" in file.name or file.suffix == ".tmp"]
            assert not left, f"{name}: {left} are left after the model was written"
            model.unlink()
            tally.models += 1
    return tally


def prepare(folder: Path) -> dict[str, list[str]]:
    """Write the texts and what is continued; return the commands to be killed, by name."""
    rng = random.Random(1)
    for name, first in (("old.txt", 0), ("new.txt", 300)):
        with (folder / name).open("w", encoding="utf-8") as file:
            for _ in range(LINES):
                place = rng.randrange(WORDS)
                steps = (place := (place + rng.randrange(3)) % WORDS for _ in range(LENGTH))
                file.write(" ".join(f"w{first + step}" for step in steps) + "\n")
    call(folder, ["count", "old.txt", "-o", "old.counts.safetensors", "--min-count", "1", "--quiet"])
    call(folder, ["train", "--counts", "old.counts.safetensors", "-o", "old.safetensors", "--dim", "24", "--quiet"])
    more = ["new.txt", "--continue", "old.safetensors", "--replay", "old.counts.safetensors", "--grow-vocabulary"]
    without_dim = SHORTEST[2:4] + SHORTEST[6:]
    return {
        "text": ["train", "old.txt", *SHORTEST],
        "early stopping": ["train", "old.txt", "--early-stopping", "--patience", "12", *SHORTEST],
        "counts": ["train", "--counts", "old.counts.safetensors", *SHORTEST[:4], *SHORTEST[6:]],
        "more text": ["train", *more, *without_dim],
    }


def train(folder: Path, command: list[str]) -> Path:
    """Run a training that is never interrupted, without a checkpoint; return its model."""
    minutes = command.index("--checkpoint-minutes")
    call(folder, command[:minutes] + command[minutes + 2 :])
    return folder / command[-1]


def call(folder: Path, command: list[str]) -> None:
    """Run a command of fastembed."""
    subprocess.run([*COMMAND, *command], cwd=folder, check=True, env=ENVIRONMENT)


def live_until_it_ends(folder: Path, command: list[str], tally: Tally, rng: random.Random, kills: int) -> None:
    """Start a training again and again, and kill it, until it ends by itself or there were enough kills."""
    while True:
        before = temporaries(folder)
        threads = str(rng.choice([1, 2, 3]))
        started = time.monotonic()
        process = subprocess.Popen(
            [*COMMAND, *command, "--checkpoint", "checkpoint", "--threads", threads],
            cwd=folder,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
        )
        killed = tally.kills < kills and kill_at_some_moment(process, folder, rng)
        _, errors = process.communicate()
        if not killed and process.returncode != -9:
            assert process.returncode == 0, f"{command}: exit code {process.returncode}: {errors.decode()}"
            assert not before & temporaries(folder), "a temporary file has outlived the next start"
            return
        tally.kills += 1
        if tally.kills % 50 == 0:
            print(f"{tally.kills} kills, {tally.models} models", file=sys.stderr, flush=True)
        now = temporaries(folder)
        tally.in_writing += bool(now - before)
        if time.monotonic() - started > START_SECONDS or now - before:  # it has come as far as its own files
            assert not before & now, f"temporary files have outlived the next start: {before & now}"
            tally.leftovers += len(before)
        check_whole(folder)


START_SECONDS = 60  # after which a process has surely removed what was left; earlier, if it has written


def kill_at_some_moment(process: subprocess.Popen[bytes], folder: Path, rng: random.Random) -> bool:
    """Kill a process at a random moment, or while it writes; return whether it still ran."""
    end = time.monotonic() + rng.uniform(0, 3)
    if rng.random() < 0.5:  # at the next file that it writes from that moment on, or a little later
        end -= rng.uniform(0, 2)
        known = temporaries(folder)
        while process.poll() is None and (time.monotonic() < end or not temporaries(folder) - known):
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, 0.003))
    else:
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
    process.kill()
    process.wait()
    return process.returncode == -9


def temporaries(folder: Path) -> set[str]:
    """Return the names of the temporary files in a folder."""
    return {entry.name for entry in os.scandir(folder) if entry.name.endswith(".tmp")}


def check_whole(folder: Path) -> None:
    """Raise AssertionError unless all files of the training are whole."""
    for name in ("checkpoint", "checkpoint.counts", "checkpoint.held-out", "model.safetensors"):
        if (folder / name).exists():
            try:
                map_tensors(folder / name)
            except ValueError as error:
                raise AssertionError(f"{name} is not whole: {error}") from error


def digest_of(model: Path) -> str:
    """Return the SHA-256 of a model, of which the times in its history are left out."""
    tensors, fields = map_tensors(model)
    learned = json.loads(fields["model"])
    for record in learned["history"]:
        del record["seconds"]
    digest = hashlib.sha256(json.dumps([sorted(tensors), learned, fields["settings"]], sort_keys=True).encode())
    digest.update(json.dumps(json.loads(fields["manifest"]), sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(repr((tensors[name].dtype.str, tensors[name].shape)).encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
