"""The figures of the notebook that this library began as, computed by compiled code, all from one pair (E, W).

The notebook prints what 8 outputs and 10 dimensions of normal numbers gave, but not these numbers. `notebook` finds
numbers that give all of it together, by least squares with the compiled steps as the function evaluated.
"""

import numpy as np
import pytest
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from fastembed import Trainer, reference
from fastembed._kernels import runnable_builds

V, D, INDEX = 8, 10, 4
LOSS = 0.3671987876935347
DL_DX = np.array(
    [0.0075362, 0.00585483, 0.00417056, 0.01973817, -0.11837584, 0.01104708, 0.05633672, 0.01369228]
)  # fmt: skip
DL_DE = np.array(
    [-0.06941078, -0.34673677, -0.10697694, -0.23240771, 0.19650469,
     0.09956768, -0.09942405, -0.02107459, -0.03876713, 0.03872456]
)  # fmt: skip
FIRST_RATE = 1e-3  # of the one step before the twenty, which have the rate 1
LOSSES = ["0.367", "0.144", "0.051", "0.028", "0.019", "0.015", "0.012", "0.010", "0.009", "0.008"]
LOSSES += ["0.007", "0.006", "0.006", "0.005", "0.005", "0.004", "0.004", "0.004", "0.004", "0.003"]
FINAL_O = np.array(
    [5.89988700e-04, 2.54744803e-03, 4.96841740e-03, 3.22029883e-03,
     9.74169910e-01, 7.97206092e-04, 9.90784411e-03, 3.79888652e-03]
)  # fmt: skip

# Half of the last digit that is printed
PRINTED = 5e-9  # of dL/dx, dL/do and dL/de
PRINTED_FINAL_O = 5e-9 * 10 ** np.floor(np.log10(FINAL_O))
PRINTED_LOSS = 5e-4

Y = np.eye(V)[INDEX]


@pytest.fixture(scope="module")
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


def parameters(a, o):
    """Return a row e (D,) and a linear layer (D, V), made from `a`, with softmax(e @ linear) = o and the dL/de printed.

    A factor gives linear @ dL/dx the length of dL/de, and a reflection its direction. Eight logits are then eight
    equations for the ten components of e.
    """
    dl_dx = (o - Y) / V
    linear = a * (np.linalg.norm(DL_DE) / np.linalg.norm(a @ dl_dx))
    mirror = linear @ dl_dx - DL_DE
    linear -= np.outer(mirror, mirror @ linear) * (2 / (mirror @ mirror))
    return np.linalg.lstsq(linear.T, np.log(o), rcond=None)[0], linear


@pytest.fixture(scope="module")
def notebook(o):
    """An embedding (V, D) and a linear layer (D, V) that give all of the notebook's figures.

    What is printed before the steps holds by construction for any matrix. Least squares changes a matrix of normal
    numbers until the twenty losses are within 95 % of what their digits allow, and the last softmax is as printed.
    """
    losses = np.array(LOSSES, np.float64)

    def misfit(a):
        e, linear = parameters(a.reshape(D, V), o)
        trainer = Trainer(e[None], linear)
        trainer.step(0, INDEX, learning_rate=FIRST_RATE)
        off = (trainer.train([0], [INDEX], epochs=len(losses)) - losses) / PRINTED_LOSS
        final = np.log(trainer.forward(0) / FINAL_O)
        return np.concatenate([off - np.clip(off, -0.95, 0.95), 100 * final])

    with threadpool_limits(1, user_api="blas"):
        found = least_squares(misfit, np.random.default_rng(1).normal(size=D * V))
    e, linear = parameters(found.x.reshape(D, V), o)
    embedding = np.random.default_rng(2).normal(size=(V, D))
    embedding[INDEX] = e
    return embedding, linear


@pytest.fixture(params=runnable_builds())
def trainer(request, set_constant, notebook):
    set_constant("fastembed._kernels.BUILD", request.param)
    return Trainer(notebook[0].copy(), notebook[1])


def test_the_softmax_is_that_of_the_notebook(trainer, o):
    assert trainer.forward(INDEX) == pytest.approx(o, rel=1e-13)


def test_the_loss_is_that_of_the_notebook(trainer):
    assert trainer.loss(INDEX, INDEX) == pytest.approx(LOSS, rel=1e-14)
    assert trainer.loss(INDEX, Y) == pytest.approx(LOSS, rel=1e-14)


def test_the_derivative_with_respect_to_x_is_that_of_the_notebook(trainer):
    """With the identity matrix as the linear layer it is the gradient of the embedding."""
    logits = trainer.embedding @ trainer.linear
    shown = Trainer(logits, np.eye(V))
    assert shown.gradient(INDEX, INDEX) == pytest.approx(DL_DX, abs=PRINTED)
    assert shown.gradient(INDEX, Y) == pytest.approx(DL_DX, abs=PRINTED)


def test_the_derivative_with_respect_to_the_embedding_is_that_of_the_notebook(trainer):
    assert trainer.gradient(INDEX, INDEX) == pytest.approx(DL_DE, abs=PRINTED)


def test_a_step_of_gradient_descent_is_that_of_the_notebook(trainer, notebook):
    assert trainer.step(INDEX, learning_rate=FIRST_RATE) == pytest.approx(LOSS, rel=1e-14)
    expected = notebook[0].copy()
    expected[INDEX] -= FIRST_RATE * DL_DE
    assert trainer.embedding == pytest.approx(expected, abs=FIRST_RATE * PRINTED)


def test_twenty_steps_print_the_losses_of_the_notebook_and_end_at_its_softmax(trainer):
    trainer.step(INDEX, learning_rate=FIRST_RATE)
    assert [f"{trainer.step(INDEX):.3f}" for _ in LOSSES] == LOSSES
    assert (np.abs(trainer.forward(INDEX) - FINAL_O) <= PRINTED_FINAL_O).all()


def test_the_losses_of_twenty_steps_are_printed_alike_in_both_dtypes(library, notebook):
    embedding, linear = (parameter.astype(library.dtype) for parameter in notebook)
    trainer = Trainer(embedding, linear)
    trainer.step(INDEX, learning_rate=FIRST_RATE)
    assert [f"{trainer.step(INDEX):.3f}" for _ in LOSSES] == LOSSES
    assert trainer.forward(INDEX) == pytest.approx(FINAL_O, rel=1e-4 if library.dtype == "float32" else 1e-8)


def test_the_reference_gives_the_figures_of_the_notebook(o, notebook):
    x = np.log(o)
    assert reference.loss(x, Y, 1 / V) == pytest.approx(LOSS, rel=1e-15)
    assert reference.logits_gradient(x, Y, 1 / V) == pytest.approx(DL_DX, abs=PRINTED)
    embedding, linear = notebook
    assert reference.gradient(embedding[INDEX], linear, Y, 1 / V) == pytest.approx(DL_DE, abs=PRINTED)
    _, embedding, _ = reference.step(embedding, linear, INDEX, INDEX, learning_rate=FIRST_RATE)
    losses, embedding, _ = reference.train(embedding, linear, [INDEX] * len(LOSSES), [INDEX] * len(LOSSES))
    assert [f"{loss:.3f}" for loss in losses] == LOSSES
    assert (np.abs(reference.softmax(embedding[INDEX] @ linear) - FINAL_O) <= PRINTED_FINAL_O).all()
