"""Peak resident memory, time and bytes read of whole trainings, with and without a memory limit.

python bench/peers/memory.py TEXT [--times 4] [--limits none 1G] [--min-count 20]

Each run is a process: `fastembed train`, from the text to the saved model. The peak is Linux's for the process, which
includes touched pages of mapped files, but not the page cache. Bytes read are those requested by the process, from disk
or from the page cache: the mean of the epochs after the first.

With --times, the text is followed by copies of itself. The words of each line of a copy are shuffled: otherwise no pair
of words would be new, and a text many times as long would have no more counts.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def run(text, limit, options, folder):
    """Train in a separate process, and print its memory and time."""
    command = [sys.executable, "-P", "-m", "fastembed", "train", text, "-o", folder / "model.safetensors", *options]
    if limit != "none":
        command += ["--memory-limit", limit]
    begin, estimate, nll, read = time.perf_counter(), "", "", []
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        for line in process.stdout:
            estimate = line.removeprefix("training ") if line.startswith("training ") else estimate
            if found := re.match(r"epoch .* nll ([0-9.]+)", line):
                nll = found[1]
                read.append(int(re.search(r"rchar: (\d+)", Path(f"/proc/{process.pid}/io").read_text())[1]))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    times = f"{time.perf_counter() - begin:7.1f} s, {usage.ru_utime + usage.ru_stime:7.1f} s of CPU"
    peak, per_epoch = f"{1024 * usage.ru_maxrss / 1e6:8,.0f} MB at the peak", f"{np.diff(read).mean() / 1e6:,.0f} MB"
    print(f"limit {limit:>5}: {times}, {peak}, {per_epoch} read per epoch, nll {nll}")
    print(f"    {estimate}", end="", flush=True)


def repeat(text, times, to):
    """Write a text and copies of it with the words of each line shuffled."""
    shuffle = random.Random(0).shuffle
    with to.open("wb") as file:
        for copy in range(times):
            with text.open("rb") as lines:
                for line in lines:
                    words = line.split()
                    if copy:
                        shuffle(words)
                    file.write(b" ".join(words) + b"\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--times", type=int, default=1, help="how long the text is made, in a temporary file")
    parser.add_argument("--limits", nargs="+", default=["none", "1G"])
    parser.add_argument("--min-count", default="20")
    parser.add_argument("--epochs", default="5")
    arguments = parser.parse_args()
    options = ["--min-count", arguments.min_count, "--epochs", arguments.epochs]
    with tempfile.TemporaryDirectory() as name:
        folder, text = Path(name), arguments.text
        if arguments.times > 1:
            text = folder / "text"
            repeat(arguments.text, arguments.times, text)
        for limit in arguments.limits:
            run(text, limit, options, folder)


if __name__ == "__main__":
    main()
