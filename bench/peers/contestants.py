"""The same step for the peers: optimised NumPy, the code of the notebook, PyTorch.

Each has `step(i, target)`, which returns the loss before the step, scaled by 1/V as by `fastembed.Trainer`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTER_ROWS = 1024  # rows of the linear layer per update in NumPy: their outer product stays in the cache


class NumPyStep:
    """A good NumPy step: two matrix-vector products into memory kept for them, everything between in place.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
        Updated in place.
    linear : ndarray (D, V)
        Copied and held vocabulary-major, in which both products are fastest.
    """

    def __init__(self, embedding: NDArray[Any], linear: NDArray[Any]) -> None:
        self.embedding = embedding
        self.weights = np.ascontiguousarray(linear.T)
        outputs, dim = self.weights.shape
        self._x = np.empty(outputs, embedding.dtype)
        self._gradient = np.empty(dim, embedding.dtype)
        self._outer = np.empty((min(outputs, OUTER_ROWS), dim), embedding.dtype)

    def forward(self, i: int) -> NDArray[Any]:
        """Return softmax(embedding[i] @ linear), in memory that the next call uses again."""
        self._exponentials(i)
        self._x /= self._x.sum()
        return self._x

    def loss(self, i: int, target: int) -> float:
        """Return the loss."""
        target_logit, maximum = self._exponentials(i, target)
        return (maximum + math.log(self._x.sum()) - target_logit) / len(self._x)

    def gradient(self, i: int, target: int) -> NDArray[Any]:
        """Return the gradient for embedding[i], in memory that the next call uses again."""
        x = self.forward(i)
        x[target] -= 1
        x /= len(x)
        return np.matmul(x, self.weights, out=self._gradient)

    def step(self, i: int, target: int, learning_rate: float = 1.0, update_linear: bool = False) -> float:
        """Make one step in place; return the loss before it."""
        target_logit, maximum = self._exponentials(i, target)
        x, row = self._x, self.embedding[i]
        total = x.sum()
        loss = (maximum + math.log(total) - target_logit) / len(x)
        x *= learning_rate / (len(x) * total)
        x[target] -= learning_rate / len(x)
        np.matmul(x, self.weights, out=self._gradient)
        if update_linear:
            for first in range(0, len(x), OUTER_ROWS):
                part = x[first : first + OUTER_ROWS, None]
                self.weights[first : first + OUTER_ROWS] -= np.multiply(part, row, out=self._outer[: len(part)])
        row -= self._gradient
        return loss

    def _exponentials(self, i: int, target: int = 0) -> tuple[float, float]:
        """Leave exp(x - max) in place of the logits; return the target's logit and the maximum."""
        x = np.matmul(self.weights, self.embedding[i], out=self._x)
        target_logit, maximum = float(x[target]), float(x.max())
        x -= maximum
        np.exp(x, out=x)
        return target_logit, maximum


class NotebookStep:
    """The step as the notebook takes it: one-hot target, softmax without a maximum, a new array for each stage.

    The notebook also prints the loss in each step; this does not.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
        Updated in place.
    linear : ndarray (D, V)
    """

    def __init__(self, embedding: NDArray[Any], linear: NDArray[Any]) -> None:
        self.embedding, self.linear = embedding, linear

    def one_hot(self, target: int) -> NDArray[np.float64]:
        """Return the target as a distribution."""
        y = np.zeros(self.linear.shape[1])
        y[target] = 1
        return y

    def forward(self, i: int) -> NDArray[Any]:
        """Return the softmax of the logits."""
        exponentials = np.exp(self.embedding[i, :] @ self.linear)
        return exponentials / np.sum(exponentials)

    def loss(self, i: int, target: int) -> float:
        """Return the cross-entropy over V."""
        return float(self._criterion(self.one_hot(target), self.forward(i)))

    def gradient(self, i: int, target: int) -> NDArray[Any]:
        """Return the gradient for embedding[i]."""
        return self.linear @ (self.forward(i) - self.one_hot(target)) / self.linear.shape[1]

    def step(self, i: int, target: int, learning_rate: float = 1.0) -> float:
        """Make one step in place; return the loss before it."""
        y = self.one_hot(target)
        o = self.forward(i)
        loss = self._criterion(y, o)
        self.embedding[i, :] -= learning_rate * (self.linear @ (o - y) / self.linear.shape[1])
        return float(loss)

    def _criterion(self, y: NDArray[Any], o: NDArray[Any]) -> Any:
        return -1 / self.linear.shape[1] * np.inner(y, np.log(o))


class TorchStep:
    """PyTorch: Embedding with sparse gradients, Linear without a bias, CrossEntropyLoss, plain gradient descent.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
        Shared with PyTorch and updated in place.
    linear : ndarray (D, V)
        Copied.
    update_linear : bool
        Train the linear layer too.
    learning_rate : float
        Of the mean loss over a batch, which is not divided by V.
    """

    def __init__(
        self, embedding: NDArray[Any], linear: NDArray[Any], *, update_linear: bool, learning_rate: float
    ) -> None:
        import torch

        self._torch = torch
        dim, outputs = linear.shape
        dtype = torch.from_numpy(embedding).dtype
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(embedding), freeze=False, sparse=True)
        self.linear = torch.nn.Linear(dim, outputs, bias=False, dtype=dtype)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(linear).T)
        self.linear.weight.requires_grad_(update_linear)
        self._criterion = torch.nn.CrossEntropyLoss()
        trained = [*self.embedding.parameters(), *(self.linear.parameters() if update_linear else ())]
        self._optimizer = torch.optim.SGD(trained, lr=learning_rate)

    def step(self, i: int, target: int) -> float:
        """Make one step on one example; return the loss before it."""
        return self.batch(np.array([i]), np.array([target])) / self.linear.out_features

    def batch(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        """Make one step on a batch; return its mean loss before it, in nats."""
        self._optimizer.zero_grad()
        logits = self.linear(self.embedding(self._torch.from_numpy(inputs)))
        loss = self._criterion(logits, self._torch.from_numpy(targets))
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())
