"""The map: labels that do not overlap, fonts, files."""

from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from fastembed import Vectors
from fastembed.plotting import plot_map

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")


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
    assert plot_map(vectors, axes, words=vectors.tokens, method="pca") is axes
    axes.get_figure().canvas.draw()
    boxes = boxes_of(axes)
    assert 20 < len(boxes) < 300
    assert overlapping(boxes) == 0
    assert (boxes[:, :2] >= axes.bbox.extents[:2]).all()
    assert (boxes[:, 2:] <= axes.bbox.extents[2:]).all()
    assert f"\n{len(boxes)} of 300 words" in axes.get_xlabel()


def test_a_whole_map_has_names_of_clusters_and_words_that_stand_for_others(axes):
    """Four clusters of 50 words around their first: it names the cluster, in its colour and larger than the words."""
    rng = np.random.default_rng(0)
    middles = 3 * np.eye(4, 12)[np.arange(200) % 4]
    spread = np.where(np.arange(200) < 4, 0.02, 0.5)[:, None]
    words = [f"{'abcd'[k % 4]}{k // 4}" for k in range(200)]
    vectors = Vectors(words, (middles + spread * rng.normal(size=(200, 12))).astype(np.float32))
    plot_map(vectors, axes, method="pca")
    axes.get_figure().canvas.draw()
    assert overlapping(boxes_of(axes)) == 0
    named = [text for text in axes.texts if text.get_fontweight() == "bold" and text.get_fontsize() > 12]
    assert sorted(text.get_text()[:3] for text in named) == ["a0,", "b0,", "c0,", "d0,"]
    assert len({text.get_color() for text in named}) == 4
    colours = axes.collections[0].get_facecolors()[::-1]
    assert [len({tuple(colour) for colour in colours[k::4].tolist()}) for k in range(4)] == [1] * 4
    assert "of 200 words have a label" in axes.get_xlabel()


def test_each_label_is_beside_its_own_dot(axes, vectors_of):
    vectors = vectors_of(150)
    plot_map(vectors, axes, words=vectors.tokens, method="pca")
    dots = axes.transData.transform(axes.collections[0].get_offsets()[::-1])
    assert len(dots) == 150
    for text, box in zip(axes.texts, boxes_of(axes), strict=True):
        dot = dots[vectors.tokens.index(text.get_text())]
        distance = np.linalg.norm(np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:])))
        assert 1 < distance < 12


def test_where_there_is_space_all_words_are_labelled_in_their_order(axes, vectors_of):
    words = ["word7", "word2", "word5"]
    plot_map(vectors_of(9), axes, words=words)
    assert [text.get_text() for text in axes.texts] == words
    assert axes.get_xlabel().startswith("first principal component (")
    assert axes.get_xlabel().endswith("of the variance)\n ")


@pytest.mark.parametrize(("count", "dim"), [(1, 5), (1, 1), (2, 2), (2, 50), (30, 1), (30, 2)])
def test_few_words_and_few_dimensions_are_drawn(count, dim, tmp_path, vectors_of):
    axes = plot_map(vectors_of(count, dim), tmp_path / "map.png")
    assert 1 <= len(axes.texts) <= count
    assert overlapping(boxes_of(axes)) == 0


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".SVG", b"<?xml")])
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


def test_what_the_font_lacks_is_drawn_in_another(axes, tmp_path, vectors_of):
    """Neither a warning nor escapes: STIX, which comes with matplotlib, has both letters, DejaVu Sans neither."""
    words = ["\u1d81og", "cat\u1d8d", "mouse"]
    vectors = Vectors(words, vectors_of(3).matrix)
    for place in (axes, tmp_path / "map.png", tmp_path / "map.svg"):
        assert [text.get_text() for text in plot_map(vectors, place).texts] == words
    axes.get_figure().canvas.draw()
    with mpl.rc_context({"font.family": ["never installed"]}):
        plot_map(vectors, tmp_path / "map.png")
