"""`Trainer` against a good NumPy step and the notebook's step, on one thread.

Every kind of model makes one checked step of rate one before the timing. The timed steps have rate zero: the same
work, and the same loss from the first to the last.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastembed import Trainer

INPUT, TARGET, STEPS = 4, 5, 100


@pytest.fixture(params=["fastembed", "numpy", "notebook"])
def make(request, parameters):
    """Return a function that makes a model of one kind on the parameters."""
    from contestants import NotebookStep, NumPyStep

    embedding, linear = parameters
    if request.param == "fastembed":
        return lambda: Trainer(embedding.copy(), linear, threads=1)
    kind = {"numpy": NumPyStep, "notebook": NotebookStep}[request.param]
    return lambda: kind(embedding.copy(), linear)


@pytest.fixture
def model(make, truth, close):
    """Return a model, after another of its kind has made one right step."""
    once = make()
    close(once.step(INPUT, TARGET, learning_rate=1.0), truth.loss)
    close(once.embedding[INPUT], truth.h - truth.gradient)
    return make()


def test_forward(benchmark, model, truth, close):
    close(benchmark(model.forward, INPUT), truth.probabilities)


def test_loss(benchmark, model, truth, close):
    close(benchmark(model.loss, INPUT, TARGET), truth.loss)


def test_gradient(benchmark, model, truth, close):
    close(benchmark(model.gradient, INPUT, TARGET), truth.gradient)


def test_step(benchmark, model, truth, close):
    close(benchmark(model.step, INPUT, TARGET, learning_rate=0.0), truth.loss)


@pytest.mark.parametrize("make", ["fastembed"], indirect=True)
def test_train(benchmark, model, truth, close):
    """100 steps in one call."""
    inputs, targets = np.full(STEPS, INPUT), np.full(STEPS, TARGET)
    benchmark.extra_info["steps"] = STEPS
    close(np.mean(benchmark(model.train, inputs, targets, learning_rate=0.0)), truth.loss)


@pytest.mark.parametrize("make", ["fastembed", "numpy"], indirect=True)
def test_step_update_linear(benchmark, make, truth, close):
    once = make()
    close(once.step(INPUT, TARGET, learning_rate=1.0, update_linear=True), truth.loss)
    weights = once.linear.T if isinstance(once, Trainer) else once.weights
    close(weights, (truth.linear - np.outer(truth.h, truth.residual)).T)
    model = make()
    close(benchmark(model.step, INPUT, TARGET, learning_rate=0.0, update_linear=True), truth.loss)
