"""`FitProgress`: what a fit reports, and when."""

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
