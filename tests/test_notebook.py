"""The figures of the notebook that this library began as, computed by compiled code.

The notebook prints a loss and its derivatives for one example with 8 outputs and 10 dimensions, but neither the softmax
nor the parameters. The softmax follows from dL/dx = (o - y)/V; parameters that give it are constructed here.
"""

import numpy as np
import pytest

from fastembed import Trainer, reference
from fastembed._kernels import runnable_builds

V, D, INDEX = 8, 10, 4
LOSS = 0.3671987876935347
DL_DO = -2.35878996  # its only component that is not 0
DL_DX = np.array(
    [0.0075362, 0.00585483, 0.00417056, 0.01973817, -0.11837584, 0.01104708, 0.05633672, 0.01369228]
)  # fmt: skip
DL_DE = np.array(
    [-0.06941078, -0.34673677, -0.10697694, -0.23240771, 0.19650469,
     0.09956768, -0.09942405, -0.02107459, -0.03876713, 0.03872456]
)  # fmt: skip
FINAL_O = np.array(
    [5.89988700e-04, 2.54744803e-03, 4.96841740e-03, 3.22029883e-03,
     9.74169910e-01, 7.97206092e-04, 9.90784411e-03, 3.79888652e-03]
)  # fmt: skip
LOSSES = [0.367, 0.144, 0.051, 0.028, 0.019, 0.015, 0.012, 0.010, 0.009, 0.008]
LOSSES += [0.007, 0.006, 0.006, 0.005, 0.005, 0.004, 0.004, 0.004, 0.004, 0.003]

PRINTED = 5e-9  # half of the last digit that is printed of dL/dx, dL/do and dL/de

Y = np.eye(V)[INDEX]


@pytest.fixture
def o():
    """The softmax, (V,): V * dL/dx + y, to the digits of dL/dx, with o[INDEX] to the digits of the loss."""
    o = V * DL_DX + Y
    exact = np.exp(-V * LOSS)
    assert abs(o[INDEX] - exact) <= V * PRINTED
    others = np.delete(np.arange(V), INDEX)
    o[others] *= (1 - exact) / o[others].sum()
    o[INDEX] = exact
    assert np.abs(o - (V * DL_DX + Y)).max() <= V * PRINTED
    return o


@pytest.fixture(params=runnable_builds())
def trainer(request, set_constant, o):
    """An embedding and a linear layer with logits log(o): the identity matrix shows dL/dx as the gradient."""
    set_constant("fastembed._kernels.BUILD", request.param)
    embedding = np.random.default_rng(0).normal(size=(V, V))
    embedding[INDEX] = np.log(o)
    return Trainer(embedding, np.eye(V))


def test_the_softmax_is_that_of_the_notebook(trainer, o):
    assert trainer.forward(INDEX) == pytest.approx(o, rel=1e-14)


def test_the_loss_is_that_of_the_notebook(trainer):
    assert trainer.loss(INDEX, INDEX) == pytest.approx(LOSS, rel=1e-15)


def test_the_derivative_with_respect_to_o_is_that_of_the_notebook(trainer):
    assert pytest.approx(DL_DO, abs=PRINTED) == -1 / V / trainer.forward(INDEX)[INDEX]


def test_the_derivative_with_respect_to_x_is_that_of_the_notebook(trainer):
    assert trainer.gradient(INDEX, INDEX) == pytest.approx(DL_DX, abs=PRINTED)
    assert trainer.gradient(INDEX, Y) == pytest.approx(DL_DX, abs=PRINTED)


@pytest.fixture
def notebook_sized(o):
    """A linear layer (10, 8) and a row that give both the logits log(o) and the notebook's dL/de.

    linear = outer(dL_de, dL_dx) / |dL_dx|^2 + outer(u, z), with z at right angles to dL_dx, has linear @ dL_dx = dL_de;
    the row e and u are chosen so that e @ linear = log(o).
    """
    x, dl_dx = np.log(o), (o - Y) / V
    square = dl_dx @ dl_dx
    along = x @ dl_dx / square
    z = x - along * dl_dx
    u = np.random.default_rng(1).normal(size=D)
    e = np.linalg.lstsq(np.stack([DL_DE, u]), np.array([along * square, 1.0]), rcond=None)[0]
    embedding = np.random.default_rng(2).normal(size=(V, D))
    embedding[INDEX] = e
    return embedding, np.outer(DL_DE, dl_dx) / square + np.outer(u, z)


def test_the_derivative_with_respect_to_the_embedding_is_that_of_the_notebook(trainer, notebook_sized):
    small = Trainer(notebook_sized[0].copy(), notebook_sized[1])
    assert small.loss(INDEX, INDEX) == pytest.approx(LOSS, rel=1e-13)
    assert small.gradient(INDEX, INDEX) == pytest.approx(DL_DE, abs=PRINTED)


def test_a_step_of_gradient_descent_is_that_of_the_notebook(trainer, notebook_sized):
    embedding, linear = notebook_sized
    small = Trainer(embedding.copy(), linear)
    assert small.step(INDEX, learning_rate=1e-3) == pytest.approx(LOSS, rel=1e-13)
    expected = embedding.copy()
    expected[INDEX] -= 1e-3 * DL_DE
    assert small.embedding == pytest.approx(expected, abs=1e-3 * PRINTED)


def test_the_losses_of_twenty_steps_fall(library):
    """From standard normal parameters, as in the notebook, with the losses that its own lines give."""
    trainer = Trainer.random(V, D, dtype=library.dtype, seed=12)
    linear, e = trainer.linear.astype(np.float64), trainer.embedding[INDEX].astype(np.float64)
    losses = []
    for _ in LOSSES:
        o = np.exp(e @ linear)
        o /= o.sum()
        loss = trainer.step(INDEX)
        assert loss == pytest.approx(-1 / V * Y @ np.log(o), rel=1e-4 if library.dtype == "float32" else 1e-12)
        losses.append(loss)
        e -= linear @ (o - Y) / V
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 50
    assert trainer.forward(INDEX).argmax() == INDEX


def test_the_last_softmax_of_the_notebook_has_the_loss_it_printed(library):
    """0.003 before the last step, and a little less after it."""
    trainer = Trainer(np.log(FINAL_O)[None].astype(library.dtype), np.eye(V, dtype=library.dtype))
    assert trainer.forward(0) == pytest.approx(FINAL_O, rel=1e-5)
    assert trainer.loss(0, INDEX) == pytest.approx(-np.log(FINAL_O[INDEX]) / V, rel=1e-5)
    assert LOSSES[-1] - 0.0005 <= trainer.loss(0, INDEX) <= LOSSES[-1] + 0.0005


def test_the_reference_gives_the_figures_of_the_notebook(o):
    x = np.log(o)
    assert reference.loss(x, Y, 1 / V) == pytest.approx(LOSS, rel=1e-15)
    assert reference.logits_gradient(x, Y, 1 / V) == pytest.approx(DL_DX, abs=PRINTED)
