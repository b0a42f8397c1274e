"""The callbacks of docs/howto/watch.md send the values of the history to TensorBoard and MLflow."""

import re
import warnings
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "howto" / "watch.md"


def run_section(title):
    """Run the block of a section on a small text in the current folder; return its names."""
    Path("corpus.txt").write_text("a b c d e f\nb c d a f g\n" * 200, encoding="utf-8")
    code = re.search(
        rf"^## {title}\n.*?```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    names = {}
    exec("from fastembed import SkipGram\n" + code[1], names)
    return names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both packages' own
        yield


def test_tensorboard_gets_each_value_of_each_epoch():
    pytest.importorskip("torch")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = run_section("TensorBoard")["model"]
    events = reader.EventAccumulator("runs/first").Reload()
    for name in ("nll", "validation_nll", "seconds"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(r["epoch"], pytest.approx(r[name], rel=1e-6)) for r in model.history]


def test_mlflow_gets_each_value_of_each_epoch():
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # mlflow-skinny cannot store
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    model = run_section("MLflow")["model"]
    run = mlflow.last_active_run()
    assert run.data.params["dim"] == "20"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "nll")
    assert [(value.step, value.value) for value in history] == [(r["epoch"], r["nll"]) for r in model.history]
    assert run.data.metrics["perplexity"] == model.history[-1]["perplexity"]
