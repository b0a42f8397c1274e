"""`FitProgress`: the reports of a fit and their order."""

import pytest

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
    estimate = model.estimate(30, 60, nnz=model.count(corpus).nnz)
    assert last["training"] == (estimate,)
    assert [arguments for name, arguments in progress.calls if name == "epoch"] == [(r,) for r in model.history]


def test_an_error_of_the_progress_ends_the_fit(corpus):
    class Full(Recorder):
        def epoch(self, record):
            raise OSError("disk full")

    model = SkipGram(**SETTINGS)
    with pytest.raises(OSError, match="disk full"):
        model.fit(corpus, progress=Full())
    assert len(model.history) == 1


def test_true_shows_bars(corpus, capsys):
    model = SkipGram(**SETTINGS)
    model.fit(corpus, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    for stage in ("reading", "counting", "training"):
        assert f"{stage}: " in err
    assert f"nll {model.history[0]['nll']:.4f}" in err
    model.partial_fit(corpus, progress=True)
    assert "training: " in capsys.readouterr().err
    counts = model.count(corpus, progress=True)
    assert "training: " not in capsys.readouterr().err
    model.fit(counts, progress=True)
    assert "training: " in capsys.readouterr().err
    model.fit(corpus, progress=False)
    assert capsys.readouterr() == ("", "")


def test_bars_are_removed_after_an_error(corpus, capsys):
    def stop(record, model):
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        SkipGram(**SETTINGS).fit(corpus, progress=True, on_epoch_end=stop)
    assert capsys.readouterr().err.endswith("\r")  # the bar's line has been cleared


@pytest.mark.parametrize("progress", [1, "yes", object(), Recorder])
def test_a_progress_without_the_methods_is_rejected_before_anything_is_read(progress):
    class Unread(list):
        def __iter__(self):
            raise AssertionError("read")

    with pytest.raises(TypeError, match=r"progress must be True or have FitProgress' methods; .* no reading\(\)"):
        SkipGram(**SETTINGS).fit(Unread(), progress=progress)
