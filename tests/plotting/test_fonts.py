"""Fonts for words in any script."""

import sysconfig
from dataclasses import replace

import matplotlib as mpl
import pytest
from matplotlib.font_manager import fontManager

from fastembed import Vectors
from fastembed.plotting import plot_map
from fastembed.plotting.fonts import choose_fonts

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")

not_without_the_gil = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="matplotlib needs fontTools for PDF, which turns the GIL on for all tests that follow",
)


@pytest.mark.parametrize("suffix", [".png", ".svg", pytest.param(".pdf", marks=not_without_the_gil)])
def test_what_the_font_lacks_is_drawn_in_another(axes, tmp_path, suffix, vectors_of):
    """Neither a warning nor escapes: STIX, which comes with matplotlib, has both letters, DejaVu Sans neither."""
    words = ["\u1d81og", "cat\u1d8d", "mouse"]
    assert choose_fonts(["mouse"]) == (["sans-serif"], set())
    assert choose_fonts(words)[1] == set()
    vectors = Vectors(words, vectors_of(3).matrix)
    for place in (axes, tmp_path / f"map{suffix}"):
        assert [text.get_text() for text in plot_map(vectors, place).texts] == words
    axes.get_figure().canvas.draw()


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


def test_what_no_font_has_is_escaped_with_one_warning(axes, tmp_path, monkeypatch, vectors_of):
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "DejaVu" in font.name])
    words = [f"\u65e5\u672c{n}" for n in range(7)] + ["\u65e5\x07", "plain"]
    vectors = Vectors(words, vectors_of(9).matrix)
    message = r"^words with .* no installed font has are escaped, .*: '\u65e5\u672c0', .*\u672c4' and 3 more$"
    for place in (axes, tmp_path / "map.png"):
        with pytest.warns(UserWarning, match=message) as caught:
            shown = {text.get_text() for text in plot_map(vectors, place).texts}
        assert len(caught) == 1
        assert {r"\u65e5\u672c0", r"\u65e5\x07", "plain"} <= shown
    axes.get_figure().canvas.draw()  # warns of nothing
