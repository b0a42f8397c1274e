"""Tests of all pictures: rejected arguments, missing libraries."""

import sys

import numpy as np
import pytest

from fastembed import SkipGram, Vectors
from fastembed.plotting import plot_history, plot_map, write_page, write_report

PICTURES = (plot_map, write_page)
SUFFIX = {plot_map: ".png", write_page: ".html"}
VECTORS = Vectors(list("abcdefghi"), np.eye(9))
MODEL = SkipGram(dim=2, min_count=1, threads=1, epochs=1).fit(["a b c d e"] * 3)


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"words": ["word1", "nowhere"]}, KeyError, "'nowhere'"),
        ({"words": []}, ValueError, "no word"),
        ({"topn": 0}, ValueError, "topn must be at least 1, got 0"),
        ({"method": "mds"}, ValueError, "'pca', 'umap', 'tsne', got 'mds'"),
        ({"seed": -1}, ValueError, "seed must be from 0 to"),
    ],
)
def test_bad_arguments_leave_no_file(picture, arguments, error, message, tmp_path, vectors_of):
    with pytest.raises(error, match=message):
        picture(vectors_of(9), tmp_path / f"map{SUFFIX[picture]}", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("picture", PICTURES)
def test_only_vectors_with_a_word_are_drawn(picture, tmp_path):
    path = tmp_path / f"map{SUFFIX[picture]}"
    with pytest.raises(ValueError, match="no word"):
        picture(Vectors([], np.empty((0, 3))), path)
    with pytest.raises(TypeError, match=r"must be a Vectors, such as model\.vectors, got ndarray"):
        picture(np.eye(3), path)


@pytest.mark.parametrize("picture", PICTURES)
def test_the_path_is_checked_first(picture, tmp_path, vectors_of):
    with pytest.raises(ValueError, match=r"must end in .*got '.*map\.jpg'"):
        picture(vectors_of(9), tmp_path / "map.jpg")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        picture(vectors_of(9), tmp_path / "nowhere" / f"map{SUFFIX[picture]}")


@pytest.mark.parametrize(
    ("missing", "extra", "call"),
    [
        ("matplotlib.axes", "plot", lambda path: plot_map(VECTORS, path / "map.png")),
        ("matplotlib.axes", "plot", lambda path: plot_history([{"nll": 8.5, "seconds": 2.0}], path / "history.png")),
        ("matplotlib.figure", "plot", lambda path: write_report(MODEL, path / "report.html")),
        ("umap", "maps", lambda path: write_page(VECTORS, path / "map.html", method="umap")),
        ("sklearn.manifold", "maps", lambda path: plot_map(VECTORS, path / "map.png", method="tsne")),
    ],
)
def test_the_extra_of_a_missing_library_is_named(missing, extra, call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing} cannot be imported.*\[{extra}\]"):
        call(tmp_path)
