"""Tests of all pictures: places, rejected arguments, missing libraries."""

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from fastembed import Vectors
from fastembed.plotting import plot_history, plot_map

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")

HISTORY = [{"nll": 8.5, "seconds": 2.0}, {"nll": 8.0, "seconds": 1.5}]


@pytest.fixture(params=["map", "history"])
def draw(request, vectors_of):
    """Draw a picture at a place."""
    if request.param == "map":
        return lambda *place: plot_map(vectors_of(9), *place)
    return lambda *place: plot_history(HISTORY, *place)


def test_pictures_follow_the_conventions_of_matplotlib(draw, axes, tmp_path):
    """New axes of pyplot without a place; given axes are returned, and a path is written."""
    before = plt.get_fignums()
    shown = draw()
    assert shown is plt.gca()
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(shown.figure)
    assert draw(axes) is axes
    assert draw(tmp_path / "new.png").figure.canvas.manager is None
    assert plt.get_fignums() == before
    assert [path.name for path in tmp_path.iterdir()] == ["new.png"]


def test_the_place_is_checked_first(draw, tmp_path):
    with pytest.raises(TypeError, match="path_or_ax must be a path or matplotlib axes, got int"):
        draw(3)
    with pytest.raises(ValueError, match=r"must end in .*got '.*map\.jpg'"):
        draw(tmp_path / "map.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        draw(tmp_path / "nowhere" / "map.png")


def test_a_failed_write_leaves_the_old_file(draw, tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    path.write_text("old", encoding="utf-8")

    def fail(self, target, **options):
        Path(target).write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        draw(path)
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("suffix", [".png", ".html"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"words": ["word1", "nowhere"]}, KeyError, "'nowhere'"),
        ({"words": "word1"}, TypeError, "words"),
        ({"words": []}, ValueError, "no word"),
        ({"topn": 0}, ValueError, "topn"),
        ({"method": "mds"}, ValueError, "method"),
        ({"method": "umap", "topn": 3}, ValueError, "at least 4 words, got 3"),
        ({"seed": -1}, ValueError, "seed"),
        ({"vectors": np.eye(3)}, TypeError, "must be a Vectors"),
        ({"vectors": Vectors([], np.empty((0, 3)))}, ValueError, "no word"),
    ],
)
def test_bad_arguments_leave_no_file(suffix, arguments, error, message, tmp_path, vectors_of):
    with pytest.raises(error, match=message):
        plot_map(**{"vectors": vectors_of(9), "path_or_ax": tmp_path / f"map{suffix}", **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "extra", "name", "options"),
    [("matplotlib.axes", "plot", "map.png", {}), ("umap", "maps", "map.html", {"method": "umap"})],
)
def test_the_extra_of_a_missing_library_is_named(missing, extra, name, options, tmp_path, monkeypatch, vectors_of):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing} cannot be imported.*\[{extra}\]"):
        plot_map(vectors_of(9), tmp_path / name, **options)
