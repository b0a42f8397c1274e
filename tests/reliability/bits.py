"""Prints the SHA-256 of a model by the number of threads and the hash seed: `make check-bits`.

Each hash seed has a process of its own. Hashed are its words and vectors, the linear layer, the bias, the sums of
squares and the counts' own SHA-256. All must be equal.

    python bits.py [--threads N ...] [--hash-seeds N ...] [--text FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
import hashlib, sys
import numpy as np
from fastembed import SkipGram
text, *numbers = sys.argv[1:]
for threads in numbers:
    model = SkipGram(dim=30, epochs=2, seed=0, min_count=2, threads=int(threads)).fit(text)
    trainer = model.trainer
    sha = hashlib.sha256(repr((model.vocabulary.tokens, model.counts_sha256_)).encode())
    for array in (model.vectors.matrix, trainer.embedding, trainer.linear, trainer.bias, *trainer.squares):
        sha.update(np.ascontiguousarray(array).tobytes())
    print(threads, sha.hexdigest())
"""


def write_text(path: Path) -> None:
    """Write 40,000 lines of 20 words, 3,000 different ones: enough for several shards and several blocks of text."""
    import numpy as np

    lines = np.random.default_rng(0).zipf(1.2, (40_000, 20)).clip(max=3000)
    path.write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in lines.tolist()), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Compare models trained on different threads, with different hash seeds."
    )
    parser.add_argument("--threads", nargs="+", default=["1", "2", "3", "4", "8"])
    parser.add_argument("--hash-seeds", nargs="+", default=["0", "1", "12345", "random"])
    parser.add_argument("--text", type=Path, help="by default one of 800,000 words is made")
    arguments = parser.parse_args()
    found = set()
    with tempfile.TemporaryDirectory() as folder:
        text = arguments.text or Path(folder, "text.txt")
        if arguments.text is None:
            write_text(text)
        print("threads  PYTHONHASHSEED  SHA-256")
        for seed in arguments.hash_seeds:
            command = [sys.executable, "-P", "-c", PROGRAM, str(text), *arguments.threads]
            own = os.environ | {"PYTHONHASHSEED": seed}
            printed = subprocess.run(command, check=True, env=own, stdout=subprocess.PIPE, text=True).stdout
            for threads, sha in map(str.split, printed.splitlines()):
                found.add(sha)
                print(f"{threads:>7}  {seed:>14}  {sha}", flush=True)
    print("all the same" if len(found) == 1 else f"{len(found)} different models")
    return len(found) != 1


if __name__ == "__main__":
    sys.exit(main())
