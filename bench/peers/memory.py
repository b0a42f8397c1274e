"""Peaks of resident memory and times of whole trainings, with and without a limit of memory.

python bench/peers/memory.py TEXT [--times 4] [--limits none 1G] [--min-count 20]

Each run is a process of its own: `fastembed train`, from the text to the saved model. The peak is that of Linux for the
process, which counts touched pages of mapped files, but not what the system keeps of files that were read.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(text, limit, options, folder):
    """Train in a process of its own; return seconds, those of CPUs, the peak, the estimate's line, the last nll."""
    command = [sys.executable, "-m", "fastembed", "train", text, "-o", folder / "model.safetensors", *options]
    if limit != "none":
        command += ["--memory-limit", limit]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    estimate = re.search(r"^training (.+)$", out, re.MULTILINE)[1]
    cpu = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - begin, cpu, 1024 * usage.ru_maxrss, estimate, re.findall(r"nll ([0-9.]+)", out)[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--times", type=int, default=1, help="how often the text is repeated, in a temporary file")
    parser.add_argument("--limits", nargs="+", default=["none", "1G"])
    parser.add_argument("--min-count", default="20")
    parser.add_argument("--epochs", default="5")
    arguments = parser.parse_args()
    options = ["--min-count", arguments.min_count, "--epochs", arguments.epochs]
    with tempfile.TemporaryDirectory() as name:
        folder, text = Path(name), arguments.text
        if arguments.times > 1:
            text = folder / "text"
            with text.open("wb") as to:
                for _ in range(arguments.times):
                    with arguments.text.open("rb") as part:
                        shutil.copyfileobj(part, to, 1 << 20)
        for limit in arguments.limits:
            seconds, cpu, peak, estimate, nll = run(text, limit, options, folder)
            times = f"{seconds:7.1f} s, {cpu:7.1f} s of CPU"
            print(
                f"limit {limit:>5}: {times}, {peak / 1e6:8,.0f} MB at the peak, nll {nll}\n    {estimate}", flush=True
            )


if __name__ == "__main__":
    main()
