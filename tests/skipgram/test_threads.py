"""Models and threads: the same bits from many threads, and no memory for threads without work."""

import hashlib
import threading
from functools import partial

import numpy as np
import pytest

from fastembed import SkipGram

CALLERS = 8


@pytest.fixture
def corpus_file(tmp_path_factory):
    ids = np.random.default_rng(0).zipf(1.5, 20_000).clip(max=300).reshape(-1, 40)
    path = tmp_path_factory.mktemp("threads") / "text"
    path.write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in ids.tolist()), encoding="utf-8")
    return path


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def fitted(path):
    return SkipGram(dim=10, epochs=2, min_count=1, seed=0, threads=2).fit(path)


@pytest.fixture
def used(asked):
    """Return the bits of everything that reads a model, a file of it included."""

    def use(model, path):
        copy = path.with_name(f"model-{threading.get_ident()}")
        model.save(copy)
        return (
            asked(model.vectors),
            model.predict_output("w1"),
            model.predict_output("w2", side="before"),
            model.perplexity(path),
            digest(model.transform(path)),
            digest(SkipGram.load(copy).trainer.linear),
            repr(model.count(path)),
        )

    return use


def test_one_fitted_model_gives_many_threads_the_same_bits(corpus_file, used, in_threads):
    model, expected = fitted(corpus_file), used(fitted(corpus_file), corpus_file)
    assert in_threads(*[partial(used, model, corpus_file)] * CALLERS) == [expected] * CALLERS
