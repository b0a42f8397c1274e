"""`OnlineTrainer`: an embedding, a linear layer, and exact-softmax steps on one example after another."""

from __future__ import annotations

import os
import threading
from typing import Any, Self
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_flag, check_ids, check_integer, check_number
from fastembed.trainer.checks import check_bias, check_embedding, check_linear, check_target, check_targets
from fastembed.trainer.rows import RowSteps

_trainers: WeakSet[OnlineTrainer] = WeakSet()


def _renew_locks() -> None:
    """In a child after a fork: the thread that may have held a trainer's lock was not copied."""
    for trainer in _trainers:
        trainer._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class OnlineTrainer:
    """The half of `Trainer` that owns the parameters and steps through examples. Its arguments are `Trainer`'s."""

    def __init__(
        self,
        embedding: NDArray[Any],
        linear: NDArray[Any],
        *,
        bias: ArrayLike | None = None,
        loss_scale: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._embedding = check_embedding(embedding)
        linear = check_linear(linear, embedding)
        dtype, (dim, outputs) = embedding.dtype, linear.shape
        self._inputs, self._outputs = len(embedding), outputs
        self._bias = check_bias(bias, outputs, dtype)
        self._scale = 1 / outputs if loss_scale is None else check_number("loss_scale", loss_scale)
        self._pool = Pool(check_threads(threads))
        self._lock = threading.RLock()  # on_epoch_end may use the trainer
        _trainers.add(self)

        self._weights = aligned_zeros((outputs, padded_width(dim, dtype)), dtype)
        self._weights[:, :dim] = linear.T
        self._rows = RowSteps(self._embedding, self._weights, self._bias, self._scale, self._pool)

    @classmethod
    def random(
        cls,
        vocab_size: int,
        dim: int,
        *,
        output_size: int | None = None,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | np.random.Generator | None = None,
        threads: int | None = None,
    ) -> Self:
        """Start from standard normal numbers.

        Parameters
        ----------
        vocab_size, dim : int
            V_in and D.
        output_size : int, optional
            V; by default V_in.
        dtype : {"float32", "float64"}
            Of the parameters.
        seed : int or Generator, optional
            For repeatable numbers.
        threads : int, optional
            As for the class.

        Returns
        -------
        Trainer

        Raises
        ------
        TypeError, ValueError
            If a size is not a positive integer, or the dtype is another.

        Examples
        --------
        >>> OnlineTrainer.random(8, 10, seed=0).embedding.shape
        (8, 10)
        """
        inputs = check_integer("vocab_size", vocab_size, low=1)
        dim = check_integer("dim", dim, low=1)
        outputs = inputs if output_size is None else check_integer("output_size", output_size, low=1)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
        rng = np.random.default_rng(seed)
        embedding = rng.standard_normal((inputs, dim)).astype(dtype)
        return cls(embedding, rng.standard_normal((dim, outputs)).astype(dtype), threads=threads)

    def __repr__(self) -> str:
        dim, dtype = self._embedding.shape[1], self._embedding.dtype
        return f"{type(self).__name__}(inputs={self._inputs}, dim={dim}, outputs={self._outputs}, dtype={dtype})"

    @property
    def embedding(self) -> NDArray[Any]:
        """The embedding (V_in, D): the array that was passed in."""
        return self._embedding

    @property
    def linear(self) -> NDArray[Any]:
        """The linear layer (D, V): a view of the trainer's own memory, where column c is output c's vector."""
        return self._weights[:, : self._embedding.shape[1]].T

    @property
    def bias(self) -> NDArray[Any] | None:
        """The bias (V,), or None."""
        return self._bias

    @property
    def loss_scale(self) -> float:
        """The factor on the loss."""
        return self._scale

    @property
    def threads(self) -> int:
        """The number of threads."""
        return self._pool.threads

    def forward(self, i: int) -> NDArray[Any]:
        """Return the probabilities softmax(embedding[i] @ linear + bias).

        Parameters
        ----------
        i : int
            The input's id, 0 to V_in - 1.

        Returns
        -------
        ndarray (V,)
            Of the model's dtype.

        Raises
        ------
        TypeError, ValueError
            If `i` is not an id.
        FloatingPointError
            If a logit overflows.

        Examples
        --------
        >>> round(float(OnlineTrainer.random(8, 10, seed=0).forward(3).sum()), 5)
        1.0
        """
        i = check_integer("i", i, low=0, high=self._inputs - 1)
        with self._lock:
            return self._rows.probabilities(i)

    def loss(self, i: int, target: Any) -> float:
        """Return the loss of one example.

        Parameters
        ----------
        i : int
            The input's id, 0 to V_in - 1.
        target : int, array_like (V,) or SciPy sparse (1, V)
            The output's id, or non-negative weights with a positive sum.

        Returns
        -------
        float
            loss_scale * (sum(y) * logsumexp(x) - y @ x) with x the logits, in nats.

        Raises
        ------
        TypeError, ValueError
            If `i` or `target` is not as above.
        FloatingPointError
            If the loss is not finite.

        Examples
        --------
        >>> trainer = OnlineTrainer(np.zeros((4, 2)), np.zeros((2, 4)), loss_scale=1)
        >>> round(trainer.loss(0, 3), 6)  # log 4
        1.386294
        """
        i = check_integer("i", i, low=0, high=self._inputs - 1)
        targets = check_target(target, self._outputs)
        with self._lock:
            return self._rows.loss(i, targets)

    def gradient(self, i: int, target: Any) -> NDArray[Any]:
        """Return the loss' gradient with respect to ``embedding[i]``.

        Parameters
        ----------
        i, target
            As for `loss`.

        Returns
        -------
        ndarray (D,)
            loss_scale * (sum(y) * linear @ softmax(x) - linear @ y), of the model's dtype.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `loss` does.

        Examples
        --------
        >>> trainer = OnlineTrainer(np.zeros((2, 1)), np.array([[1.0, -1.0]]), loss_scale=1)
        >>> trainer.gradient(0, 0)  # (1/2 - 1) * 1 + 1/2 * (-1)
        array([-1.])
        """
        i = check_integer("i", i, low=0, high=self._inputs - 1)
        targets = check_target(target, self._outputs)
        with self._lock:
            return self._rows.gradient(i, targets)

    def step(self, i: int, target: Any = None, *, learning_rate: float = 1.0, update_linear: bool = False) -> float:
        """Make one step of gradient descent, in place.

        Parameters
        ----------
        i : int
            The input's id, 0 to V_in - 1.
        target : int, array_like (V,) or SciPy sparse (1, V), optional
            The output's id, or non-negative weights with a positive sum; by default `i` itself.
        learning_rate : float
            Factor on the gradient.
        update_linear : bool
            Train the linear layer too; otherwise only ``embedding[i]`` moves.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `loss` does; nothing has been changed then.

        Examples
        --------
        >>> trainer = OnlineTrainer.random(8, 10, dtype="float64", seed=0)
        >>> trainer.step(2) > trainer.step(2)
        True
        """
        i = check_integer("i", i, low=0, high=self._inputs - 1)
        rate = check_number("learning_rate", learning_rate)
        update_linear = check_flag("update_linear", update_linear)
        if target is None:
            target = i
        if isinstance(target, int) or np.isscalar(target):
            output = check_integer("target", target, low=0, high=self._outputs - 1)
            with self._lock:
                return self._rows.step(i, output, rate, update_linear)
        targets = check_target(target, self._outputs)
        with self._lock:
            return float(self._rows.descend(np.array([i], dtype=np.intp), targets, rate, update_linear)[0])

    def train(
        self,
        inputs: ArrayLike,
        targets: Any = None,
        *,
        learning_rate: float = 1.0,
        epochs: int = 1,
        update_linear: bool = False,
    ) -> NDArray[np.float64]:
        """Step through examples, in their order, `epochs` times.

        Parameters
        ----------
        inputs : array_like of int (N,)
            The inputs' ids.
        targets : array_like of int (N,), array_like (N, V) or SciPy sparse (N, V), optional
            Each example's target, as for `step`; by default the inputs themselves.
        learning_rate, update_linear
            As for `step`.
        epochs : int
            How often to go through all examples.

        Returns
        -------
        ndarray (epochs,), float64
            Each epoch's mean loss, of the losses before each step.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; nothing has been changed then.
        FloatingPointError
            If a loss is not finite; the steps before it have been made.

        Examples
        --------
        >>> trainer = OnlineTrainer.random(8, 10, dtype="float64", seed=0)
        >>> losses = trainer.train([0, 1, 2], epochs=3)
        >>> bool(losses[0] > losses[2])
        True
        """
        ids = check_ids("inputs", inputs, self._inputs)
        rows = check_targets(ids if targets is None else targets, len(ids), self._outputs)
        rate = check_number("learning_rate", learning_rate)
        update_linear = check_flag("update_linear", update_linear)
        means = np.empty(check_integer("epochs", epochs, low=1))
        with self._lock:
            for epoch in range(len(means)):
                means[epoch] = self._rows.descend(ids, rows, rate, update_linear).mean()
        return means
