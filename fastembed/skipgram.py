"""`SkipGram`: a corpus in, vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from fastembed import _validation as check
from fastembed._estimate import Estimate
from fastembed._gauge import settle
from fastembed._mixture import mixture
from fastembed._reading import FitProgress, Reader
from fastembed._svd import fold_in, log_shares, svd_start
from fastembed._threads import Pool, check_threads
from fastembed.corpus import Source
from fastembed.counts import Counts
from fastembed.trainer import Trainer
from fastembed.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows, window_sides

ALL_CONTEXTS = 16384
"""Vocabularies up to this size use every word as a context by default; larger ones half of them, but no fewer."""


PARAMETERS = (
    "dim", "window", "weighting", "min_count", "sample", "directed", "max_contexts", "epochs",
    "early_stopping", "validation_fraction", "n_iter_no_change", "seed",
)  # fmt: skip
FITTED = ("vocabulary", "ledger", "windows_", "max_contexts_", "trainer", "centre_", "history", "vectors")
"""The attributes that a fit sets, all at once."""


class SkipGram:
    """Word vectors by exact-softmax skip-gram on co-occurrence counts.

    For a word w with counts N[w, :] of the words around it, the loss is -sum_c N[w, c] log softmax(E[w] @ W + b)[c].
    Contexts before and after the word are different outputs. Training starts from an SVD of the positive PMI; b is
    fixed to the logarithm of each context's share. At its end the rows of E are centred and scaled by direction, with W
    and b so that the probabilities stay. See ``docs/derivation.md``.

    Parameters
    ----------
    dim : int
        Numbers of a vector.
    window : int or (int, int)
        Largest distance between a word and its context; a pair: (before, after).
    weighting : {"harmonic", "linear", "flat"}
        Weight of a pair at distance d: 1/d, (window - d + 1)/window, or 1.
    min_count : int
        Rarer words are dropped before the windows are laid.
    sample : float or None
        Threshold of subsampling, word2vec's; applied to the counts in expectation.
    directed : bool
        Whether a context before the word and one after it are different outputs.
    max_contexts : int, None or "auto"
        Only so many of the most frequent words are contexts; None: all; "auto": all up to 16,384 words, in larger
        vocabularies half, but no fewer than 16,384.
    epochs : int
        How often each word's row is visited.
    early_stopping : bool
        Hold out a share of the corpus' lines, and end training when their nll has not fallen for some epochs; the
        parameters are then those of the epoch at which it was lowest. The vocabulary is that of all lines.
    validation_fraction : float
        The share: each line is held out with this probability.
    n_iter_no_change : int
        The number of epochs.
    seed : int
        For the lines held out, the start and the order of the rows.
    threads : int, optional
        By default as many as CPUs. The vectors do not depend on it.

    Attributes
    ----------
    vectors : Vectors
        Of all words; the rows of the embedding.
    vocabulary : Vocabulary
    trainer : Trainer
        With the parameters.
    centre_ : ndarray (dim,)
        What centring took from each row of the embedding.
    history : list of dict
        A record for each epoch; see `Trainer.fit_counts`.
    ledger : Ledger or None
        What was read, used and dropped.
    max_contexts_ : int
        The number of words that are contexts.
    windows_ : Windows or None
        How the pairs were cut from the text; None after `fit_counts` on other counts.

    Examples
    --------
    >>> corpus = [["the", "cat", "sat"], ["the", "dog", "sat"], ["a", "cat", "ran"], ["a", "dog", "ran"]] * 5
    >>> model = SkipGram(dim=4, window=2, min_count=1, sample=None).fit(corpus)
    >>> model.vectors.most_similar("cat", topn=1)[0][0]
    'dog'
    """

    def __init__(
        self,
        dim: int = 100,
        window: int | tuple[int, int] = 12,
        weighting: str = "harmonic",
        min_count: int = 5,
        sample: float | None = 3e-4,
        directed: bool = True,
        max_contexts: int | str | None = "auto",
        epochs: int = 5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.dim = dim
        self.window = window
        self.weighting = weighting
        self.min_count = min_count
        self.sample = sample
        self.directed = directed
        self.max_contexts = max_contexts
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.seed = seed
        self.threads = threads
        self._check_parameters()

    def __repr__(self) -> str:
        return f"SkipGram({', '.join(f'{name}={getattr(self, name)!r}' for name in PARAMETERS)})"

    def fit(
        self, corpus: Source, *, progress: FitProgress | None = None, on_epoch_end: EpochEnd | None = None
    ) -> SkipGram:
        """Learn vectors from a corpus.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of token lists
            See `fastembed.corpus`; it is read twice.
        progress : object, optional
            With the methods of `FitProgress`.
        on_epoch_end : callable, optional
            Called as ``on_epoch_end(record, model)`` after each epoch, with the epoch's record and this SkipGram, all
            attributes of which are those after the epoch. Training ends early if it returns True.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the corpus is not as above, or no pair is left to learn from.
        OSError
            If a file cannot be read.
        MemoryError
            If training takes more memory than is free (see :meth:`estimate`); nothing has been allocated then.

        Notes
        -----
        If training ends by an exception (a Ctrl-C too), a SkipGram that was fitted before stays as it was; another one
        keeps what it has learned so far.

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1, epochs=1).fit([["a", "b"], ["b", "c"]]).vectors.tokens
        ('b', 'a', 'c')
        """
        check.check_callback("on_epoch_end", on_epoch_end)
        self._check_parameters()
        reader = Reader(corpus, self.threads, progress)
        vocabulary = reader.vocabulary(self.min_count)
        windows = self._windows(vocabulary)
        self.estimate(len(vocabulary), windows.columns(len(vocabulary))).check()  # before the text is counted
        counts, validation_counts = self._divided(reader, vocabulary, windows)
        return self.fit_counts(
            counts, validation_counts=validation_counts, progress=progress, on_epoch_end=on_epoch_end
        )

    def estimate(self, inputs: int, outputs: int, *, nnz: int = 0) -> Estimate:
        """Return what training will take, from its sizes.

        Parameters
        ----------
        inputs, outputs : int
            The shape of the counts: words, and contexts (before and after are two).
        nnz : int
            Stored counts.

        Returns
        -------
        Estimate
            With `flops`, and `memory` in bytes, beside the counts themselves; ``print`` shows both.

        Examples
        --------
        >>> print(SkipGram(dim=50, threads=1).estimate(20_000, 32_768, nnz=10_000_000))
        20,000 words, 32,768 outputs, 10,000,000 counts: about 998 GFLOP and 310 MB of memory
        """
        for name, value, low in (("inputs", inputs, 1), ("outputs", outputs, 1), ("nnz", nnz, 0)):
            check.check_integer(name, value, low=low)
        self._check_parameters()
        threads = check_threads(self.threads)
        return Estimate(inputs, outputs, self.dim, nnz, self.epochs, threads, self.early_stopping)

    def count(self, corpus: Source, *, memory_limit: int | None = None, progress: FitProgress | None = None) -> Counts:
        """Count a corpus as `fit` does, for `fit_counts`.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of token lists
            See `fastembed.corpus`; it is read twice.
        memory_limit : int, optional
            Bytes, as for `Counts.from_corpus`.
        progress : object, optional
            With the methods of `FitProgress`.

        Returns
        -------
        Counts

        Raises
        ------
        TypeError, ValueError, OSError
            As `fit`.
        """
        self._check_parameters()
        reader = Reader(corpus, self.threads, progress)
        vocabulary = reader.vocabulary(self.min_count)
        return reader.counts(vocabulary, self._windows(vocabulary), memory_limit=memory_limit)

    def _windows(self, vocabulary: Vocabulary) -> Windows:
        contexts = self.contexts(len(vocabulary))
        return Windows(window_sides(self.window), self.weighting, self.sample, self.directed, contexts)

    def _divided(self, reader: Reader, vocabulary: Vocabulary, windows: Windows) -> tuple[Counts, Counts | None]:
        """Return the counts to train on, and those of the lines held out for early stopping."""
        if not self.early_stopping:
            return reader.counts(vocabulary, windows), None
        return reader.divided(vocabulary, windows, self.validation_fraction, self.seed)

    def fit_counts(
        self,
        counts: Counts,
        *,
        validation_counts: Counts | None = None,
        progress: FitProgress | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> SkipGram:
        """Learn vectors from the counts of a corpus or of baskets.

        Parameters
        ----------
        counts : Counts
            With its tokens: counted by :meth:`count`, or by `Counts` with a `Vocabulary`. How they were counted is up
            to them; the parameters that say how to count are those of :meth:`count`.
        validation_counts : Counts, optional
            Of the same shape, not trained on: their mean nll at the end of each epoch is `validation_nll` in its
            record. `early_stopping` needs them, since counts have no lines that could be held out.
        progress, on_epoch_end
            As for :meth:`fit`.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range, or the counts have no tokens.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, epochs=1)
        >>> model.fit_counts(model.count([["a", "b"], ["b", "c"]])).vectors.tokens
        ('b', 'a', 'c')
        """
        self._check_parameters()
        check.check_callback("on_epoch_end", on_epoch_end)
        if not isinstance(counts, Counts):
            raise TypeError(f"counts must be Counts, got {type(counts).__name__}")
        if self.early_stopping and validation_counts is None:
            raise ValueError("early_stopping needs validation_counts beside counts, which have no lines to hold out")
        if counts.vocabulary is None:
            raise ValueError("these counts have no tokens to name the vectors: count with a Vocabulary, or use Trainer")
        estimate = self.estimate(*counts.shape, nnz=counts.nnz)
        estimate.check()
        if progress is not None:
            progress.training(estimate)
        matrix = counts.to_scipy()
        if validation_counts is not None:
            check.check_counts(validation_counts, matrix.shape, "validation_counts")
        pool = Pool(check_threads(self.threads))
        rng = np.random.default_rng(self.seed)
        embedding, linear = svd_start(matrix, self.dim, rng, pool)
        trainer = Trainer(embedding, linear, bias=log_shares(matrix), threads=pool.threads)
        options = {"seed": rng, "validation_counts": validation_counts}
        self._train(trainer, counts, matrix, options, progress, on_epoch_end)
        return self

    def partial_fit(
        self,
        corpus: Source,
        *,
        grow_vocabulary: bool = False,
        progress: FitProgress | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> SkipGram:
        """Go on training, on another text alone: `epochs` more, from the vectors and step sizes that there are.

        The words that are contexts, the bias and the way of counting stay. The learning rates fall once more from their
        start, but each row's steps are shorter the more it has moved before. The first call is that of :meth:`fit`.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of token lists
            The new text. What was learned of words that it does not have stays, but for the linear layer's part.
        grow_vocabulary : bool
            Append the words that come at least `min_count` times in the new text and are not in the vocabulary. They
            get vectors, but are no contexts. Their rows start from the least-squares fit of their positive PMI by the
            linear layer. Otherwise they are dropped.
        progress, on_epoch_end
            As for :meth:`fit`.

        Returns
        -------
        SkipGram
            Itself. The records of the call are added to `history`; its `ledger` is that of the new text.

        Raises
        ------
        TypeError, ValueError, OSError
            As :meth:`fit`; also if this SkipGram was fitted to counts that are not those of windows over a text.

        Notes
        -----
        It works on a copy, so that an exception leaves the SkipGram as it was.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1).fit([["a", "b"], ["b", "c"]])
        >>> model.partial_fit([["a", "d"], ["c", "b"]], grow_vocabulary=True).vectors.tokens
        ('b', 'a', 'c', 'd')
        """
        check.check_callback("on_epoch_end", on_epoch_end)
        check.check_flag("grow_vocabulary", grow_vocabulary)
        if not hasattr(self, "trainer"):
            return self.fit(corpus, progress=progress, on_epoch_end=on_epoch_end)
        self._check_parameters()
        windows = replace(self._text_windows(), max_contexts=self.max_contexts_)
        reader, vocabulary, old = Reader(corpus, self.threads, progress), self.vocabulary, len(self.vocabulary)
        if grow_vocabulary:
            vocabulary = vocabulary.grown(reader.vocabulary(self.min_count))
        counts, validation_counts = self._divided(reader, vocabulary, windows)
        self.estimate(*counts.shape, nnz=counts.nnz).check()
        matrix = counts.to_scipy()
        new_rows = fold_in(matrix, slice(old, None), self.trainer.linear, Pool(self.trainer.threads))
        trainer = self.trainer.grown(new_rows - self.centre_.astype(new_rows.dtype))
        options = {"seed": self.seed, "validation_counts": validation_counts, "warm_start": True}
        self._train(trainer, counts, matrix, options, progress, on_epoch_end, self.history)
        return self

    def _train(
        self,
        trainer: Trainer,
        counts: Counts,
        matrix: Any,
        options: dict[str, Any],
        progress: FitProgress | None,
        on_epoch_end: EpochEnd | None,
        history: Sequence[dict[str, float]] = (),
    ) -> None:
        """Become the model of these parameters, and train them; see the notes of :meth:`fit` for exceptions."""
        vocabulary = counts.vocabulary
        assert vocabulary is not None
        before = {name: value for name, value in vars(self).items() if name in FITTED}

        def keep(trainer: Trainer) -> None:
            """Make a trainer's parameters those of the model; those of a first fit in their gauge, as a copy."""
            if not history:
                trainer = deepcopy(trainer)
                assert trainer.bias is not None
                self.centre_ = settle(trainer.embedding, trainer.linear, trainer.bias, matrix)
            self.trainer, self.vectors = trainer, Vectors(vocabulary.tokens, trainer.embedding)

        def epoch_end(record: dict[str, float], trainer: Trainer) -> object:
            self.history.append(record)
            if progress is not None:
                progress.epoch(record)
            if on_epoch_end is None:
                return None
            keep(trainer)
            return on_epoch_end(record, self)

        try:
            self.windows_ = counts.windows
            self.vocabulary, self.ledger = vocabulary, (not history and vocabulary.ledger) or counts.ledger
            self.max_contexts_ = counts.shape[1] // 2 if counts.directed else counts.shape[1]
            self.history = list(history)
            patience = self.n_iter_no_change if self.early_stopping else None
            trainer.fit_counts(matrix, **options, epochs=self.epochs, n_iter_no_change=patience, on_epoch_end=epoch_end)
        except BaseException:
            if before:
                vars(self).update(before)
            else:
                keep(trainer)
            raise
        keep(trainer)

    def vectors_for(self, purpose: str) -> Vectors:
        """Return the vectors that are best for a purpose.

        Parameters
        ----------
        purpose : {"analogies", "relatedness"}
            "analogies": `vectors`, the rows of the embedding, which are also the better ones for similarity in the
            strict sense (that of synonyms). "relatedness": unit(E_w) + 0.3 unit(c_w), with c_w the word's vector as a
            context, the sum of before and after; words that are no contexts have the first term only.

        Returns
        -------
        Vectors

        Raises
        ------
        AttributeError
            Before `fit`.
        ValueError
            If `purpose` is another.

        Notes
        -----
        From "analogies" to "relatedness", on Wikipedia: with 1M tokens WordSim-353 .570 to .573, SimLex-999 .213 to
        .209, Google analogies .148 to .135; with 16M tokens .686 to .689, .303 to .299, .464 to .460.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, max_contexts=2).fit([["a", "b"], ["b", "c"]])
        >>> lengths = np.linalg.norm(model.vectors_for("relatedness").matrix, axis=1)
        >>> bool(lengths.max() <= 1.3), round(float(lengths[2]), 4)  # "c" is no context
        (True, 1.0)
        """
        trainer = self._fitted().trainer
        if purpose == "analogies":
            return self.vectors
        if purpose != "relatedness":
            raise ValueError(f"purpose must be 'analogies' or 'relatedness', got {purpose!r}")
        directed = self.windows_ is not None and self.windows_.directed
        return Vectors(self.vocabulary.tokens, mixture(self.vectors.matrix, trainer.linear, directed=directed))

    def perplexity(self, corpus: Source) -> float:
        """Return exp of the mean negative log-likelihood a pair of a text.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of token lists
            Words outside the vocabulary, and contexts outside the chosen ones, are left out.

        Returns
        -------
        float
            At least 1; the number of equally likely contexts that would be as hard to predict.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError, OSError
            As `fit` does for the corpus.

        Examples
        --------
        >>> corpus = [["a", "b"], ["b", "c"]] * 9
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit(corpus)
        >>> 1 < model.perplexity(corpus) < 6
        True
        """
        trainer = self._fitted().trainer
        counts = Counts.from_corpus(corpus, self.vocabulary, **asdict(self._text_windows()), threads=self.threads)
        return float(np.exp(trainer.nll(counts)))

    def _text_windows(self) -> Windows:
        if self.windows_ is None:
            raise ValueError("this SkipGram was fitted to counts that are not those of windows over a text")
        return self.windows_

    def _fitted(self) -> SkipGram:
        if not hasattr(self, "trainer"):
            raise AttributeError("this SkipGram has not been fitted yet: call fit first")
        return self

    def contexts(self, size: int) -> int:
        """Return how many words are contexts in a vocabulary of this size: what `max_contexts` comes to.

        Parameters
        ----------
        size : int
            The number of words.
        """
        if self.max_contexts == "auto":
            return max(size // 2, min(size, ALL_CONTEXTS))
        return size if self.max_contexts is None else min(size, int(self.max_contexts))

    def _check_parameters(self) -> None:
        for name in ("dim", "min_count", "epochs", "n_iter_no_change"):
            check.check_integer(name, getattr(self, name), low=1)
        Windows(
            window_sides(self.window), self.weighting, self.sample, self.directed
        )  # refuses what it cannot count by
        check.check_flag("early_stopping", self.early_stopping)
        check.check_number("validation_fraction", self.validation_fraction, high=0.5, above=True)
        check.check_integer("seed", self.seed, low=0)
        check_threads(self.threads)
        if self.max_contexts not in (None, "auto"):
            check.check_integer("max_contexts", self.max_contexts, low=1)


EpochEnd = Callable[[dict[str, float], SkipGram], object]
