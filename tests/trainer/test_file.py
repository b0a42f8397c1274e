"""The file of a trainer."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Trainer, Vectors

COUNTS = sparse.random_array((40, 25), density=0.2, random_state=np.random.default_rng(0)) + sparse.eye_array(40, 25)


def trained(dtype="float32", bias=None):
    rng = np.random.default_rng(0)
    embedding, linear = rng.normal(size=(40, 6)).astype(dtype), rng.normal(size=(6, 25)).astype(dtype)
    trainer = Trainer(embedding, linear, bias=bias, loss_scale=0.25, learning_rate=3, threads=1)
    trainer.fit_counts(COUNTS, epochs=2)
    return trainer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [None, np.linspace(-1, 1, 25)])
def test_a_trainer_is_the_same_after_save_and_load_and_goes_on_alike(tmp_path, dtype, bias):
    trainer = trained(dtype, bias)
    trainer.save(tmp_path / "t.safetensors")
    found = Trainer.load(tmp_path / "t.safetensors", threads=1)
    assert (found.loss_scale, found.learning_rate, found.threads) == (0.25, 3, 1)
    for each in (lambda t: None, lambda t: t.fit_counts(COUNTS, warm_start=True), lambda t: t.step(3)):
        each(trainer), each(found)
        for name in ("embedding", "linear"):
            assert getattr(found, name).dtype == dtype
            assert_array_equal(getattr(found, name), getattr(trainer, name))
        assert_array_equal(found.squares[0], trainer.squares[0])
        assert_array_equal(found.squares[1], trainer.squares[1])
    assert (found.bias is None) == (bias is None)
    assert bias is None or (found.bias == trainer.bias).all()


def test_a_file_of_something_else_is_named(tmp_path):
    Vectors(["a"], np.ones((1, 2))).save(tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match=r"holds vectors, and no parameters$"):
        Trainer.load(tmp_path / "v.safetensors")
