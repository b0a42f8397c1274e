"""The map: labels that do not overlap, fonts, files."""

import sysconfig
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from fastembed import Vectors
from fastembed.plotting import plot_history, plot_map

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")

not_without_the_gil = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="matplotlib needs fontTools for PDF, which turns the GIL on for all tests that follow",
)


def boxes_of(axes):
    return np.array([text.get_window_extent().extents for text in axes.texts])


def overlapping(boxes):
    pairs = (boxes[:, None, :2] < boxes[None, :, 2:]).all(axis=2)
    return int(np.triu(pairs & pairs.T, 1).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_labels_overlap_no_other_and_stay_inside(axes, seed, scale, vectors_of):
    axes.get_figure().set_size_inches(8 * scale, 6 * scale)
    vectors = vectors_of(300, seed=seed)
    assert plot_map(vectors, ax=axes, words=vectors.tokens, method="pca") is axes
    axes.get_figure().canvas.draw()
    boxes = boxes_of(axes)
    assert 20 < len(boxes) < 300
    assert overlapping(boxes) == 0
    assert (boxes[:, :2] >= axes.bbox.extents[:2]).all()
    assert (boxes[:, 2:] <= axes.bbox.extents[2:]).all()
    assert f"\n{300 - len(boxes)} of 300 words" in axes.get_xlabel()


def test_a_whole_map_has_names_of_clusters_and_words_that_stand_for_others(axes):
    """Four clusters of 50 words around their first: it names the cluster, in its colour and larger than the words."""
    rng = np.random.default_rng(0)
    middles = 3 * np.eye(4, 12)[np.arange(200) % 4]
    spread = np.where(np.arange(200) < 4, 0.02, 0.5)[:, None]
    words = [f"{'abcd'[k % 4]}{k // 4}" for k in range(200)]
    vectors = Vectors(words, (middles + spread * rng.normal(size=(200, 12))).astype(np.float32))
    plot_map(vectors, ax=axes, method="pca")
    axes.get_figure().canvas.draw()
    assert overlapping(boxes_of(axes)) == 0
    named = [text for text in axes.texts if text.get_fontweight() == "bold" and text.get_fontsize() > 12]
    assert sorted(text.get_text()[:3] for text in named) == ["a0,", "b0,", "c0,", "d0,"]
    assert len({text.get_color() for text in named}) == 4
    colours = axes.collections[0].get_facecolors()[::-1]
    assert [len({tuple(colour) for colour in colours[k::4].tolist()}) for k in range(4)] == [1] * 4
    assert axes.get_xlabel().endswith("200 words; labels are of words that are typical of those around them")


def test_each_label_is_beside_its_own_dot(axes, vectors_of):
    vectors = vectors_of(150)
    plot_map(vectors, ax=axes, words=vectors.tokens, method="pca")
    dots = axes.transData.transform(axes.collections[0].get_offsets()[::-1])
    assert len(dots) == 150
    for text, box in zip(axes.texts, boxes_of(axes), strict=True):
        dot = dots[vectors.tokens.index(text.get_text())]
        distance = np.linalg.norm(np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:])))
        assert 1 < distance < 12


def test_where_there_is_space_all_words_are_labelled_in_their_order(axes, vectors_of):
    words = ["word7", "word2", "word5"]
    plot_map(vectors_of(9), ax=axes, words=words)
    assert [text.get_text() for text in axes.texts] == words
    assert axes.get_xlabel().startswith("first principal component (")
    assert axes.get_xlabel().endswith("of the variance)\n ")


@pytest.mark.parametrize(("count", "dim"), [(1, 5), (1, 1), (2, 2), (2, 50), (30, 1), (30, 2)])
def test_few_words_and_few_dimensions_are_drawn(count, dim, tmp_path, vectors_of):
    axes = plot_map(vectors_of(count, dim), tmp_path / "map.png")
    assert 1 <= len(axes.texts) <= count
    assert overlapping(boxes_of(axes)) == 0


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [(".png", b"\x89PNG"), (".SVG", b"<?xml"), pytest.param(".pdf", b"%PDF", marks=not_without_the_gil)],
)
def test_files_hold_any_token_and_are_the_same_each_time(suffix, magic, tmp_path, vectors_of, hostile_tokens):
    vectors = Vectors(hostile_tokens, vectors_of(len(hostile_tokens)).matrix)
    axes = plot_map(vectors, tmp_path / f"1{suffix}")
    plot_map(vectors, str(tmp_path / f"2{suffix}"))
    first, second = ((tmp_path / f"{n}{suffix}").read_bytes() for n in (1, 2))
    assert first.startswith(magic)
    assert first == second
    shown = {text.get_text() for text in axes.texts}
    assert {"$\\frac{$", "line\\nbreak\\u2028and\\u202eleft", "\\ud800", "x" * 29 + "…"} <= shown
    if suffix == ".SVG":
        names = {element.tag.split("}")[-1] for element in ET.fromstring(first).iter()}
        assert not names & {"script", "img", "image", "foreignObject"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, vectors_of, history):
    path = tmp_path / "map.png"
    path.write_text("old", encoding="utf-8")

    def fail(self, target, **options):
        Path(target).write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    for draw in (lambda: plot_map(vectors_of(9), path), lambda: plot_history(history, path)):
        with pytest.raises(OSError, match="No space left"):
            draw()
        assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    "draw", [lambda v, **place: plot_map(v, **place), lambda v, **place: plot_history(v.matrix[0] ** 2, **place)]
)
def test_pictures_follow_the_conventions_of_matplotlib(draw, axes, tmp_path, vectors_of):
    """New axes of pyplot without a place; given axes are returned, and a path writes their figure."""
    before = plt.get_fignums()
    shown = draw(vectors_of(9))
    assert shown is plt.gca()
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(shown.figure)
    assert draw(vectors_of(9), ax=axes, path=tmp_path / "both.png") is axes
    assert draw(vectors_of(9), path=tmp_path / "new.png").figure.canvas.manager is None
    assert plt.get_fignums() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.png", "new.png"]
    for place, message in [
        ({"path": 3}, "path must be a path, got int"),
        ({"path": axes}, "path must be a path, got axes: give them as ax="),
        ({"ax": "map.png"}, "ax must be matplotlib axes, got str"),
    ]:
        with pytest.raises(TypeError, match=message):
            draw(vectors_of(9), **place)


@pytest.mark.parametrize("suffix", [".png", ".svg", pytest.param(".pdf", marks=not_without_the_gil)])
def test_what_the_font_lacks_is_drawn_in_another(axes, tmp_path, suffix, vectors_of):
    """Neither a warning nor escapes: STIX, which comes with matplotlib, has both letters, DejaVu Sans neither."""
    words = ["\u1d81og", "cat\u1d8d", "mouse"]
    vectors = Vectors(words, vectors_of(3).matrix)
    for place in ({"ax": axes}, {"path": tmp_path / f"map{suffix}"}):
        assert [text.get_text() for text in plot_map(vectors, **place).texts] == words
    axes.get_figure().canvas.draw()


def test_what_no_font_has_is_escaped_with_one_warning(axes, tmp_path, monkeypatch, vectors_of):
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "DejaVu" in font.name])
    words = [f"\u65e5\u672c{n}" for n in range(7)] + ["\u65e5\x07", "plain"]
    vectors = Vectors(words, vectors_of(9).matrix)
    message = r"^words with .* no installed font has are escaped, .*: '\u65e5\u672c0', .*\u672c4' and 3 more$"
    for place in ({"ax": axes}, {"path": tmp_path / "map.png"}):
        with pytest.warns(UserWarning, match=message) as caught:
            shown = {text.get_text() for text in plot_map(vectors, **place).texts}
        assert len(caught) == 1
        assert {r"\u65e5\u672c0", r"\u65e5\x07", "plain"} <= shown
    axes.get_figure().canvas.draw()  # warns of nothing


def test_fonts_that_are_gone_do_no_harm(tmp_path, monkeypatch, vectors_of):
    """One of the settings, drawn in DejaVu Sans; one removed since matplotlib listed it. STIX has no Latin here."""
    stix = next(font for font in fontManager.ttflist if font.fname.endswith("STIXSizOneSymReg.ttf"))
    deleted = replace(stix, fname=str(tmp_path / "deleted.ttf"), name="Deleted")
    dejavu = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", [*dejavu, deleted, stix])
    words = ["\u20ecx", "cat", "mouse"]
    with mpl.rc_context({"font.family": ["never installed"]}):
        axes = plot_map(Vectors(words, vectors_of(3).matrix), tmp_path / "map.png")  # warns of nothing
    assert [text.get_text() for text in axes.texts] == words
