"""`Trainer`: an embedding, a linear layer and exact-softmax steps on them; here, those on counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed._base.validation import check_callback, check_flag, check_ids, check_integer, check_number
from fastembed.trainer import blocks as _blocks
from fastembed.trainer.checks import check_counts
from fastembed.trainer.epochs import run_epochs
from fastembed.trainer.online import OnlineTrainer


class Trainer(OnlineTrainer):
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
        super().__init__(embedding, linear, bias=bias, loss_scale=loss_scale, threads=threads)
        self._squares = np.zeros(self._inputs), np.zeros(self._outputs)

    @property
    def squares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What `fit_counts` has summed of squared gradients, for inputs (V_in,) and outputs (V,): the trainer's own."""
        return self._squares

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

    def __deepcopy__(self, _: dict[int, Any]) -> Trainer:
        return self.grown(self._embedding[:0])

    def fit_counts(
        self,
        counts: Any,
        *,
        epochs: int = 5,
        learning_rate: float = 0.7,
        linear_learning_rate: float = 1.0,
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
            How often, or with what weight, input w goes with output c: counts[w, c]. Rows without counts stay as they
            are.
        epochs : int
            How often each row is visited.
        learning_rate, linear_learning_rate : float
            Rates of the row-wise Adagrad steps on the embedding and on the linear layer, falling linearly to a tenth:
            the length of a row's first step. Zero freezes the parameters, which then keep their bits.
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
        matrix = check_counts(counts, (self._inputs, self._outputs))
        settings = _blocks.Settings(
            epochs=check_integer("epochs", epochs, low=1),
            learning_rate=check_number("learning_rate", learning_rate),
            linear_learning_rate=check_number("linear_learning_rate", linear_learning_rate),
            block_size=check_integer("block_size", block_size, low=1),
            workspace_bytes=check_integer("workspace_bytes", workspace_bytes, low=1),
        )
        frozen = None if np.size(frozen_rows) == 0 else check_ids("frozen_rows", frozen_rows, self._inputs)
        held_out = None
        if validation_counts is not None:
            held_out = check_counts(validation_counts, matrix.shape, "validation_counts")
        if n_iter_no_change is not None:
            n_iter_no_change = check_integer("n_iter_no_change", n_iter_no_change, low=1)
            if held_out is None:
                raise ValueError(f"n_iter_no_change={n_iter_no_change} needs validation_counts to look at")
        check_callback("on_epoch_end", on_epoch_end)
        warm_start = check_flag("warm_start", warm_start)
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
        matrix = check_counts(counts, (self._inputs, self._outputs))
        with self._lock:
            return self._fit(matrix, _blocks.Settings()).nll()

    def _fit(self, counts: Any, settings: _blocks.Settings, frozen: NDArray[np.intp] | None = None) -> _blocks.BlockFit:
        return _blocks.BlockFit(
            self._embedding, self._weights, self._bias, counts, settings, self._pool, self._squares, frozen
        )
