"""`Estimate`: the estimated memory and operations of training, compared with the actual ones."""

import subprocess
import sys

import numpy as np
import pytest

from fastembed import SkipGram
from fastembed.counts.counts import stored_groups

PARTS = ("", "un", "re", "lock", "ing", "ness", "able", "ly", "er", "est", "form")


def zipf_corpus(words, tokens, forms=False):
    """Return lines of numbered words; `forms` have parts before the number in common, and so n-grams."""
    ids = np.random.default_rng(0).zipf(1.3, tokens) % words
    names = [f"{PARTS[i % 7]}{PARTS[i % 11]}{PARTS[i % 3]}w{i}" if forms else f"w{i}" for i in range(words)]
    return [[names[i] for i in ids[begin : begin + 50].tolist()] for begin in range(0, tokens, 50)]


TRAINING = """
import re, sys
from fastembed import SkipGram
from fastembed.counts.counts import stored_groups

class Keep:
    def reading(self, done, total): ...
    def counting(self, done, total): ...
    def training(self, estimate): self.estimate = estimate
    def epoch(self, record): ...

path, dim, early_stopping, subwords = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4] == "True"
options = {"dim": dim, "early_stopping": early_stopping, "subwords": subwords, "max_contexts": int(sys.argv[6])}
keep, limit = Keep(), int(sys.argv[5]) or None
model = SkipGram(epochs=1, min_count=1, threads=2, **options).fit(path, progress=keep, memory_limit=limit)
status = open("/proc/self/status", encoding="ascii").read()
print(keep.estimate.memory, 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]), keep.estimate.disk)
"""


def trained(path, dim, early_stopping, subwords, limit=0, contexts=16_384):
    """Train in a separate process; return the estimated memory, the peak, and the disk."""
    options = map(str, (dim, early_stopping, subwords, limit, contexts))
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
    said, peak, _ = trained(path, dim, early_stopping, subwords, contexts=contexts)
    # The process itself takes some 100 MB, and once 10 MB less: no case is that small. With subwords the peak varies
    # too: what one phase frees is in pieces that the next may not be able to use.
    assert said == pytest.approx(peak, rel=0.2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_a_limit_of_memory_is_kept_and_the_estimate_is_that_of_the_peak(tmp_path):
    limit = 200_000_000
    path = tmp_path / "text"
    path.write_text("\n".join(map(" ".join, zipf_corpus(30_000, 1_000_000))), encoding="utf-8")
    said, peak, disk = trained(path, 20, False, False, limit)
    assert disk == stored_groups(SkipGram(min_count=1).count(path, store=tmp_path / "counts")).disk
    assert said == pytest.approx(peak, rel=0.2)
    assert max(said, peak) <= limit
    model = SkipGram(dim=20, min_count=1, weighting="linear")
    counts = model.count(path, store=tmp_path / "counts")
    estimate = model.estimate(*counts.shape, nnz=counts.nnz, memory_limit=limit)
    assert estimate.disk == pytest.approx(stored_groups(counts).disk, rel=0.01)


def test_what_does_not_fit_is_rejected_before_the_text_is_counted(monkeypatch):
    corpus = [["a", "b", "c"]] * 5
    model = SkipGram(dim=2, min_count=1).fit(corpus)
    counts, before = model.count(corpus), model.vectors

    def fail(*_, **__):
        raise AssertionError("counted")

    with monkeypatch.context() as patch:
        patch.setattr("fastembed._base.memory.free_memory", lambda: 1_000)
        with pytest.raises(MemoryError, match=r"training 3 words on 6 outputs in 2 dimensions takes about 0 MB, but 0"):
            model.fit(counts)
        with pytest.raises(MemoryError):
            model.partial_fit(corpus)
        patch.setattr("fastembed.counts.Counts.from_corpus", fail)
        with pytest.raises(MemoryError, match="a smaller dim or max_contexts, or a larger min_count, takes less"):
            model.fit(corpus)
    assert model.vectors is before
    model.fit(corpus)


def test_a_limit_says_what_disk_it_takes():
    model, sizes = SkipGram(dim=10, threads=1), {"inputs": 50_000, "outputs": 2000, "nnz": 10**8}
    plain, wide = model.estimate(**sizes), model.estimate(**sizes, memory_limit=2 * 10**9)
    assert plain == model.estimate(**{name: np.int32(size) for name, size in sizes.items()})
    assert (plain.disk, plain.disk_per_epoch) == (0, 0)
    store = 6 * 10**8 + 2 * 50_000 * 2
    assert (wide.disk, wide.disk_per_epoch) == (store, 0)
    tight, least = (model.estimate(**sizes, memory_limit=limit * 10**6) for limit in (900, 600))
    assert store < tight.disk < least.disk < store + 6 * 10**8 + 8 * 50_000 * 100  # with what of the PMI does not fit
    assert 0 < tight.disk_per_epoch < least.disk_per_epoch == store
    assert f"{tight}".endswith(
        f" MB of disk, of which an epoch after the first reads {tight.disk_per_epoch / 1e6:.0f} MB"
    )
    for estimate, limit in ((wide, 2000), (tight, 900), (least, 600)):
        assert estimate.memory <= limit * 10**6
    with pytest.raises(ValueError, match="memory_limit must be at least"):
        model.estimate(**sizes, memory_limit=3)
