"""Fixtures for the tests of the trainer."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Trainer


@pytest.fixture
def trainer():
    """With 4 inputs, 3 dimensions and 5 outputs; the calls of a test must not change its parameters."""
    rng = np.random.default_rng(0)
    trainer = Trainer(rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), threads=1)
    before, before_linear = trainer.embedding.copy(), trainer.linear.copy()
    yield trainer
    assert_array_equal(trainer.embedding, before)
    assert_array_equal(trainer.linear, before_linear)
