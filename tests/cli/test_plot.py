"""The command plot."""

import re
import sys

import numpy as np
import pytest

from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors


@pytest.fixture
def drawn(monkeypatch):
    """Keep the calls of the functions that draw."""
    calls = []
    for name in ("plot_map", "write_page", "plot_history"):
        monkeypatch.setattr(
            f"fastembed.plotting.{name}", lambda *args, name=name, **options: calls.append((name, args, options))
        )
    return calls


def test_the_suffix_chooses_the_picture(run, document, saved, model, tmp_path, drawn):
    options = {"words": None, "topn": 5_000, "method": None, "seed": 0, "progress": False}
    code, out, err = run("plot", saved, "-o", tmp_path / "m.svg")
    assert (code, out, err) == (0, f"wrote {tmp_path / 'm.svg'}: a map of 4 words\n", "")
    found = document(
        "plot", saved, "-o", tmp_path / "m.HTML", "--words", "king", "man", "--method", "tsne", "--seed", 5
    )
    assert found == {"output": str(tmp_path / "m.HTML"), "vectors": str(saved), "words": 2}
    assert run("plot", model, "-o", tmp_path / "m.html", "-n", 3, "--quiet") == (0, "", "")
    assert document("plot", model, "-o", tmp_path / "h.png", "--history")["epochs"] == 2
    assert [(name, args[1], keys) for name, args, keys in drawn] == [
        ("plot_map", str(tmp_path / "m.svg"), options),
        (
            "write_page",
            str(tmp_path / "m.HTML"),
            options | {"words": ["king", "man"], "topn": 50_000, "method": "tsne", "seed": 5},
        ),
        ("write_page", str(tmp_path / "m.html"), options | {"topn": 3}),
        ("plot_history", str(tmp_path / "h.png"), {}),
    ]
    assert drawn[-1][1][0] == SkipGram.load(model).history


def test_plot_rejects_options_without_effect(usage):
    assert "so --topn cannot be given as well" in usage("plot", "v", "--words", "a", "-n", 3)
    assert "so --method, --words cannot" in usage("plot", "v", "--history", "--words", "a", "--method", "tsne")


def test_plot_draws_a_map_and_a_history(run, model, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("plot", model, "-o", tmp_path / "m.png", "--quiet") == (0, "", "")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert run("plot", model, "-o", tmp_path / "h.svg", "--history", "--quiet") == (0, "", "")
    assert b"<svg" in (tmp_path / "h.svg").read_bytes()


@pytest.mark.filterwarnings("default")
def test_words_that_no_font_has_are_named_in_one_warning(run, tmp_path, monkeypatch):
    manager = pytest.importorskip("matplotlib.font_manager").fontManager
    monkeypatch.setattr(manager, "ttflist", [font for font in manager.ttflist if "DejaVu" in font.name])
    Vectors(["a", "\u65e5"], np.eye(2)).save(tmp_path / "v.safetensors")
    code, out, err = run("plot", tmp_path / "v.safetensors", "-o", tmp_path / "m.png", "--quiet")
    assert (code, out) == (0, "")
    assert re.fullmatch(r"fastembed: warning: words with .* install one that has them: '\u65e5'\n", err)
    assert (tmp_path / "m.png").exists()


def test_plot_writes_a_page(run, model, tmp_path):
    assert run("plot", model, "-o", tmp_path / "m.html", "--quiet") == (0, "", "")
    assert b"</html>" in (tmp_path / "m.html").read_bytes()


def test_a_missing_extra_is_named_in_one_line(run, model, tmp_path, monkeypatch):
    for module in ("matplotlib", "matplotlib.axes", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run("plot", model, "-o", tmp_path / "m.png")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*\[plot\].*\n", err)
