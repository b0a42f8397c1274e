"""`SkipGram`: a corpus in, vectors out."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_callback, check_flag
from fastembed.corpus.documents import Documents
from fastembed.counts.counts import Counts
from fastembed.skipgram.file import counts_digest
from fastembed.skipgram.gauge import settle
from fastembed.skipgram.model import FITTED, Model
from fastembed.skipgram.reading import FitProgress, Reader
from fastembed.skipgram.start import fold_in, log_shares, svd_start
from fastembed.trainer.checks import check_counts
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors


class SkipGram(Model):
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
    max_size : int, optional
        At most this many words, the most frequent ones, are in the vocabulary.
    max_contexts : int, None or "auto"
        Only so many of the most frequent words are contexts; None: all; "auto": all up to 16,384 words, in larger
        vocabularies half, but no fewer than 16,384 and no more than 24,576.
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
        Of all words, with their counts; the rows of the embedding.
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
    counts_sha256_ : list of str
        The SHA-256, in hexadecimal digits, of the counts of each text trained on: what `fit` counted, then what each
        call of `partial_fit` did. Of the shape and `indptr` (int64), `indices` (int32) and `data` (float64) of
        `Counts.to_scipy`, little-endian, end to end.
    windows_ : Windows or None
        How the pairs were cut from the text; None after `fit_counts` on other counts.

    Notes
    -----
    It is an estimator in scikit-learn's sense, a step of a `Pipeline` that turns raw documents, or documents split into
    tokens, into mean vectors (:meth:`transform`). A fitted one cannot be
    pickled: :meth:`save` it.

    Any number of threads may ask a fitted one at once, but none while another fits it.

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
        max_size: int | None = None,
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
        self.max_size = max_size
        self.max_contexts = max_contexts
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.seed = seed
        self.threads = threads
        self._check_parameters()

    def fit(
        self,
        corpus: Documents,
        y: object = None,
        *,
        memory_limit: int | None = None,
        progress: FitProgress | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Learn vectors from a corpus.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of str or of token lists
            A str alone, a pathlib.Path or a list of these names files; see `fastembed.corpus`. Otherwise each item is
            one sequence: a list of its tokens, or a raw document as scikit-learn passes it, a str whose tokens white
            space separates. It is read twice.
        y
            Without effect; scikit-learn passes the targets.
        memory_limit : int, optional
            Bytes for counting, as for `Counts.from_corpus`; not for training, see :meth:`estimate`.
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
            If a parameter or the corpus is not as above, or no pair is left to learn from. Strings of one token each
            are refused: they may be one document that has been split, or names of files.
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
        >>> SkipGram(dim=2, min_count=1, epochs=1).fit(["a b", "b c"]).vectors.tokens
        ('b', 'a', 'c')
        """
        check_callback("on_epoch_end", on_epoch_end)
        check_memory_limit(memory_limit)
        self._check_parameters()
        reader = Reader(corpus, self.threads, progress)
        vocabulary = reader.vocabulary(self.min_count, self.max_size)
        windows = self._windows(vocabulary)
        self.estimate(len(vocabulary), windows.columns(len(vocabulary))).check()  # before the text is counted
        counts, validation_counts = self._divided(reader, vocabulary, windows, memory_limit)
        return self.fit_counts(
            counts, validation_counts=validation_counts, progress=progress, on_epoch_end=on_epoch_end
        )

    def fit_transform(self, corpus: Documents, y: object = None, **options: Any) -> NDArray[np.float32]:
        """Fit to documents and return their mean vectors: `fit`, then `transform`.

        Parameters
        ----------
        corpus, y, **options
            As for :meth:`fit`.

        Returns
        -------
        ndarray (n_documents, D), float32

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1, epochs=1).fit_transform(["a b", "b c"]).shape
        (2, 2)
        """
        return self.fit(corpus, **options).transform(corpus)

    def fit_counts(
        self,
        counts: Counts,
        *,
        validation_counts: Counts | None = None,
        progress: FitProgress | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
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
        check_callback("on_epoch_end", on_epoch_end)
        if not isinstance(counts, Counts):
            raise TypeError(f"counts must be Counts, got {type(counts).__name__}")
        if self.early_stopping and validation_counts is None:
            raise ValueError("early_stopping needs validation_counts beside counts, which have no lines to hold out")
        if counts.vocabulary is None:
            raise ValueError("these counts have no tokens to name the vectors: count with a Vocabulary, or use Trainer")
        self._announce(counts, progress)
        matrix = counts.to_scipy()
        if validation_counts is not None:
            check_counts(validation_counts, matrix.shape, "validation_counts")
        pool = Pool(check_threads(self.threads))
        rng = np.random.default_rng(self.seed)
        embedding, linear = svd_start(matrix, self.dim, rng, pool)
        trainer = Trainer(embedding, linear, bias=log_shares(matrix), threads=pool.threads)
        options = {"seed": rng, "validation_counts": validation_counts}
        self._train(trainer, counts, matrix, options, progress, on_epoch_end)
        return self

    def partial_fit(
        self,
        corpus: Documents,
        y: object = None,
        *,
        grow_vocabulary: bool = False,
        memory_limit: int | None = None,
        progress: FitProgress | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Go on training, on another text alone: `epochs` more, from the vectors and step sizes that there are.

        The words that are contexts, the bias and the way of counting stay. The learning rates fall once more from their
        start, but each row's steps are shorter the more it has moved before. The first call is that of :meth:`fit`.

        Parameters
        ----------
        corpus
            The new text, as for :meth:`fit`. What was learned of words that it does not have stays, but for the linear
            layer's part.
        y
            Without effect.
        grow_vocabulary : bool
            Append the words that come at least `min_count` times in the new text and are not in the vocabulary. They
            get vectors, but are no contexts. Their rows start from the least-squares fit of their positive PMI by the
            linear layer. Otherwise they are dropped, as are those beyond `max_size`.
        memory_limit, progress, on_epoch_end
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
        check_callback("on_epoch_end", on_epoch_end)
        check_flag("grow_vocabulary", grow_vocabulary)
        check_memory_limit(memory_limit)
        if not hasattr(self, "trainer"):
            return self.fit(corpus, memory_limit=memory_limit, progress=progress, on_epoch_end=on_epoch_end)
        self._check_parameters()
        windows = replace(self._text_windows(), max_contexts=self.max_contexts_)
        reader, vocabulary, old = Reader(corpus, self.threads, progress), self.vocabulary, len(self.vocabulary)
        if grow_vocabulary:
            vocabulary = vocabulary.grown(reader.vocabulary(self.min_count), self.max_size)
        counts, validation_counts = self._divided(reader, vocabulary, windows, memory_limit)
        self._announce(counts, progress)
        matrix = counts.to_scipy()
        new_rows = fold_in(matrix, slice(old, None), self.trainer.linear, Pool(self.trainer.threads))
        trainer = self.trainer.grown(new_rows - self.centre_.astype(new_rows.dtype))
        options = {"seed": self.seed, "validation_counts": validation_counts, "warm_start": True}
        self._train(trainer, counts, matrix, options, progress, on_epoch_end)
        return self

    def _announce(self, counts: Counts, progress: FitProgress | None) -> None:
        """Refuse to train on counts for which there is no memory; otherwise report what it will take."""
        estimate = self.estimate(*counts.shape, nnz=counts.nnz)
        estimate.check()
        if progress is not None:
            progress.training(estimate)

    def _train(
        self,
        trainer: Trainer,
        counts: Counts,
        matrix: Any,
        options: dict[str, Any],
        progress: FitProgress | None,
        on_epoch_end: EpochEnd | None,
    ) -> None:
        """Become the model of these parameters, and train them; see the notes of :meth:`fit` for exceptions."""
        vocabulary, more = counts.vocabulary, "warm_start" in options
        assert vocabulary is not None
        digests = [*(self.counts_sha256_ if more else []), counts_digest(matrix)]
        before = {name: value for name, value in vars(self).items() if name in FITTED}

        def keep(trainer: Trainer) -> None:
            """Make a trainer's parameters those of the model; those of a first fit in their gauge, as a copy."""
            if not more:
                self.trainer = trainer  # lets go of the last copy before there is a new one
                trainer = deepcopy(trainer)
                assert trainer.bias is not None
                self.centre_ = settle(trainer.embedding, trainer.linear, trainer.bias, matrix)
            self.trainer = trainer
            self.vectors = Vectors(vocabulary.tokens, trainer.embedding, counts=vocabulary.counts)

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
            self.vocabulary, self.ledger = vocabulary, (not more and vocabulary.ledger) or counts.ledger
            self.max_contexts_ = counts.shape[1] // 2 if counts.directed else counts.shape[1]
            self.counts_sha256_ = digests
            self.history = list(self.history) if more else []
            patience = self.n_iter_no_change if self.early_stopping else None
            trainer.fit_counts(matrix, **options, epochs=self.epochs, n_iter_no_change=patience, on_epoch_end=epoch_end)
        except BaseException:
            if before:
                vars(self).update(before)
            else:
                keep(trainer)
            raise
        keep(trainer)


EpochEnd = Callable[[dict[str, float], SkipGram], object]
