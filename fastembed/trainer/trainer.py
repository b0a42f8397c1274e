"""`Trainer`: an embedding, a linear layer, and exact-softmax steps on them, from examples or from counts."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed._base.threads import PerProcess, Pool, SingleThreadedBlas, cached_property, check_threads
from fastembed._base.validation import (
    check_choice,
    check_finite,
    check_flag,
    check_integer,
    check_number,
    check_seed,
)
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.formats.tensors import header, parts_of, write_tensors
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.data import FitOptions, check_data, check_factors, check_row_rates
from fastembed.trainer.fit import check_rise, train
from fastembed.trainer.inputs import BY_DEFAULT, check_example, check_examples, check_one_or_many, has_dimensions, one
from fastembed.trainer.parameters import Parameters, check_parameters
from fastembed.trainer.run import Run, running

if TYPE_CHECKING:
    from fastembed.trainer.rows import RowSteps

SQUARES = ("squares.matrix", "squares.linear")  # the names of the two arrays of `Trainer.squares` in a file


class Trainer:
    """Trains an embedding followed by a linear layer, by the exact softmax.

    The model is ``softmax(h @ linear + bias)``. An input ``h`` is a row ``embedding[i]`` or a bag, a weighted sum of
    rows: ``weights @ embedding[ids]``. The loss of a target ``y`` is ``-loss_scale * y @ log(softmax)``.
    ``docs/derivation.md`` has the formulas, in sections 1 to 5.

    Parameters
    ----------
    embedding : ndarray (V_in, D), float32 or float64
        One row per input. C-contiguous; **updated in place**.
    linear : ndarray (D, V), of the same dtype
        The layer from a row to the V logits. Copied; `Trainer.linear` is the trained layer.
    bias : array_like (V,), optional
        Added to the logits. Copied; never trained.
    loss_scale : float, optional
        Factor on the loss of an example, and thus on each step; 1 / V by default, and 1 for :meth:`random`. It has no
        effect in :meth:`fit_counts` and :meth:`nll`.
    learning_rate : float
        Default factor on the gradient in `step` and `train`.
    threads : int, optional
        The number of threads; by default the number of CPUs. Results have the same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        By any method, for an argument of another type, shape or value than documented, before anything is changed; and
        for a damaged file.
    FloatingPointError
        By any method, if a logit, a loss, or a parameter after a step would not be finite. The step is then not made.
    OSError
        For a file that cannot be read or written. The old file stays.

    Notes
    -----
    A trainer runs one call at a time: a second thread waits. Several trainers may run at the same time.
    `copy.deepcopy` and pickling copy the parameters, and the copy continues training to the same bits; `copy.copy`
    shares the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from fastembed import Trainer
    >>> rng = np.random.default_rng(0)
    >>> embedding = rng.normal(size=(8, 10))
    >>> trainer = Trainer(embedding, rng.normal(size=(10, 8)), loss_scale=1 / 8)  # 1 is the loss in nats
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
        learning_rate: float = 1.0,
        threads: int | None = None,
    ) -> None:
        parameters = check_parameters(embedding, linear, bias)
        scale = 1 / parameters.outputs if loss_scale is None else check_number("loss_scale", loss_scale)
        self._start(parameters, scale, check_number("learning_rate", learning_rate), Pool(check_threads(threads)))

    def _start(self, parameters: Parameters, scale: float, rate: float, pool: Pool) -> None:
        self._parameters, self._scale, self._rate, self._pool = parameters, scale, rate, pool
        self._lock = PerProcess(threading.RLock)  # re-entrant, since on_epoch_end may use the trainer

    @cached_property
    def _rows(self) -> RowSteps:
        """The steps on single examples; their workspace is allocated at the first such step."""
        from fastembed.trainer.rows import RowSteps

        return RowSteps(self._parameters, self._scale, self._pool)

    @classmethod
    def random(
        cls,
        vocab_size: int,
        dim: int,
        *,
        output_size: int | None = None,
        loss_scale: float = 1.0,
        learning_rate: float = 0.25,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | np.random.Generator | None = None,
        threads: int | None = None,
    ) -> Self:
        """Return a trainer with random normal parameters with standard deviation 1 / sqrt(D).

        Rows have lengths of about 1, so the loss starts near log V nats, and steps with the default rate lower it.

        Parameters
        ----------
        vocab_size, dim : int
            V_in and D.
        output_size : int, optional
            V; by default V_in.
        loss_scale : float
            Factor on the loss; 1 gives it in nats.
        learning_rate : float
            As for the class. If each input has one class, 1 is faster.
        dtype : {"float32", "float64"}
            The dtype of the parameters.
        seed : int or Generator, optional
            The seed of the random parameters.
        threads : int, optional
            As for the class.

        Returns
        -------
        Trainer

        Examples
        --------
        >>> trainer = Trainer.random(100, 50, output_size=1000, seed=0)
        >>> round(float(np.mean([trainer.loss(i, i) for i in range(100)])), 1)  # log 1000 is 6.9
        6.9
        >>> bool(trainer.train(range(100), epochs=8, update_linear=True)[-1] < 1)
        True
        """
        inputs, dim = check_integer("vocab_size", vocab_size, low=1), check_integer("dim", dim, low=1)
        outputs = inputs if output_size is None else check_integer("output_size", output_size, low=1)
        kind, rng = check_choice("dtype", np.dtype(dtype).name, ("float32", "float64")), check_seed(seed)
        embedding = (rng.standard_normal((inputs, dim)) / math.sqrt(dim)).astype(kind)
        linear = (rng.standard_normal((dim, outputs)) / math.sqrt(dim)).astype(kind)
        return cls(embedding, linear, loss_scale=loss_scale, learning_rate=learning_rate, threads=threads)

    def __repr__(self) -> str:
        p = self._parameters
        return f"{type(self).__name__}(inputs={p.inputs}, dim={p.dim}, outputs={p.outputs}, dtype={p.dtype})"

    @property
    def embedding(self) -> NDArray[Any]:
        """The embedding (V_in, D): the array that was passed in."""
        return self._parameters.embedding

    @property
    def linear(self) -> NDArray[Any]:
        """The linear layer (D, V), a view of the trainer's memory. Column c is the vector of output c."""
        return self._parameters.linear

    @property
    def bias(self) -> NDArray[Any] | None:
        """The bias (V,), or None."""
        return self._parameters.bias

    @property
    def loss_scale(self) -> float:
        """The factor on the loss."""
        return self._scale

    @property
    def learning_rate(self) -> float:
        """The default factor on the gradient in `step` and `train`."""
        return self._rate

    @property
    def threads(self) -> int:
        """The number of threads."""
        return self._pool.threads

    @property
    def squares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The sums of squared gradients of `fit_counts`, for inputs (V_in,) and outputs (V,), not copied."""
        return self._parameters.squares, self._parameters.linear_squares

    def forward(self, i: Any) -> NDArray[Any]:
        """Return the probabilities softmax(h @ linear + bias) of one input or of many.

        Parameters
        ----------
        i : int, tuple (ids, weights), array_like of int (N,), list of bags or SciPy sparse (N, V_in)
            One input: an id, or a bag (ids, weights), as arrays (n,), or None for weights of 1. Or N inputs: ids, or
            bags as for `train`.

        Returns
        -------
        ndarray (V,) or (N, V)
            In the dtype of the parameters.

        Examples
        --------
        >>> trainer = Trainer.random(8, 10, seed=0)
        >>> round(float(trainer.forward(3).sum()), 5), trainer.forward([3, 4, 3]).shape
        (1.0, (3, 8))
        >>> trainer.forward(([3, 4], [0.5, 0.5])).shape, trainer.forward([[3, 4], [5]]).shape
        ((8,), (2, 8))
        """
        from fastembed.trainer.rows import FEW_INPUTS, probabilities

        p = self._parameters
        inputs, single = check_one_or_many(i, p)
        with self._lock.value, DefaultFloatMode():
            if len(inputs) > FEW_INPUTS:
                return probabilities(p, inputs, self._pool)
            rows = [self._rows.probabilities(one(inputs, n)) for n in range(len(inputs))]
        return rows[0] if single else np.stack(rows)

    def predict(self, i: Any, topn: int = 1) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Return the most probable outputs of one input or of many.

        Parameters
        ----------
        i : int, tuple (ids, weights), array_like of int (N,), list of bags or SciPy sparse (N, V_in)
            As for :meth:`forward`.
        topn : int
            The number of outputs per input, at least 1; all of them if there are fewer.

        Returns
        -------
        outputs : ndarray of intp (topn,) or (N, topn)
            Ids, the most probable first; ties are in the order of the ids.
        probabilities : ndarray, same shape
            In the dtype of the parameters.

        Notes
        -----
        The probabilities of all outputs are in memory for one block of inputs at a time.

        Examples
        --------
        >>> trainer = Trainer(np.eye(3), 9 * np.eye(3))
        >>> outputs, probabilities = trainer.predict([2, 0])
        >>> outputs.tolist(), probabilities.round(3).tolist()
        ([[2], [0]], [[1.0], [1.0]])
        """
        from fastembed.trainer.rows import most_probable

        topn, p = check_integer("topn", topn, low=1), self._parameters
        inputs, single = check_one_or_many(i, p)
        with self._lock.value, DefaultFloatMode():
            outputs, shares = most_probable(p, inputs, topn, self._pool)
        return (outputs[0], shares[0]) if single else (outputs, shares)

    def loss(self, i: Any, target: Any = None) -> float:
        """Return the loss of one example.

        Parameters
        ----------
        i : int, tuple (ids, weights) or SciPy sparse (1, V_in)
            The id of the input; or a bag, as (ids, weights), or (ids, None) for weights of 1, or a sparse row. Weights
            may be negative; weights of equal ids are added.
        target : int, array_like (V,) or SciPy sparse (1, V), optional
            The id of the output, or non-negative weights of all outputs, not all 0; by default `i`, if it is an id.

        Returns
        -------
        float
            The value loss_scale * (sum(y) * logsumexp(x) - y @ x) with the logits x, in nats.

        Examples
        --------
        >>> trainer = Trainer(np.zeros((4, 2)), np.zeros((2, 4)), loss_scale=1)
        >>> round(trainer.loss(0, 3), 6)  # log 4
        1.386294
        >>> round(trainer.loss(([0, 2], [0.5, 0.5]), 3), 6)
        1.386294
        """
        i, targets = check_example(i, target, self._parameters)
        with self._lock.value, DefaultFloatMode():
            return self._rows.loss(i, targets)

    def gradient(self, i: Any, target: Any = None, of: str | Iterable[str] = "input") -> Any:
        """Return the gradient of the loss with respect to the input, the linear layer or the bias.

        The input is ``embedding[i]`` or the weighted sum of a bag. The gradients of the rows of a bag are
        ``np.outer(weights, gradient)``. The loss has the factor `loss_scale`.

        Parameters
        ----------
        i, target
            As for `loss`.
        of : {"input", "linear", "bias"} or iterable of these
            What the loss is differentiated by. Several give a tuple.

        Returns
        -------
        ndarray (D,), (D, V) or (V,), or a tuple of these
            With g = loss_scale * (sum(y) * softmax(x) - y) and the input h: linear @ g for "input", outer(h, g) for
            "linear", g for "bias". In the dtype of the parameters.

        Examples
        --------
        >>> trainer = Trainer(np.zeros((2, 1)), np.array([[1.0, -1.0]]), loss_scale=1)
        >>> trainer.gradient(0, 0)  # (1/2 - 1) * 1 + 1/2 * (-1)
        array([-1.])
        >>> np.outer([2, -1], trainer.gradient(([0, 1], [2, -1]), 0))
        array([[-2.],
               [ 1.]])
        >>> Trainer(np.ones((2, 1)), np.zeros((1, 2)), loss_scale=1).gradient(0, 0, of="linear")
        array([[-0.5,  0.5]])
        """
        names = [
            check_choice("of", name, ("input", "linear", "bias")) for name in ([of] if isinstance(of, str) else of)
        ]
        i, targets = check_example(i, target, self._parameters)
        with self._lock.value, DefaultFloatMode():
            gradients = {"input": self._rows.gradient(i, targets)}
            if set(names) - {"input"}:
                h, gradients["bias"] = self._rows.output_gradient(i, targets)
                gradients["linear"] = np.outer(h, gradients["bias"])
        return gradients[of] if isinstance(of, str) else tuple(gradients[name] for name in names)

    def step(
        self, i: Any, target: Any = None, *, learning_rate: float | None = None, update_linear: bool = False
    ) -> float:
        """Make one step of gradient descent, in place.

        Parameters
        ----------
        i : int, tuple (ids, weights) or SciPy sparse (1, V_in)
            As for `loss`.
        target : int, array_like (V,) or SciPy sparse (1, V), optional
            The id of the output, or non-negative weights of all outputs, not all 0; by default `i`, if it is an id.
        learning_rate : float, optional
            Factor on the gradient; by default that of the trainer.
        update_linear : bool
            Train the linear layer too, but not the bias; otherwise only ``embedding[i]`` or the rows of the bag change.

        Returns
        -------
        float
            The loss before the step.

        Examples
        --------
        >>> trainer = Trainer.random(8, 10, dtype="float64", seed=0)
        >>> trainer.step(2) > trainer.step(2)
        True
        >>> bag = [1, 3, 5, 7], [0.25, 0.25, 0.25, 0.25]  # the words around word 4
        >>> trainer.step(bag, 4) > trainer.step(bag, 4)
        True
        """
        p, is_id = self._parameters, isinstance(i, int) or not has_dimensions(i)
        rate = self._rate if learning_rate is None else check_number("learning_rate", learning_rate)
        update_linear = check_flag("update_linear", update_linear)
        if is_id and (target is None or isinstance(target, int) or np.isscalar(target)):  # two ids: the fast path
            i = check_integer("i", i, low=0, high=p.inputs - 1)
            name, output = (BY_DEFAULT, i) if target is None else ("target", target)
            output = check_integer(name, output, low=0, high=p.outputs - 1)
            return self._rows.step(self._lock.value, i, output, rate, update_linear)
        i, targets = check_example(i, target, p)
        with self._lock.value, DefaultFloatMode():
            return self._rows.step_on(i, targets, rate, update_linear)

    def train(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        learning_rate: float | None = None,
        epochs: int = 1,
        update_linear: bool = False,
    ) -> NDArray[np.float64]:
        """Make one step per example, in the order of the examples, `epochs` times.

        Parameters
        ----------
        inputs : array_like of int (N,), list of bags or SciPy sparse (N, V_in)
            Ids; or bags: a list in which each is its ids or a tuple (ids, weights); or the rows of a sparse matrix.
        targets : array_like of int (N,), array_like (N, V) or SciPy sparse (N, V), optional
            The target of each example, as for `step`; by default the inputs themselves, if they are ids.
        learning_rate : float, optional
            As for `step`.
        epochs : int
            How often to visit each example.
        update_linear : bool
            As for `step`.

        Returns
        -------
        ndarray (epochs,), float64
            The mean loss of each epoch, with the loss of each example before its step.

        Examples
        --------
        >>> trainer = Trainer.random(8, 10, dtype="float64", seed=0)
        >>> losses = trainer.train([0, 1, 2], epochs=3)
        >>> bool(losses[0] > losses[2])
        True

        Predict each word from its two neighbours:

        >>> losses = trainer.train([[0, 2], [1, 3], [2, 4]], [1, 2, 3], epochs=3)
        >>> bool(losses[0] > losses[2])
        True
        """
        p = self._parameters
        examples, rows = check_examples(inputs, targets, p)
        rate = self._rate if learning_rate is None else check_number("learning_rate", learning_rate)
        update_linear, epochs = check_flag("update_linear", update_linear), check_integer("epochs", epochs, low=1)
        with self._lock.value, DefaultFloatMode():
            losses = self._rows.train(examples, rows, rate, update_linear, epochs)
        check_rise(losses[0], losses[-1], self._scale * math.log(p.outputs))
        return losses

    def grown(self, rows: NDArray[Any]) -> Trainer:
        """Return a copy of this trainer with more inputs.

        Parameters
        ----------
        rows : ndarray (N, D), of the dtype of the embedding
            The rows of the embedding for the new inputs, N >= 0; the other inputs keep their ids.

        Returns
        -------
        Trainer
            Its `fit_counts` with `warm_start` continues the training of this trainer.

        Examples
        --------
        >>> Trainer.random(8, 10, seed=0).grown(np.zeros((2, 10), "float32")).embedding.shape
        (10, 10)
        """
        other = Trainer.__new__(Trainer)
        with self._lock.value:
            other._start(self._parameters.grown(rows), self._scale, self._rate, self._pool)
        return other

    def __getstate__(self) -> dict[str, Any]:
        factors = {"loss_scale": self._scale, "learning_rate": self._rate}
        arrays = {field.name: getattr(self._parameters, field.name) for field in fields(Parameters)}
        return {"parameters": arrays, "threads": self.threads, **factors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameters = Parameters.restored(state["parameters"])
        self._start(parameters, state["loss_scale"], state["learning_rate"], Pool(state["threads"]))

    def __deepcopy__(self, _: dict[int, Any]) -> Trainer:
        return self.grown(self.embedding[:0])

    def fit_counts(
        self,
        counts: Any,
        *,
        bags: Any = None,
        epochs: int = FitOptions.epochs,
        learning_rate: float = FitOptions.learning_rate,
        linear_learning_rate: float = FitOptions.linear_learning_rate,
        block_size: int = FitOptions.block_size,
        optimizer: str = FitOptions.optimizer,
        l2: float = FitOptions.l2,
        linear_l2: float = FitOptions.linear_l2,
        frozen_rows: ArrayLike = (),
        row_rates: ArrayLike | None = None,
        input_weights: ArrayLike | None = None,
        validation_counts: Any = None,
        validation_bags: Any = None,
        n_iter_no_change: int | None = None,
        warm_start: bool = False,
        seed: int | np.random.Generator | None = 0,
        on_epoch_end: Callable[[dict[str, float]], object] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        comm: Any = None,
    ) -> list[dict[str, float]]:
        """Train the embedding and the linear layer on counts of outputs, by the exact softmax, in blocks of inputs.

        Parameters
        ----------
        counts : Counts or SciPy sparse (N, V)
            ``counts[n, c]`` is how often input n occurs with output c, or the total weight of the occurrences. Inputs
            without counts are not visited.
        bags : SciPy sparse (N, V_in), optional
            Input n is the weighted sum of rows of the embedding, ``bags[n] @ embedding``; weights may be negative. By
            default N is V_in, and input n is row n.
        epochs : int
            How often each input is visited.
        learning_rate, linear_learning_rate : float
            Rates of the steps on the embedding and on the linear layer. Both fall linearly to a tenth. With Adagrad a
            rate is the length of the first step of a row.
        block_size : int
            The number of inputs in a block. A row of the embedding makes one step per block. The logits of a block are
            block_size * V numbers in memory.
        optimizer : {"adagrad", "sgd"}
            The steps of the rows of the embedding: row-wise Adagrad, or gradient descent. The linear layer makes steps
            of row-wise Adagrad with momentum.
        l2, linear_l2 : float
            Weight decay: at the end of each epoch a row of the embedding is multiplied by ``exp(-l2 * rate)``, and the
            linear layer likewise. Early stopping measures and restores the parameters before this.
        frozen_rows : array_like of int
            Ids of rows of the embedding that do not change; the linear layer still learns from their counts.
        row_rates : array_like (V_in,), optional
            Non-negative factors on the learning rate of each row of the embedding; 1 by default. A row whose factor is
            0 is frozen.
        input_weights : array_like (N,), optional
            Relative weights of the inputs in the gradients of the linear layer and of rows in bags. By default the sum
            of an input's counts to the power 0.75 in the linear layer, and 1 in the rows.
        validation_counts : Counts or SciPy sparse (M, V), optional
            Counts that are not trained on; their mean nll at the end of each epoch is `validation_nll` in its record.
        validation_bags : SciPy sparse (M, V_in), optional
            The inputs of `validation_counts`; by default `bags`, and then M is N.
        n_iter_no_change : int, optional
            End training when `validation_nll` has not fallen for this many epochs. The trainer then has the parameters
            of the epoch with the lowest `validation_nll`.
        warm_start : bool
            Continue with the sums of squared gradients of the previous call; by default they start from zero.
        seed : int or Generator, optional
            Seed of the order of the inputs, which is drawn again for each epoch.
        on_epoch_end : callable, optional
            Called after each epoch with its record, when this trainer has the parameters of the epoch. Training ends
            early if the call returns True.
        checkpoint : path-like, optional
            A file that is written after each epoch. If the file exists, the same call resumes from it, and ends with
            the same bits. The file is not deleted.
        comm : communicator of mpi4py, optional
            A communicator such as ``MPI.COMM_WORLD``, whose processes all make this call, each for a share of the
            outputs. The bits do not depend on the number of processes.

        Returns
        -------
        list of dict
            One record per epoch: `epoch`, from 1; `nll` in nats per pair, with each input before its step;
            `perplexity`; `learning_rate` at the end; with validation counts `validation_nll`, after the
            epoch; with `n_iter_no_change` `kept`, whether the trainer ends with the parameters of this epoch.

        Raises
        ------
        ValueError
            Also if the checkpoint is of other arguments, version, kernels or BLAS. The message names the difference.
        RuntimeError
            If it is called while this trainer fits, such as by `on_epoch_end`.
        TrainingDivergedError
            If the loss of a block, or a parameter at the end of an epoch, is not finite.

        Notes
        -----
        After an exception such as Ctrl-C, the trainer has the parameters of the last complete epoch.

        With `comm`, all ranks start from the parameters and the generator of rank 0, which calls `on_epoch_end` and
        writes the checkpoint. ValueError is raised if ranks differ in counts, options, versions, kernels or BLAS. Each
        rank holds all parameters. If counts are in a folder, it reads only the columns of its outputs. An exception in
        one rank ends the processes of all ranks.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> trainer = Trainer.random(3, 2, seed=0)
        >>> history = trainer.fit_counts(csr_array([[0, 5, 1], [5, 0, 0], [1, 0, 0]]), epochs=20)
        >>> history[0]["nll"] > history[-1]["nll"]
        True

        Three documents are weighted bags of words, and their labels are counts:

        >>> documents = csr_array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [1.0, 0, 0, 0]])
        >>> labels = csr_array([[1, 0], [0, 1], [1, 0]])
        >>> trainer = Trainer.random(4, 2, output_size=2, seed=0)
        >>> history = trainer.fit_counts(labels, bags=documents, epochs=20)
        >>> round(trainer.nll(labels, bags=documents), 2)
        0.0
        """
        p, rates = self._parameters, (learning_rate, linear_learning_rate)
        with running(self, checkpoint=checkpoint, on_epoch_end=on_epoch_end, comm=comm) as run:
            options = FitOptions(
                epochs, *rates, block_size, optimizer, l2, linear_l2, n_iter_no_change, warm_start, seed
            )
            if validation_counts is None and n_iter_no_change is not None:
                raise ValueError(f"n_iter_no_change={n_iter_no_change} needs validation_counts")
            if validation_counts is None and validation_bags is not None:
                raise ValueError("validation_bags need validation_counts")
            data = check_data(p, counts, bags, run.pool)
            if validation_counts is not None:
                held_out = data.bags if validation_bags is None else validation_bags
                data = replace(data, validation=check_data(p, validation_counts, held_out, run.pool, "validation_"))
            if input_weights is not None:
                input_weights = check_factors("input_weights", input_weights, data.counts.shape[0], "row of counts")
            factors = check_row_rates(row_rates, frozen_rows, p.inputs)
            data = replace(data, input_weights=input_weights, row_rates=factors)
            with self._lock.value:
                return train(p, data, options, run)

    def nll(self, counts: Any, *, bags: Any = None) -> float:
        """Return the mean negative log-likelihood per pair of the counts, in nats; nothing is trained.

        Parameters
        ----------
        counts : Counts or SciPy sparse (N, V)
            As for `fit_counts`.
        bags : SciPy sparse (N, V_in), optional
            As for `fit_counts`.

        Returns
        -------
        float
            -sum_nc N_nc log softmax(h_n W + b)_c / sum_nc N_nc, summed in float64; h_n is E_n, or the sum of bag n.

        Examples
        --------
        >>> from scipy.sparse import eye_array
        >>> round(Trainer(np.zeros((4, 2)), np.zeros((2, 4))).nll(eye_array(4)), 6)  # log 4
        1.386294
        """
        with DefaultFloatMode():
            data = check_data(self._parameters, counts, bags, self._pool)
            with self._lock.value:
                steps = BlockSteps(self._parameters, data, FitOptions(), Run(self._pool))
                with SingleThreadedBlas():
                    return steps.nll()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters, the sums of squared gradients and the factors to one safetensors file.

        The file is written atomically.

        Parameters
        ----------
        path : path-like
            The file to create or to replace.

        Examples
        --------
        See :meth:`load`.
        """
        with self._lock.value:
            for name, array in self._parameters.trained.items():
                check_finite(name, array)
            factors = {"loss_scale": self._scale, "learning_rate": self._rate}
            write_tensors(path, trainer_tensors(self), header("parameters", factors))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a trainer from a file that :meth:`save` has written.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the class; the file does not store it.

        Returns
        -------
        Trainer
            Its parameters and sums have the same bits, so that training can continue.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Trainer.random(8, 10).save(f"{folder}/trainer.safetensors")
        ...     Trainer.load(f"{folder}/trainer.safetensors")
        Trainer(inputs=8, dim=10, outputs=8, dtype=float32)
        """
        threads = check_threads(threads)
        with parts_of(path, "parameters", "a trainer that fits") as (tensors, settings, _):
            embedding, linear, bias = np.array(tensors["matrix"]), tensors["linear"], tensors.get("bias")
            factors = {name: settings[name] for name in ("loss_scale", "learning_rate")}
            trainer = cls(embedding, linear, bias=bias, threads=threads, **factors)
            restore_squares(trainer, tensors)
        return trainer


def trainer_tensors(trainer: Trainer) -> dict[str, NDArray[Any]]:
    """Return the tensors of all arrays that training changes, and of the bias if there is one."""
    bias = {} if trainer.bias is None else {"bias": trainer.bias}
    squares = dict(zip(SQUARES, trainer.squares, strict=True))
    return {"matrix": trainer.embedding, "linear": trainer.linear, **bias, **squares}


def restore_squares(trainer: Trainer, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Set the sums of squared gradients of a new trainer to those of a file.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        The tensors of the file.
    """
    for name, squares in zip(SQUARES, trainer.squares, strict=True):
        squares[:] = tensors[name]


def parameters_of(trainer: Trainer) -> Parameters:
    """Return the parameters of a trainer, for `train` of `trainer/fit.py`."""
    return trainer._parameters
