"""Texts made to fill the memory or to take forever: memory stays bounded, and there is a clear end.

`make check-hostile` tries them in full: a line of 1 GB, a billion empty lines. Here they are a fiftieth of that.
"""

import os
import subprocess
import sys
import textwrap

import pytest

from fastembed import Vocabulary

SHARE = 1 if os.environ.get("FASTEMBED_HOSTILE") == "full" else 50
EMPTY_MB = 100  # what a process takes that imports everything and counts a few words, about
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs the peak memory of a process, in Linux' units"),
]


def outcome(code, *arguments, stdin=None):
    """Run code in another process; return its output, and its peak memory in MB beyond that of an empty process."""
    program = f"""
import re, sys
from pathlib import Path
from fastembed import Counts, SkipGram, Vocabulary
{textwrap.dedent(code)}
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))[1]) // 1000)
"""
    command = [sys.executable, "-P", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, stdin=stdin)
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    return lines, int(peak) - EMPTY_MB


def write(path, piece, times):
    with path.open("wb") as file:
        for _ in range(times):
            file.write(piece)
    return path


def test_a_line_without_end_is_counted_in_bounded_memory(tmp_path):
    """Windows and subsampling too; the counts of a line of 1 GB are those of its words."""
    pieces = 1000 // SHARE
    path = write(tmp_path / "line", b"a b c d e " * 100_000, pieces)
    code = """
        vocabulary = Vocabulary.from_corpus(sys.argv[1], min_count=1, threads=2)
        counts = Counts.from_corpus(sys.argv[1], vocabulary, window=2, threads=2, memory_limit=50_000_000)
        print(vocabulary.counts.tolist(), counts.ledger.lines, counts.nnz)
    """
    lines, peak = outcome(code, path)
    assert lines == [f"{[100_000 * pieces] * 5} 1 20"]
    assert peak < 200


def test_a_token_without_end_is_rejected(tmp_path, set_constant):
    set_constant("fastembed.corpus.chunks.LONGEST_TOKEN", 3 << 20)
    path = write(tmp_path / "token", b"x" * (1 << 20), 5)
    with pytest.raises(ValueError, match=r"token', line 1 has more than 3,145,728 bytes without white space"):
        Vocabulary.from_corpus(path)


def test_a_stream_of_empty_lines_ends_in_an_error_in_bounded_memory():
    number = 1_000_000_000 // SHARE
    code = """
        for call in (
            lambda: Vocabulary.from_corpus("-", min_count=1),
            lambda: Counts.from_corpus("-", Vocabulary(["a"], [1]), memory_limit=50_000_000),
            lambda: Counts.from_baskets("-", Vocabulary(["a"], [1])),
            lambda: SkipGram(threads=2).fit("-", memory_limit=300_000_000),
        ):
            try:
                call()
            except ValueError as error:
                print(error)
    """
    feed = f"import sys\nfor _ in range({number // 1_000_000}): sys.stdout.buffer.write(b'\\n' * 1_000_000)"
    with subprocess.Popen([sys.executable, "-c", feed], stdout=subprocess.PIPE) as feeder:
        lines, peak = outcome(code, stdin=feeder.stdout)
    assert len(lines) == 4
    assert all(f"{number:,}" in line for line in lines)
    assert peak < 200
