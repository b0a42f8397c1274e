"""The struct of parameters."""

import numpy as np
from numpy.testing import assert_array_equal

from fastembed.trainer.parameters import Parameters


def test_untrained_parameters_hold_the_embedding_and_a_padded_copy_of_the_linear_layer():
    embedding, linear = np.ones((4, 3), np.float32), np.arange(15, dtype=np.float32).reshape(3, 5)
    parameters = Parameters.untrained(embedding, linear, None)
    assert (parameters.inputs, parameters.dim, parameters.outputs, parameters.dtype) == (4, 3, 5, np.float32)
    assert parameters.embedding is embedding
    assert parameters.weights.shape == (5, 16)
    assert_array_equal(parameters.weights[:, :3], linear.T)
    assert (parameters.weights[:, 3:] == 0).all()
    assert_array_equal(parameters.linear, linear)
    assert np.shares_memory(parameters.linear, parameters.weights)
    assert {name: array.shape for name, array in parameters.trained.items()} == {
        "embedding": (4, 3),
        "linear.T": (5, 16),
        "squares": (4,),
        "linear_squares": (5,),
    }


def test_grown_parameters_are_a_copy_with_more_rows():
    parameters = Parameters.untrained(np.ones((4, 3)), np.ones((3, 5)), np.arange(5.0))
    parameters.squares[:], parameters.linear_squares[:] = 2, 3
    grown = parameters.grown(np.zeros((2, 3)))
    assert_array_equal(grown.embedding, [[1] * 3] * 4 + [[0] * 3] * 2)
    assert_array_equal(grown.squares, [2] * 4 + [0] * 2)
    assert_array_equal(grown.linear_squares, [3] * 5)
    assert_array_equal(grown.bias, np.arange(5))
    for own, others in zip(grown.trained.values(), parameters.trained.values(), strict=True):
        assert not np.shares_memory(own, others)
    assert not np.shares_memory(grown.bias, parameters.bias)
    grown.reset_squares()
    assert not grown.squares.any()
    assert not grown.linear_squares.any()
    assert parameters.squares.all()
