"""`FitProgress`: the reports of a fit and their order; and bars."""

import pytest
import tqdm.auto

from fastembed import SkipGram

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
    (estimate,) = last["training"]
    assert (estimate.inputs, estimate.outputs, estimate.nnz) == (30, 60, model.count(corpus).nnz)
    assert [arguments for name, arguments in progress.calls if name == "epoch"] == [(r,) for r in model.history]


def test_bars_are_drawn_by_the_class_that_draws_in_notebooks_too(corpus, monkeypatch):
    drawn = []

    class Noted(tqdm.auto.tqdm):
        def __init__(self, *arguments, **options):
            drawn.append(options["desc"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr("tqdm.auto.tqdm", Noted)
    SkipGram(**SETTINGS).fit(corpus, progress=True)
    assert {"reading", "counting", "training", "start"} <= set(drawn)


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
