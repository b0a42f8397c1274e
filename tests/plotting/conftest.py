"""What the tests of pictures share: vectors, axes, a history, and tokens that try to break a picture or a page."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastembed import Vectors
from fastembed.vectors.neighbors import unit_vectors


@pytest.fixture
def vectors_of():
    """Return a function that makes random vectors of "word0", "word1" ..."""

    def make(count, dim=20, seed=0):
        matrix = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
        return Vectors([f"word{i}" for i in range(count)], matrix)

    return make


@pytest.fixture
def unit_rows(vectors_of):
    """Return a function that makes random rows of length 1."""
    return lambda count, dim, seed=0: unit_vectors(vectors_of(count, dim, seed).matrix)


@pytest.fixture
def axes():
    return Figure(figsize=(6, 5), dpi=100).add_subplot()


@pytest.fixture
def history():
    return [{"nll": 8.5, "seconds": 2.0}, {"nll": 8.0, "seconds": 1.5}, {"nll": 7.75, "seconds": 60.0}]


@pytest.fixture
def hostile_tokens():
    return [
        "</script><img src=x onerror=window.ran=1>",
        "<img src=x onerror=window.ran=2>",
        "<script>window.ran=3</script>",
        "{{ 7*7 }}{% raw %}",
        "${window.ran=4}`'\"\\",
        "$\\frac{$",
        "$$\\int x$$",
        "-->]]>&lt;&amp;",
        "line\nbreak\u2028and\u202eleft",
        "\ud800",
        "",
        "x" * 500,
    ]
