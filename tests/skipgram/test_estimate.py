"""`Estimate`: the estimated memory and operations of training, compared with the actual ones."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fastembed import SkipGram
from fastembed.counts.groups import group_count
from fastembed.skipgram.estimate import Estimate

PARTS = ("", "un", "re", "lock", "ing", "ness", "able", "ly", "er", "est", "form")


def zipf_corpus(words, tokens, forms=False, exponent=1.3):
    """Return lines of numbered words; `forms` have parts before the number in common, and so n-grams."""
    ids = np.random.default_rng(0).zipf(exponent, tokens) % words
    names = [f"{PARTS[i % 7]}{PARTS[i % 11]}{PARTS[i % 3]}w{i}" if forms else f"w{i}" for i in range(words)]
    return [[names[i] for i in ids[begin : begin + 50].tolist()] for begin in range(0, tokens, 50)]


TRAINING = """
import re, sys
from fastembed import SkipGram

class Keep:
    def reading(self, done, total): ...
    def counting(self, done, total): ...
    def training(self, estimate): self.estimate = estimate
    def epoch(self, record): ...

path, dim, early_stopping, subwords = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4] == "True"
options = {"dim": dim, "early_stopping": early_stopping, "subwords": subwords, "max_contexts": int(sys.argv[6])}
keep, limit, held = Keep(), int(sys.argv[5]) or None, b"x" * int(sys.argv[7])
model = SkipGram(epochs=2, min_count=1, threads=2, **options).fit(path, progress=keep, memory_limit=limit)
status = open("/proc/self/status", encoding="ascii").read()
print(keep.estimate.memory, 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]))
"""


def trained(path, dim, early_stopping, subwords, limit=0, contexts=16_384, held=0):
    """Train in a separate process that holds some bytes before; return the estimated memory and the peak."""
    options = map(str, (dim, early_stopping, subwords, limit, contexts, held))
    command = [sys.executable, "-P", "-c", TRAINING, path, *options]
    return map(int, subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.split())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
@pytest.mark.parametrize(
    ("words", "tokens", "dim", "contexts", "early_stopping", "subwords"),
    [
        (6_000, 400_000, 100, 16_384, True, False),
        (40_000, 1_000_000, 200, 2_000, False, False),
        (20_000, 500_000, 200, 16_384, False, False),
        (12_000, 1_000_000, 100, 16_384, False, False),
        (3_000, 200_000, 1_000, 16_384, False, False),
        (40_000, 1_000_000, 200, 16_384, False, False),
        (8_000, 500_000, 200, 16_384, True, True),
        (30_000, 1_000_000, 100, 16_384, False, True),
    ],
)
def test_the_memory_is_that_of_a_process_from_its_start_to_its_end(
    words, tokens, dim, contexts, early_stopping, subwords, tmp_path
):
    """The peak is read from /proc: `ru_maxrss` of a child is at least the memory of its parent at its start."""
    path = tmp_path / "text"
    path.write_text("\n".join(map(" ".join, zipf_corpus(words, tokens, subwords))), encoding="utf-8")
    said, peak = trained(path, dim, early_stopping, subwords, contexts=contexts)
    assert said == pytest.approx(peak, rel=0.3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
@pytest.mark.parametrize(
    ("words", "tokens", "exponent", "limit", "held"),
    [
        (30_000, 1_000_000, 1.3, 200_000_000, 0),
        (20_000, 1_000_000, 1.05, 240_000_000, 0),  # groups of 20 MB, which several threads read
        (20_000, 1_000_000, 1.05, 540_000_000, 300_000_000),
        (6, 600, 1.3, 100_000_000, 0),
    ],
)
def test_a_limit_of_memory_is_kept_and_the_estimate_is_that_of_the_peak(words, tokens, exponent, limit, held, tmp_path):
    path = tmp_path / "text"
    path.write_text("\n".join(map(" ".join, zipf_corpus(words, tokens, exponent=exponent))), encoding="utf-8")
    said, peak = trained(path, 20, False, False, limit, held=held)
    assert said == pytest.approx(peak, rel=0.3)
    assert max(said, peak) <= limit


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_a_fit_that_keeps_a_limit_without_one_is_not_refused_with_it(tmp_path):
    path = tmp_path / "text"
    path.write_text("\n".join(map(" ".join, zipf_corpus(12_000, 1_000_000))), encoding="utf-8")
    free = max(trained(path, 100, False, False))
    assert max(trained(path, 100, False, False, limit=int(1.02 * free))) <= 1.02 * free


def test_what_does_not_fit_is_rejected_before_the_text_is_counted(monkeypatch):
    corpus = [["a", "b", "c"]] * 5
    model = SkipGram(dim=2, min_count=1).fit(corpus)
    counts, before = model.count(corpus), model.vectors

    def fail(*_, **__):
        raise AssertionError("counted")

    with monkeypatch.context() as patch:
        patch.setattr("fastembed._base.memory.free_memory", lambda: 1_000)
        with pytest.raises(MemoryError, match="training 3 words on 6 outputs in 2 dim"):
            model.fit(counts)
        with pytest.raises(MemoryError):
            model.partial_fit(corpus)
        patch.setattr("fastembed.counts.Counts.from_corpus", fail)
        with pytest.raises(MemoryError, match="training 3 words"):
            model.fit(corpus)
    assert model.vectors is before
    model.fit(corpus)


@pytest.mark.parametrize("dim", [10, 11, 12, 13, 14])
def test_the_limit_that_an_error_names_is_enough(dim):
    estimate = Estimate(inputs=3000, outputs=6000, dim=dim, nnz=10**6, epochs=5, threads=2, memory_limit=10**6)
    with pytest.raises(
        MemoryError, match=r"takes at least \d+ MB, \d+ MB of them already in use, above memory_limit=1 MB"
    ) as caught:
        estimate.check()
    limit = int(re.search(r"at least (\d+) MB", str(caught.value))[1]) * 10**6
    replace(estimate, memory_limit=limit).check()
    with pytest.raises(MemoryError):
        replace(estimate, memory_limit=limit - 10**6).check()


def test_a_smaller_limit_takes_less_memory():
    model, sizes = SkipGram(dim=10, threads=1), {"inputs": 50_000, "outputs": 2000, "nnz": 10**8}
    plain = model.estimate(**sizes)
    assert plain == model.estimate(**{name: np.int32(size) for name, size in sizes.items()})
    group = -(-sizes["nnz"] // group_count(sizes["inputs"]))
    for limit in (12 * 10**8, 9 * 10**8, 7 * 10**8):
        with_store = replace(plain, memory_limit=limit, largest_group=group)
        assert with_store.in_memory_if_possible().memory <= limit < plain.memory
    with_store = replace(plain, memory_limit=plain.memory, largest_group=group)
    assert with_store.in_memory_if_possible() == replace(plain, memory_limit=plain.memory)
