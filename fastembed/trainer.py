"""`Trainer`: an embedding, a linear layer and exact-softmax steps on them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed import _blocks
from fastembed import _validation as check
from fastembed._epochs import run_epochs
from fastembed._kernels import aligned_zeros, padded_width
from fastembed._rows import RowSteps
from fastembed._threads import Pool, check_threads


class Trainer:
    """Exact-softmax training of an embedding followed by a linear layer.

    The model is ``softmax(embedding[i] @ linear + bias)``; the loss of a target ``y`` is
    ``-loss_scale * y @ log(softmax)``. The derivation is in ``docs/derivation.md``.

    Parameters
    ----------
    embedding : ndarray (V_in, D), float32 or float64
        One row for each input. C-contiguous; **updated in place**.
    linear : ndarray (D, V), of the same dtype
        The layer from a row to the V logits. Copied: the trainer holds it vocabulary-major. `Trainer.linear` shows it.
    bias : array_like (V,), optional
        Added to the logits. Copied; never trained.
    loss_scale : float, optional
        Factor on the loss; 1 / V by default.
    threads : int, optional
        Threads to use; by default as many as CPUs. The results do not depend on it, not by a bit.

    Raises
    ------
    TypeError, ValueError
        If an array has another dtype, shape or memory order, or is not finite. Nothing has been changed then.

    Notes
    -----
    One trainer runs one call at a time (a second thread waits); several trainers may run at once. `copy.deepcopy`
    makes a trainer with parameters of its own; a trainer cannot be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from fastembed import Trainer
    >>> rng = np.random.default_rng(0)
    >>> embedding = rng.normal(size=(8, 10))
    >>> trainer = Trainer(embedding, rng.normal(size=(10, 8)))
    >>> losses = [trainer.step(4) for _ in range(20)]
    >>> losses[0] > losses[-1]
    True
    >>> int(trainer.forward(4).argmax())
    4
    """

    def __init__(
        self,
        embedding: NDArray[Any],
        linear: NDArray[Any],
        *,
        bias: ArrayLike | None = None,
        loss_scale: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._embedding = check.check_embedding(embedding)
        linear = check.check_linear(linear, embedding)
        dtype, (dim, outputs) = embedding.dtype, linear.shape
        self._inputs, self._outputs = len(embedding), outputs
        self._bias = check.check_bias(bias, outputs, dtype)
        self._scale = 1 / outputs if loss_scale is None else check.check_number("loss_scale", loss_scale)
        self._pool = Pool(check_threads(threads))
        self._lock = threading.RLock()  # on_epoch_end may use the trainer

        self._weights = aligned_zeros((outputs, padded_width(dim, dtype)), dtype)
        self._weights[:, :dim] = linear.T
        self._squares = np.zeros(self._inputs), np.zeros(outputs)  # of fit_counts
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
    ) -> Trainer:
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
        >>> Trainer.random(8, 10, seed=0).embedding.shape
        (8, 10)
        """
        inputs = check.check_integer("vocab_size", vocab_size, low=1)
        dim = check.check_integer("dim", dim, low=1)
        outputs = inputs if output_size is None else check.check_integer("output_size", output_size, low=1)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
        rng = np.random.default_rng(seed)
        embedding = rng.standard_normal((inputs, dim)).astype(dtype)
        return cls(embedding, rng.standard_normal((dim, outputs)).astype(dtype), threads=threads)

    def grown(self, rows: NDArray[Any]) -> Trainer:
        """Return another trainer, a copy of this one with more inputs.

        Parameters
        ----------
        rows : ndarray (N, D), of the model's dtype
            The new inputs' rows of the embedding, N >= 0; the others keep their ids.

        Returns
        -------
        Trainer
            Whose `fit_counts` can carry on (`warm_start`); the new rows have not moved yet.

        Raises
        ------
        TypeError, ValueError
            If the rows have another dtype or shape, or are not finite.

        Examples
        --------
        >>> Trainer.random(8, 10, seed=0).grown(np.zeros((2, 10), "float32")).embedding.shape
        (10, 10)
        """
        if rows.dtype != self._embedding.dtype:
            raise TypeError(f"rows are {rows.dtype}, but the embedding is {self._embedding.dtype}")
        if rows.ndim != 2 or rows.shape[1] != self._embedding.shape[1]:
            raise ValueError(f"rows must have shape (N, {self._embedding.shape[1]}), got {rows.shape}")
        with self._lock:
            embedding = np.concatenate([self._embedding, rows])
            other = Trainer(embedding, self.linear, bias=self._bias, loss_scale=self._scale, threads=self.threads)
            other._squares = np.concatenate([self._squares[0], np.zeros(len(rows))]), self._squares[1].copy()
        return other

    def __repr__(self) -> str:
        dim, dtype = self._embedding.shape[1], self._embedding.dtype
        return f"Trainer(inputs={self._inputs}, dim={dim}, outputs={self._outputs}, dtype={dtype})"

    def __deepcopy__(self, _: dict[int, Any]) -> Trainer:
        with self._lock:
            return Trainer(
                self._embedding.copy(), self.linear, bias=self._bias, loss_scale=self._scale, threads=self.threads
            )

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
        >>> round(float(Trainer.random(8, 10, seed=0).forward(3).sum()), 5)
        1.0
        """
        i = check.check_integer("i", i, low=0, high=self._inputs - 1)
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
        >>> trainer = Trainer(np.zeros((4, 2)), np.zeros((2, 4)), loss_scale=1)
        >>> round(trainer.loss(0, 3), 6)  # log 4
        1.386294
        """
        i = check.check_integer("i", i, low=0, high=self._inputs - 1)
        targets = check.check_target(target, self._outputs)
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
        >>> trainer = Trainer(np.zeros((2, 1)), np.array([[1.0, -1.0]]), loss_scale=1)
        >>> trainer.gradient(0, 0)  # (1/2 - 1) * 1 + 1/2 * (-1)
        array([-1.])
        """
        i = check.check_integer("i", i, low=0, high=self._inputs - 1)
        targets = check.check_target(target, self._outputs)
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
        >>> trainer = Trainer.random(8, 10, dtype="float64", seed=0)
        >>> trainer.step(2) > trainer.step(2)
        True
        """
        i = check.check_integer("i", i, low=0, high=self._inputs - 1)
        rate = check.check_number("learning_rate", learning_rate)
        if target is None:
            target = i
        if isinstance(target, int) or np.isscalar(target):
            output = check.check_integer("target", target, low=0, high=self._outputs - 1)
            with self._lock:
                return self._rows.step(i, output, rate, update_linear)
        targets = check.check_target(target, self._outputs)
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
        >>> trainer = Trainer.random(8, 10, dtype="float64", seed=0)
        >>> losses = trainer.train([0, 1, 2], epochs=3)
        >>> bool(losses[0] > losses[2])
        True
        """
        ids = check.check_ids("inputs", inputs, self._inputs)
        rows = check.check_targets(ids if targets is None else targets, len(ids), self._outputs)
        rate = check.check_number("learning_rate", learning_rate)
        means = np.empty(check.check_integer("epochs", epochs, low=1))
        with self._lock:
            for epoch in range(len(means)):
                means[epoch] = self._rows.descend(ids, rows, rate, update_linear).mean()
        return means

    def fit_counts(
        self,
        counts: Any,
        *,
        epochs: int = 5,
        learning_rate: float = 0.07,
        linear_learning_rate: float = 0.1,
        block_size: int = 256,
        workspace_bytes: int = _blocks.WORKSPACE_BYTES,
        frozen_rows: ArrayLike = (),
        validation_counts: Any = None,
        n_iter_no_change: int | None = None,
        warm_start: bool = False,
        seed: int | np.random.Generator | None = 0,
        on_epoch_end: Callable[[dict[str, float], Trainer], object] | None = None,
    ) -> list[dict[str, float]]:
        """Fit all rows to their counts of outputs, by the exact softmax, in blocks.

        Parameters
        ----------
        counts : Counts or SciPy sparse (V_in, V)
            counts[w, c]: how often, or with what weight, output c goes with input w. Rows without counts stay as
            they are.
        epochs : int
            How often each row is visited.
        learning_rate, linear_learning_rate : float
            Rates of the row-wise Adagrad steps on the embedding and on the linear layer, falling linearly to a tenth.
            Zero freezes the parameters, which then keep their bits.
        block_size : int
            Rows of a block at most.
        workspace_bytes : int
            Bound on the memory for a block's logits and gradients; blocks become smaller to keep it. Each thread has
            room for the gradient of 1,024 columns beside it.
        frozen_rows : array_like of int
            Inputs whose rows of the embedding keep their bits; the linear layer still learns from their counts.
        validation_counts : Counts or SciPy sparse (V_in, V), optional
            Counts that are not trained on; their mean nll at the end of each epoch is `validation_nll` in its record.
        n_iter_no_change : int, optional
            End training early when `validation_nll` has not fallen for so many epochs. When training ends, early or
            not, the parameters are put back to those of the epoch at which it was lowest.
        warm_start : bool
            Carry on the sums of squared gradients, by whose roots steps are divided, from the call before; by default
            they start from zero.
        seed : int or Generator, optional
            For the order of the rows, another one in each epoch.
        on_epoch_end : callable, optional
            Called as ``on_epoch_end(record, trainer)`` after each epoch, with the epoch's record and this trainer,
            whose parameters are those after the epoch. Training ends early if it returns True.

        Returns
        -------
        list of dict
            For each epoch made: `epoch`, from 1; `nll`, the mean negative log-likelihood a pair, in nats, each row's as
            it was before its step; `perplexity`, exp(nll); `learning_rate` at the epoch's end; `seconds`; and
            `validation_nll`, if there are validation counts.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; nothing has been changed then.
        TrainingDivergedError
            If the loss of a block, or a parameter at the end of an epoch, is not finite. The parameters are then those
            at the end of the epoch before, or at the start. (Another exception, such as a Ctrl-C, leaves the steps
            made so far.)

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> trainer = Trainer.random(3, 2, seed=0)
        >>> history = trainer.fit_counts(csr_array([[0, 5, 1], [5, 0, 0], [1, 0, 0]]), epochs=20)
        >>> history[0]["nll"] > history[-1]["nll"]
        True
        """
        matrix = check.check_counts(counts, (self._inputs, self._outputs))
        settings = _blocks.Settings(
            epochs=check.check_integer("epochs", epochs, low=1),
            learning_rate=check.check_number("learning_rate", learning_rate),
            linear_learning_rate=check.check_number("linear_learning_rate", linear_learning_rate),
            block_size=check.check_integer("block_size", block_size, low=1),
            workspace_bytes=check.check_integer("workspace_bytes", workspace_bytes, low=1),
        )
        frozen = None if np.size(frozen_rows) == 0 else check.check_ids("frozen_rows", frozen_rows, self._inputs)
        held_out = None
        if validation_counts is not None:
            held_out = check.check_counts(validation_counts, matrix.shape, "validation_counts")
        if n_iter_no_change is not None:
            n_iter_no_change = check.check_integer("n_iter_no_change", n_iter_no_change, low=1)
            if held_out is None:
                raise ValueError(f"n_iter_no_change={n_iter_no_change} needs validation_counts to look at")
        check.check_callback("on_epoch_end", on_epoch_end)
        warm_start = check.check_flag("warm_start", warm_start)
        with self._lock:
            if not warm_start:
                for squares in self._squares:
                    squares.fill(0)
            return run_epochs(
                self._fit(matrix, settings, frozen),
                np.random.default_rng(seed),
                epochs=settings.epochs,
                validation=None if held_out is None else self._fit(held_out, settings),
                patience=n_iter_no_change,
                on_epoch_end=None if on_epoch_end is None else lambda record: on_epoch_end(record, self),
            )

    def nll(self, counts: Any) -> float:
        """Return the mean negative log-likelihood a pair of counts, in nats; nothing is trained.

        Parameters
        ----------
        counts : Counts or SciPy sparse (V_in, V)
            As for `fit_counts`.

        Returns
        -------
        float
            -sum_wc N_wc log softmax(E_w W + b)_c / sum_wc N_wc, summed in double.

        Raises
        ------
        TypeError, ValueError
            As `fit_counts` does.
        FloatingPointError
            If the loss is not finite.

        Examples
        --------
        >>> from scipy.sparse import eye_array
        >>> round(Trainer(np.zeros((4, 2)), np.zeros((2, 4))).nll(eye_array(4)), 6)  # log 4
        1.386294
        """
        matrix = check.check_counts(counts, (self._inputs, self._outputs))
        with self._lock:
            return self._fit(matrix, _blocks.Settings()).nll()

    def _fit(self, counts: Any, settings: _blocks.Settings, frozen: NDArray[np.intp] | None = None) -> _blocks.BlockFit:
        return _blocks.BlockFit(
            self._embedding, self._weights, self._bias, counts, settings, self._pool, self._squares, frozen
        )
