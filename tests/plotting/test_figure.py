"""The curve of training, and what pictures share: where they are drawn, and which files are written."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from fastembed import Classifier, SkipGram
from fastembed.plotting import plot_history, plot_map

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")

HISTORY = [{"nll": 8.5}, {"nll": 8.0}, {"nll": 7.75}]


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


def test_the_place_is_checked_first(draw, vectors_of, tmp_path):
    with pytest.raises(TypeError, match="path_or_ax must be a path or matplotlib axes, got int"):
        draw(3)
    with pytest.raises(ValueError, match=r"must end in .*got '.*map\.jpg'"):
        draw(tmp_path / "map.jpg")
    with pytest.raises(ValueError, match=r"\.png or \.svg or \.html, got '.*map\.pdf'"):
        plot_map(vectors_of(9), tmp_path / "map.pdf")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        draw(tmp_path / "nowhere" / "map.png")


def test_nll_is_drawn_against_epochs(axes):
    assert plot_history(HISTORY, axes) is axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 8.5], [2, 8.0], [3, 7.75]])
    assert axes.get_xticks().tolist() == [1, 2, 3]
    assert axes.get_legend() is None


def test_a_fit_and_its_validation_are_drawn(tmp_path):
    lines = [["a", "b", "c", "d"][k % 3 :] for k in range(200)]
    model = SkipGram(dim=3, min_count=1, epochs=12, early_stopping=True, n_iter_no_change=12).fit(lines)
    axes = plot_history(model.history, tmp_path / "history.svg")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training, before each step", "held out, after the epoch"]
    assert axes.lines[2].get_xdata() == [model.best_epoch_] * 2
    assert axes.lines[1].get_ydata().tolist() == [record["validation_nll"] for record in model.history]
    assert axes.get_xticks().tolist() == [1, 3, 5, 7, 9, 11]
    assert (tmp_path / "history.svg").read_bytes().startswith(b"<?xml")


def test_the_losses_of_a_classifier_are_drawn(axes):
    model = Classifier().fit(["a b", "c d", "e f"] * 9, ["x", "y", "z"] * 9)
    plot_history(model.history_, axes)
    with pytest.raises(TypeError, match=r"history must be a list of records, such as model.history, got Classifier"):
        plot_history(model, axes)
    expected = [record["loss"] for record in model.history_ if not record["left_out"]]
    assert (axes.lines[0].get_ydata().tolist(), axes.get_ylabel()) == (expected, "loss per document")


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        ([], ValueError, "history"),
        ([{"nll": 8.5}, {"loss": 1.0}], KeyError, "nll"),
    ],
)
def test_bad_histories_are_rejected(history, error, message, tmp_path):
    with pytest.raises(error, match=message):
        plot_history(history, tmp_path / "history.png")
    assert not list(tmp_path.iterdir())
