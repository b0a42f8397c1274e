"""`FitProgress`: the reports of a fit and their order; bars in a terminal, and a live curve in a notebook."""

import re
import sys
import types

import pytest

from fastembed import Classifier, SkipGram

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 2}


class Recorder:
    """Keeps all calls."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, arguments))


def test_a_fit_reports_each_stage_in_order(corpus):
    progress = Recorder()
    model = SkipGram(**SETTINGS).fit(corpus, progress=progress)
    names = [name for name, _ in progress.calls]
    assert list(dict.fromkeys(names)) == ["reading", "counting", "training", "epoch"]
    assert names == sorted(names, key=["reading", "counting", "training", "epoch"].index)
    last = dict(progress.calls)
    assert last["reading"] == (80, 80)
    assert last["counting"] == (160, 160)
    estimate = model.estimate(30, 60, nnz=model.count(corpus).nnz)
    assert last["training"] == (estimate,)
    assert [arguments for name, arguments in progress.calls if name == "epoch"] == [(r,) for r in model.history]


def test_true_shows_bars(corpus, capsys):
    model = SkipGram(**SETTINGS)
    model.fit(corpus, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    for stage in ("reading", "counting", "training", "start"):
        assert f"{stage}: " in err
    assert f"nll {model.history[0]['nll']:.4f}" in err
    model.partial_fit(corpus, progress=True)
    assert "training: " in capsys.readouterr().err
    counts = model.count(corpus, progress=True)
    assert "training: " not in capsys.readouterr().err
    model.fit(counts, progress=True)
    assert "training: " in capsys.readouterr().err
    model.fit(corpus, progress=False)
    perplexity = model.perplexity(corpus)
    assert capsys.readouterr() == ("", "")
    assert model.perplexity(corpus, progress=True) == perplexity
    err = capsys.readouterr().err
    assert "counting: " in err
    assert "blocks: " in err


@pytest.mark.parametrize("progress", [1, "yes", object(), Recorder])
def test_a_progress_without_the_methods_is_rejected_before_anything_is_read(progress):
    class Unread(list):
        def __iter__(self):
            raise AssertionError("read")

    with pytest.raises(TypeError, match=r"progress must be True or have FitProgress' methods; .* no reading\(\)"):
        SkipGram(**SETTINGS).fit(Unread(), progress=progress)


class Shell:
    """A stub of IPython in a notebook, with the functions that are used."""

    kernel = object()


@pytest.fixture
def drawings(monkeypatch):
    """Make this process look like a notebook; return the list of outputs, in which each drawing replaces the last."""
    shown = []
    handle = types.SimpleNamespace(update=lambda output, raw: shown.append(output["text/html"]))

    def display(output, raw, display_id):
        assert display_id
        assert not shown
        handle.update(output, raw)
        return handle

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = Shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return shown


def points(html):
    return [tuple(map(float, place)) for place in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', html)]


def test_true_draws_a_curve_in_a_notebook(corpus, drawings, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)  # which warns where the widgets of notebooks are missing
    model = SkipGram(**SETTINGS).fit(corpus, progress=True)
    assert capsys.readouterr() == ("", "")
    stages = [re.search("</progress> (\\w+)", html)[1] for html in drawings]
    assert list(dict.fromkeys(stages)) == ["reading", "counting", "training", "epoch"]
    assert [len(points(html)) for html in drawings if "epoch 1" in html or "epoch 2" in html] == [1, 2]
    last = model.history[-1]
    assert f"epoch 2 of 2: nll {last['nll']:.4f}, perplexity {last['perplexity']:,.1f}, done" in drawings[-1]
    assert '<progress value="2" max="2">' in drawings[-1]


def test_a_notebook_says_which_epochs_of_a_classifier_leave_documents_out(drawings):
    with pytest.warns(UserWarning, match="before it converged"):
        Classifier(epochs=1).fit(["a b", "c d"] * 10, ["x", "y"] * 10, progress=True)
    stages = [re.search("(epoch[^:]*): loss", html) for html in drawings]
    expected = ["epoch 1 of 1", *(f"epoch {k}, 2 documents left out" for k in range(2, 12))]
    assert [stage[1] for stage in stages if stage][:11] == expected
    assert "ended" in drawings[-1]


def test_the_bar_of_a_notebook_ends_after_early_stopping(corpus, drawings):
    settings = SETTINGS | {"epochs": 50, "early_stopping": True, "n_iter_no_change": 1}
    model = SkipGram(**settings).fit(corpus, progress=True)
    assert len(model.history) < 50
    assert f"epoch {len(model.history)} of 50: " in drawings[-1]
    assert drawings[-1].startswith('<div><progress value="1" max="1"></progress> epoch')
    assert ", ended</div>" in drawings[-1]


@pytest.mark.filterwarnings("ignore:most documents are copies of others")
@pytest.mark.parametrize("source", ["documents", "lines", "table"])
def test_a_classifier_reports_each_stage_in_order(source, tmp_path, capsys):
    texts, labels = ["a b", "c d", "a e", "c f"] * 300, ["x", "y", "x", "y"] * 300
    arguments, fields = (texts, labels), {}
    if source != "documents":
        rows = zip(texts, labels, strict=True)
        lines = [f"__label__{label} {text}" if source == "lines" else f"{text},{label}" for text, label in rows]
        path = tmp_path / ("train.txt" if source == "lines" else "train.csv")
        path.write_text("\n".join(["text,label"] * (source == "table") + lines) + "\n", encoding="utf-8")
        arguments = (path,)
        fields = {"field": "text", "label": "label"} if source == "table" else {}
    progress = Recorder()
    model = Classifier(threads=1).fit(*arguments, **fields, progress=progress)
    names = [name for name, _ in progress.calls]
    assert names == sorted(names, key=["reading", "counting", "training", "epoch"].index)
    assert ("reading" in names) == (source != "documents")
    last = dict(progress.calls)
    assert last["counting"] == (1200, 1200)
    assert str(last["training"][0]) == f"1,200 documents, {model.n_features_} features, 2 labels"
    assert [arguments for name, arguments in progress.calls if name == "epoch"] == [(r,) for r in model.history_]
    for fit in (model.fit, model.partial_fit):
        fit(*arguments, **fields, progress=True)
        assert "training: " in capsys.readouterr().err


def test_no_curve_is_drawn_in_a_terminal_of_ipython(corpus, drawings, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", object)
    SkipGram(**SETTINGS).fit(corpus, progress=True)
    assert drawings == []
    assert "training" in capsys.readouterr().err


def test_a_real_notebook_shows_the_last_curve(tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="needs ipykernel and nbclient")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.chdir(tmp_path)  # where the kernel starts
    lines = ["from fastembed import SkipGram", f"SkipGram(**{SETTINGS}).fit(['a b c d'] * 9, progress=True);"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(lines))])
    nbclient.NotebookClient(notebook, timeout=600).execute()
    (shown,) = [output for output in notebook.cells[0].outputs if output.output_type == "display_data"]
    assert len(points(shown.data["text/html"])) == 2
    assert "epoch 2 of 2" in shown.data["text/html"]
    assert [output.text for output in notebook.cells[0].outputs if output.output_type == "stream"] == []
