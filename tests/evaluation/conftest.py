"""Fixtures for the tests of scores: small vectors, files, random words."""

import random

import numpy as np
import pytest

from fastembed.vectors import Vectors
from fastembed.vectors.subwords import NgramDictionary
from fastembed.vectors.vectors import composing_vectors


@pytest.fixture
def words():
    """Four vectors with the cosines cat-dog 1.0, cat-car 0.6, dog-car 0.6, cat-sun 0, car-sun 0.8."""
    return Vectors(["cat", "dog", "car", "sun"], np.array([[1.0, 0], [2, 0], [0.6, 0.8], [0, 3]]))


@pytest.fixture
def written(tmp_path_factory):
    """Write a file of scores in a new folder; return its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path_factory.mktemp("scores") / "scores.txt"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def random_words():
    """Make vectors and analogies: some words are upper case only, some in both cases, some unknown."""

    def make(seed, size=304, dim=8, dtype=np.float32):
        rng = np.random.default_rng(seed)
        tokens = [f"w{i}" for i in range(size)]
        tokens[0::8] = [token.upper() for token in tokens[0::8]]
        tokens[4::8] = [token.upper() for token in tokens[5::8]]  # before the lower case
        vectors = Vectors(tokens, rng.standard_normal((len(tokens), dim)).astype(dtype))
        names = [f"w{i}" for i in range(size + 20)]
        choose = random.Random(seed)
        lines = []
        for k in range(200):
            if k % 50 == 0:
                lines.append(f": section {k}")
            lines.append(" ".join(choose.sample(names, 4)))
        # random vectors answer little: ask for what they answer, too
        for k in range(100):
            a, b, c = choose.sample(tokens[: len(tokens) // 2], 3)
            best = vectors.most_similar([b, c], [a], topn=5)
            lines.append(f"{a} {b} {c} {best[0 if k % 2 else 1][0]}")
        return vectors, "\n".join(lines)

    return make


@pytest.fixture
def composing():
    """Vectors of four words that compose others which begin like "king"."""
    rng = np.random.default_rng(3)
    ngrams = NgramDictionary(("<ki", "kin", "ing"), rng.standard_normal((3, 4)), np.zeros(4))
    return composing_vectors(Vectors, ["king", "man", "woman", "queen"], rng.standard_normal((4, 4)), None, ngrams)
