"""The words that are shown, and the data shown with them."""

import importlib.util

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.plotting import layout
from fastembed.plotting.layout import lay_out, select


def test_the_first_words_or_the_chosen_ones_each_once(vectors_of):
    vectors = vectors_of(5)
    assert select(vectors, None, 3).tokens == ("word0", "word1", "word2")
    assert select(vectors, None, 99).tokens == vectors.tokens
    assert select(vectors, iter(["word4", "word1", "word4"]), 1).tokens == ("word4", "word1")


def test_a_picture_that_does_not_fit_in_memory_is_rejected(monkeypatch):
    vectors = Vectors([str(n) for n in range(1000)], np.ones((1000, 100)))
    monkeypatch.setattr("fastembed._base.memory.free_memory", lambda: 1_000_000)
    assert len(select(vectors, None, 200)) == 200
    with pytest.raises(MemoryError, match="a picture of 1,000 words takes about 3 MB, but 1 MB are free: show fewer"):
        select(vectors, None, 10**9)


def test_neighbours_are_those_of_the_search_whatever_the_block(vectors_of, monkeypatch):
    vectors = vectors_of(60)
    near, cosines = vectors.nearest(ids=np.arange(60), topn=20)
    for size in (7, 60, 1000):
        monkeypatch.setattr(layout, "QUERIES", size)
        found = lay_out(vectors, None, 60, "pca", 0, neighbors=20)
        np.testing.assert_array_equal(found.near, near)
        np.testing.assert_array_equal(found.cosines, cosines)


def test_every_cluster_has_the_colour_of_the_coarsest_one_it_is_in(vectors_of):
    found = lay_out(vectors_of(2000, 8), None, 2000, "pca", 0)
    assert len(found.levels) > 1
    colours = found.colours[found.levels[0].labels]
    for number, level in enumerate(found.levels):
        np.testing.assert_array_equal(found.colours_of(number)[level.labels], colours)
        middles = found.middles_of(number)
        np.testing.assert_array_equal(middles[0], np.median(found.coordinates[level.labels == 0], axis=0))
    assert sorted(found.order.tolist()) == list(range(2000))


def test_neighbours_are_kept_together_where_that_is_installed_and_pays(vectors_of, monkeypatch):
    monkeypatch.setattr(layout, "check_method", lambda method, words: None)
    monkeypatch.setattr(layout, "project", lambda unit, method, seed, **more: (unit[:, :2], None))
    for there, count, method in ((True, 100, "umap"), (True, 99, "pca"), (False, 100, "pca")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, there=there: object() if there else None)
        assert lay_out(vectors_of(count), None, 100, None, 0).method == method


def test_bars_are_drawn_if_asked_for(vectors_of, capsys):
    lay_out(vectors_of(30), None, 30, "pca", 0, progress=True)
    assert "neighbours" in capsys.readouterr().err
    lay_out(vectors_of(30), None, 30, "pca", 0)
    assert capsys.readouterr().err == ""
