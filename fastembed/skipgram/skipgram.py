"""`SkipGram`: a corpus in, vectors out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from fastembed._base import estimator
from fastembed._base.memory import check_memory_limit
from fastembed._base.pickling import pickled_as
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_callback, check_integer
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.corpus.documents import Documents
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, Folder
from fastembed.counts.store import CountsStore
from fastembed.skipgram.bars import reporting
from fastembed.skipgram.checkpoint_counts import CheckpointCounts
from fastembed.skipgram.counting import CorpusCounter, counts_for
from fastembed.skipgram.document_vectors import document_vectors
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.file import read_model, write_model
from fastembed.skipgram.fit import Fit
from fastembed.skipgram.fitted import FittedModel
from fastembed.skipgram.mixture import vectors_for
from fastembed.skipgram.options import SkipGramOptions
from fastembed.skipgram.prediction import Words, predict
from fastembed.skipgram.progress import FitProgress
from fastembed.trainer.checkpoint import MINUTES, FilesUntilSaved
from fastembed.trainer.groups import group_count
from fastembed.trainer.ranks import Communicator
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

EpochEnd: TypeAlias = "Callable[[dict[str, float], SkipGram], object]"


@pickled_as("SkipGram")
class SkipGram:
    """Word vectors by exact-softmax skip-gram on co-occurrence counts.

    For a word w with counts N[w, :] of the words around it, the loss is -sum_c N[w, c] log softmax(E[w] @ W + b)[c].
    Contexts before and after the word are different outputs. Training starts from an SVD of the positive PMI; b is
    fixed to the logarithm of each context's share. At the end the rows of E are centred and scaled by direction, and W
    and b are changed with them, so that the probabilities stay. See ``docs/derivation.md``.

    Parameters
    ----------
    dim : int
        Dimension of the vectors.
    window : int or (int, int)
        Largest distance between a word and its context; a pair: (before, after).
    weighting : {"harmonic", "linear", "flat"}
        Weight of a pair at distance d: 1/d, (window - d + 1)/window, or 1.
    min_count : int
        Words that occur fewer times are dropped before windows are formed.
    sample : float or None
        Threshold of word2vec's subsampling, which is applied to the counts in expectation; None: no subsampling.
    directed : bool
        Whether a context before the word and one after it are different outputs.
    max_size : int, optional
        The vocabulary has at most this many words, the most frequent ones.
    max_contexts : int, None or "auto"
        Only this many of the most frequent words are contexts. None: all words. "auto": all words in vocabularies of up
        to 16,384 words; in larger ones half of them, but no fewer than 16,384 and no more than 24,576.
    drop, keep_only : iterable of str or "english", optional
        Words to drop before windows are formed, such as stop words, and the only words to keep. "english" is a list of
        English function words in lower case.
    epochs : int
        How often the row of each word is visited.
    early_stopping : bool
        Hold out a share of the corpus' lines, and end training when their nll has not fallen for some epochs. The
        parameters are then those of the epoch at which it was lowest. The vocabulary is that of all lines.
    validation_fraction : float
        The share of the lines held out: each line is held out with this probability. At most 0.5.
    n_iter_no_change : int
        The number of epochs without a lower nll after which early stopping ends training.
    seed : int
        For the choice of the lines held out, for the start and for the order of the rows.
    threads : int, optional
        By default as many as CPUs. The vectors do not depend on it.
    reading : Reading, optional
        How the text of files and of documents becomes tokens. A `FileCorpus` has its own, which is followed, with a
        warning if it is another. By default white space separates tokens, and a line of a file, but a whole document in
        memory, is a sequence. Once fitted, other texts are read as :attr:`reading_` says. The file of a model holds it,
        but of a tokenizer the name alone.
    baskets : {"flat", "share"}, optional
        A line is a basket, all pairs of which count, instead of those in a window: each 1, or 1 / (n - 1) in a basket
        of n items; see `Counts.from_baskets`. `window`, `weighting`, `sample` and `directed` have no effect then.
    subwords : bool or (int, int)
        Whether words are composed of their character n-grams beside a row of their own: then :attr:`vectors` have an
        answer for words that were never seen. The pair is the least and the greatest length of an n-gram, in characters
        of the word between ``<`` and ``>``, at most 100; True: (3, 6). An n-gram has a row if at least two words have
        it.

    Notes
    -----
    It is an estimator in scikit-learn's sense: a step of a `Pipeline` that turns raw documents, or documents split into
    tokens, into mean vectors (:meth:`transform`). What a fit learns are the properties below; before a fit they raise
    AttributeError. It can be pickled, for other processes and for tools such as joblib; :meth:`save` writes a file that
    is safe to open.

    Any number of threads may use a fitted SkipGram at once, but none while another thread fits it.

    Examples
    --------
    >>> corpus = [["the", "cat", "sat"], ["the", "dog", "sat"], ["a", "cat", "ran"], ["a", "dog", "ran"]] * 5
    >>> model = SkipGram(dim=4, window=2, min_count=1, sample=None).fit(corpus)
    >>> model.vectors.most_similar("cat", topn=1)[0][0]
    'dog'
    """

    _model: FittedModel | None = None  # all that the last fit learned
    _fitting: int | None = None  # the process in which a fit runs
    _until_saved: FilesUntilSaved | None = None  # the checkpoints of finished fits

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
        drop: Iterable[str] | None = None,
        keep_only: Iterable[str] | None = None,
        epochs: int = 5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        seed: int = 0,
        threads: int | None = None,
        reading: Reading | None = None,
        baskets: str | None = None,
        subwords: bool | tuple[int, int] = False,
    ) -> None:
        self.dim = dim
        self.window = window
        self.weighting = weighting
        self.min_count = min_count
        self.sample = sample
        self.directed = directed
        self.max_size = max_size
        self.max_contexts = max_contexts
        self.drop = drop
        self.keep_only = keep_only
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.seed = seed
        self.threads = threads
        self.reading = reading
        self.baskets = baskets
        self.subwords = subwords

    # ---------------------------------------------------------------- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            Ignored: no parameter is itself an estimator.

        Returns
        -------
        dict

        Examples
        --------
        >>> SkipGram(dim=50).get_params()["dim"]
        50
        """
        return estimator.get_params(self)

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name. What fits have learned stays until the next fit.

        Parameters
        ----------
        **parameters
            As for the constructor. They are checked by the next method that needs them.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name; nothing has been set then.

        Examples
        --------
        >>> SkipGram().set_params(dim=50, epochs=3)
        SkipGram(dim=50, epochs=3)
        """
        estimator.set_params(self, parameters)
        return self

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set what :meth:`transform` and :meth:`fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            An array, or a DataFrame with the columns of :meth:`get_feature_names_out` and the index of the documents,
            if they have one. None changes nothing. Without it scikit-learn's `set_config` decides.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        ValueError
            If `transform` is another.

        Examples
        --------
        >>> SkipGram(dim=2).set_output(transform="default")
        SkipGram(dim=2)
        """
        estimator.set_output(self, transform)
        return self

    def contexts(self, size: int) -> int:
        """Return how many words are contexts in a vocabulary of this size, by `max_contexts`.

        Parameters
        ----------
        size : int

        Returns
        -------
        int

        Examples
        --------
        >>> SkipGram(max_contexts=1000).contexts(800), SkipGram().contexts(40_000)
        (800, 20000)
        """
        return self._options().contexts(size)

    def estimate(self, inputs: int, outputs: int, *, nnz: int = 0, memory_limit: int | None = None) -> Estimate:
        """Return what training takes on counts of given sizes.

        Parameters
        ----------
        inputs, outputs : int
            The shape of the counts: words, and contexts (before and after are two).
        nnz : int
            The number of stored counts.
        memory_limit : int, optional
            As for :meth:`fit`: the counts are in a store.

        Returns
        -------
        Estimate
            With `flops`, and the `memory` of the whole process in bytes, the interpreter and the counts included; with
            a limit also the `disk`, and the `disk_per_epoch` that is read; ``print`` shows all. An `on_epoch_end` of a
            first fit is given copies, which take up to twice the memory of the model on top.

        Examples
        --------
        >>> print(SkipGram(dim=50, threads=1).estimate(20_000, 32_768, nnz=10_000_000))
        20,000 words, 32,768 outputs, 10,000,000 counts: about 999 GFLOP and 379 MB of memory
        """
        for name, value, low in (("inputs", inputs, 1), ("outputs", outputs, 1), ("nnz", nnz, 0)):
            check_integer(name, value, low=low)
        estimate = self._options().estimate(inputs, outputs, nnz)
        if memory_limit is None:
            return estimate
        limit = check_memory_limit(memory_limit)
        return replace(estimate, memory_limit=limit, largest_group=-(-nnz // group_count(inputs)))

    # ---------------------------------------------------------------- training

    def fit(
        self,
        corpus: Documents,
        y: object = None,
        *,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = MINUTES,
        keep_checkpoint: bool = False,
    ) -> Self:
        """Learn vectors from a corpus.

        Parameters
        ----------
        corpus : path, list of paths, or re-iterable of str or of token lists
            A str alone, a pathlib.Path or a list of these names files; see `fastembed.corpus`. Otherwise each item is
            one sequence: a list of its tokens, or a raw document as scikit-learn passes it, a str, which is read as
            `reading` says. It is read twice.
        y
            Ignored; scikit-learn passes the targets.
        memory_limit : int, optional
            Bytes of memory that this process may take, from reading to the last epoch: the counts are then in a
            temporary file without a name, of which an epoch reads some rows at a time. The vectors have the same bits.
            The words of the text, each once, come on top while they are counted. By default counts are held in memory.
        progress : bool or FitProgress, optional
            True: bars in the terminal, a curve in a notebook. Or what to report to: any object with the methods of
            `FitProgress`.
        on_epoch_end : callable, optional
            Called as ``on_epoch_end(record, model)`` after each epoch, with the epoch's record (see :attr:`history`:
            its nll is that of each row before its step) and this SkipGram, which then has what was learned up to the
            end of the epoch. Training ends early if it returns True.
        checkpoint : path-like, optional
            A file that is written after each epoch, and when training ends by an exception, Ctrl-C included; beside it
            the counts, in PATH.counts and, with early stopping, PATH.held-out. Where they exist, the same call goes on
            from them, and ends with the same bits as one that was never interrupted, on any number of threads. Each
            call of a program needs a path of its own. What `on_epoch_end` has been called with before, it is not
            called with again.
        checkpoint_minutes : float
            The file is also written whenever so many minutes have passed within an epoch.
        keep_checkpoint : bool
            Keep the files. By default :meth:`save` removes them, and until then the same call has its result at once.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the corpus is not as above, or no pair is left to learn from. Strings of one token each
            are rejected: they may be one document that has been split, or names of files.
        OSError
            If a file cannot be read.
        MemoryError
            If training takes more memory than is free (see :meth:`estimate`); nothing has been allocated then.
        RuntimeError
            If `on_epoch_end` calls it.

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
        files = checkpoint, checkpoint_minutes, keep_checkpoint
        with self._fit(
            on_epoch_end, of_text=True, progress=progress, checkpoint=files, memory_limit=memory_limit
        ) as fit:
            fit.learn_text(corpus)
        return self

    def fit_transform(self, corpus: Documents, y: object = None, **options: Any) -> Any:
        """Fit to documents and return their mean vectors: `fit`, then `transform`.

        Parameters
        ----------
        corpus, y, **options
            As for :meth:`fit`.

        Returns
        -------
        ndarray (n_documents, D), float32; or a DataFrame, see :meth:`set_output`

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1, epochs=1).fit_transform(["a b", "b c"]).shape
        (2, 2)
        """
        return self.fit(corpus, **options).transform(corpus)

    @overload
    def count(
        self,
        corpus: Documents,
        *,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        store: None = None,
    ) -> Counts: ...

    @overload
    def count(
        self,
        corpus: Documents,
        *,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        store: Folder,
        executor: Executor | None = None,
    ) -> CountsStore: ...

    def count(
        self,
        corpus: Documents,
        *,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        store: Folder | None = None,
        executor: Executor | None = None,
    ) -> Counts | CountsStore:
        """Count a corpus as `fit` does, for `fit_counts`.

        Parameters
        ----------
        corpus
            As for :meth:`fit`; it is read twice.
        memory_limit : int, optional
            Bytes, as for `Counts.from_corpus`.
        progress : bool or FitProgress, optional
            As for :meth:`fit`; nothing is trained.
        store : path-like, optional
            A folder to write the counts to, as for `Counts.from_corpus`.
        executor : concurrent.futures.Executor, optional
            Reads and counts parts of files, as for `Counts.from_corpus`.

        Returns
        -------
        Counts, or CountsStore if there is a `store`

        Raises
        ------
        TypeError, ValueError, OSError
            As :meth:`fit`.

        Examples
        --------
        >>> model = SkipGram(window=1, min_count=1, sample=None)
        >>> model.count(["a b", "b c"]).to_scipy().toarray()  # b, a, c before, then after b, a, c
        array([[0., 1., 0., 0., 0., 1.],
               [0., 0., 0., 1., 0., 0.],
               [1., 0., 0., 0., 0., 0.]])
        """
        check_memory_limit(memory_limit)
        options = self._options()
        with reporting(progress, options.epochs) as report:
            counter = CorpusCounter(corpus, options.threads, memory_limit, report, options.reading, executor=executor)
            vocabulary = counter.vocabulary(options, options.max_size)
            return counter.counts(vocabulary, options.pairing(len(vocabulary)), store=store)

    def fit_counts(
        self,
        counts: Counts | CountsStore,
        *,
        validation_counts: Counts | CountsStore | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = MINUTES,
        keep_checkpoint: bool = False,
        comm: Communicator | None = None,
    ) -> Self:
        """Learn vectors from the counts of a corpus or of baskets.

        Parameters
        ----------
        counts : Counts or CountsStore
            With its tokens: counted by :meth:`count`, or by `Counts` with a `Vocabulary`. Of a store a few groups of
            rows are in memory at a time, and the vectors have the same bits. Parameters that say how to
            count are those of :meth:`count` and have no effect here.
        validation_counts : Counts, optional
            Of the same shape, not trained on: their mean nll at the end of each epoch is `validation_nll` in its
            record. `early_stopping` needs them, since counts have no lines that could be held out.
        memory_limit : int, optional
            Bytes of memory that this process may take. The start of training on a store keeps within it what it
            computes from the counts; if the rest takes more, it is a MemoryError.
        progress, on_epoch_end
            As for :meth:`fit`.
        checkpoint, checkpoint_minutes, keep_checkpoint
            As for :meth:`fit`, but counts that are given are not kept beside the checkpoint.
        comm : communicator of mpi4py, optional
            Such as ``MPI.COMM_WORLD``: its processes make this call together and end with the same vectors, as for
            `Trainer.fit_counts`. Rank 0 alone makes the start, for which it reads all counts, calls `on_epoch_end`,
            reports progress and writes the checkpoint.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range, or the counts have no tokens.
        MemoryError
            As :meth:`fit`.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, epochs=1)
        >>> model.fit_counts(model.count([["a", "b"], ["b", "c"]])).vectors.tokens
        ('b', 'a', 'c')
        """
        files = checkpoint, checkpoint_minutes, keep_checkpoint
        with self._fit(on_epoch_end, progress=progress, checkpoint=files, memory_limit=memory_limit, comm=comm) as fit:
            fit.learn_counts(counts, validation_counts)
        return self

    def partial_fit(
        self,
        corpus: Documents,
        y: object = None,
        *,
        grow_vocabulary: bool = False,
        replay: Counts | CountsStore | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = MINUTES,
        keep_checkpoint: bool = False,
    ) -> Self:
        """Continue training on another text alone: `epochs` more, from the current vectors and step sizes.

        The words that are contexts, the bias and the way of counting stay. The learning rates fall again from the
        start, but the steps of a row are shorter the more it has moved before. The first call is like :meth:`fit`.

        Parameters
        ----------
        corpus
            The new text, as for :meth:`fit`. The vectors of words that are not in it stay; the linear layer does not.
        y
            Ignored.
        grow_vocabulary : bool
            Append the words that occur at least `min_count` times in the new text and are not in the vocabulary, up to
            `max_size` words in all. They get vectors, but are not contexts. Their rows start from the least-squares fit
            of their positive PMI by the linear layer. By default unknown words are dropped.
        replay : Counts, optional
            Of the texts that the model was trained on before, as :meth:`count` gave them: they are trained on together
            with the new ones, in longer steps. Without them the model forgets: see the notes.
        memory_limit, progress, on_epoch_end
            As for :meth:`fit`.
        checkpoint, checkpoint_minutes, keep_checkpoint
            As for :meth:`fit`. The model must be the one that the first call went on from.

        Returns
        -------
        SkipGram
            Itself. The records of the call are added to `history`; its `ledger` is that of the new text.

        Raises
        ------
        TypeError, ValueError, OSError, MemoryError
            As :meth:`fit`; ValueError also if this SkipGram was fitted to counts of pairs, not of text or baskets:
            :meth:`partial_fit_counts` continues it; or if `dim` or `subwords` is not that of the model.

        Notes
        -----
        It works on a copy, so that an exception leaves the SkipGram as it was. The first call keeps what it has learned
        so far in the checkpoint alone, if there is one: the SkipGram is then not fitted, and the same call goes on.

        A model of 500,000 words of Wikipedia had the perplexity 2,505 on them, and 6,436 on 109,000 words about
        cooking. After `partial_fit` on the latter these were 2,893 and 1,156; with `replay`, 2,294 and 1,197. Without
        it the learning rates are halved: with whole ones they would have been 4,361 and 505.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1).fit([["a", "b"], ["b", "c"]])
        >>> model.partial_fit([["a", "d"], ["c", "b"]], grow_vocabulary=True).vectors.tokens
        ('b', 'a', 'c', 'd')
        """
        files = checkpoint, checkpoint_minutes, keep_checkpoint
        with self._fit(
            on_epoch_end, of_text=True, progress=progress, checkpoint=files, memory_limit=memory_limit
        ) as fit:
            fit.learn_more_text(corpus, replay, grow_vocabulary=grow_vocabulary)
        return self

    def partial_fit_counts(
        self,
        counts: Counts | CountsStore,
        *,
        validation_counts: Counts | CountsStore | None = None,
        grow_vocabulary: bool = False,
        replay: Counts | CountsStore | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_minutes: float = MINUTES,
        keep_checkpoint: bool = False,
    ) -> Self:
        """Continue training on other counts alone, as :meth:`partial_fit` does on another text.

        Parameters
        ----------
        counts : Counts or CountsStore
            With tokens, by which rows and columns are those of the model; unknown tokens are dropped. Counted as those
            that the model was fitted to: by the same windows, in baskets with the same weighting, or given as pairs.
            A store is read while training goes on if its tokens and contexts are those of the model, as when it was
            counted with the model's vocabulary; otherwise all counts are in memory.
        validation_counts : Counts, optional
            As for :meth:`fit_counts`; with tokens.
        grow_vocabulary : bool
            Append the unknown tokens, up to `max_size` in all; see :meth:`partial_fit`. `min_count`, `drop` and
            `keep_only` have no effect here: which tokens counts have was chosen when they were counted.
        replay : Counts, optional
            As for :meth:`partial_fit`.
        memory_limit : int, optional
            As for :meth:`fit_counts`.
        progress, on_epoch_end
            As for :meth:`fit`.
        checkpoint, checkpoint_minutes, keep_checkpoint
            As for :meth:`fit`, but counts that are given are not kept beside the checkpoint.

        Returns
        -------
        SkipGram
            Itself.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As :meth:`fit_counts`; ValueError also if the counts were counted in another way than the model's, or if
            `dim` or `subwords` is not that of the model.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, baskets="share")
        >>> carts = [["a", "b"], ["b", "c"]]
        >>> vocabulary = Vocabulary(["a", "b", "d"], [1, 1, 1])
        >>> more = Counts.from_baskets([["a", "d"], ["b", "d"]], vocabulary, weighting="share")
        >>> model.fit(carts).partial_fit_counts(more, grow_vocabulary=True).vectors.tokens
        ('b', 'a', 'c', 'd')
        """
        files = checkpoint, checkpoint_minutes, keep_checkpoint
        with self._fit(on_epoch_end, progress=progress, checkpoint=files, memory_limit=memory_limit) as fit:
            fit.learn_more_counts(counts, validation_counts, replay, grow_vocabulary=grow_vocabulary)
        return self

    @contextmanager
    def _fit(self, on_epoch_end: EpochEnd | None, *, of_text: bool = False, **how: Any) -> Iterator[Fit]:
        """Check what a fit is given beside what it learns from; let no other begin in a `with` block.

        After it, :meth:`save` removes the files of the checkpoint, unless they are to be kept. Other arguments are
        those of `Fit.from_arguments`.
        """
        if self._fitting == os.getpid():  # the two would mix their vocabularies
            raise RuntimeError(
                "this SkipGram is in a fit, and on_epoch_end cannot fit it again: let it fit another SkipGram"
            )
        check_callback("on_epoch_end", on_epoch_end)
        callback = None if on_epoch_end is None else lambda record: on_epoch_end(record, self)
        options = self._options()
        with Fit.from_arguments(options, self._model, self._set_model, callback, **how) as fit, DefaultFloatMode():
            self._fitting = os.getpid()
            try:
                yield fit
            finally:
                del self._fitting
        if (file := fit.checkpoint) is not None:
            self._until_saved = self._until_saved or FilesUntilSaved()
            for path in (file.path, *(CheckpointCounts.names(file.path) if of_text else ())):
                self._until_saved.set(path, keep=file.keep)

    def _set_model(self, model: FittedModel | None) -> None:
        self._model = model

    # ---------------------------------------------------------------- what a fit has learned

    @property
    def vectors(self) -> Vectors:
        """The vectors of all words, with their counts: the rows of the embedding."""
        return self._fitted.vectors

    @property
    def vocabulary(self) -> Vocabulary:
        """The words, their ids and how often each of them occurred."""
        return self._fitted.vocabulary

    @property
    def reading_(self) -> Reading | None:
        """How the text was read: other texts are read in the same way.

        None after a fit to lists of tokens, or to documents in memory without a `reading`.
        """
        return self._fitted.vocabulary.reading

    @property
    def trainer(self) -> Trainer:
        """The `Trainer` with the parameters: embedding, linear layer and bias."""
        return self._fitted.trainer

    @property
    def centre_(self) -> NDArray[np.float64]:
        """The vector that centring subtracted from each row of the embedding, (D,)."""
        return self._fitted.centre

    @property
    def history(self) -> list[dict[str, float]]:
        """A record for each epoch; see `Trainer.fit_counts`.

        `nll` and `perplexity` are means along the epoch, of each row before its step; `validation_nll` is taken after
        the epoch. After early stopping, the epoch whose parameters were kept has `kept` True, and the others False.
        """
        return self._fitted.history

    @property
    def best_epoch_(self) -> int:
        """The epoch of the last fit whose parameters were kept, from 1.

        With early stopping it is the one at which the nll of what was held out was lowest; otherwise the last one.
        """
        return self._fitted.best_epoch

    @property
    def ledger(self) -> Ledger | None:
        """What was read, used and dropped, also because it was held out; None if that is not known."""
        return self._fitted.ledger

    @property
    def windows_(self) -> Windows | None:
        """How the pairs were cut from the text; None after a fit to other counts."""
        return self._fitted.windows

    @property
    def baskets_(self) -> str | None:
        """The weighting of the baskets in which pairs were counted, "flat" or "share"; None after other fits."""
        return self._fitted.baskets

    @property
    def max_contexts_(self) -> int:
        """The number of words that are contexts."""
        return self._fitted.max_contexts

    @property
    def counts_sha256_(self) -> list[str]:
        """The SHA-256 of the counts of each text trained on, by `fit` and by each `partial_fit`, with what it replayed.

        In hexadecimal digits, of the shape of `Counts.to_scipy` (int64), and of `indptr` (int64), `indices` (int32) and
        `data` (float64) of its rows g, g + G, g + 2 G, ... for each g from 0 to G - 1, where G is V_in / 4096, rounded
        up; all little-endian, end to end.
        """
        return self._fitted.counts_sha256

    # ---------------------------------------------------------------- what a fitted model answers

    def vectors_for(self, purpose: str) -> Vectors:
        """Return the vectors that are best for a purpose.

        Parameters
        ----------
        purpose : {"analogies", "relatedness"}
            "analogies": `vectors`, the rows of the embedding, which are also the better ones for similarity in the
            strict sense (that of synonyms). "relatedness": unit(E_w) + 0.3 unit(c_w), with c_w the word's vector as a
            context, the sum of before and after; words that are not contexts have the first term only.

        Returns
        -------
        Vectors
            For "relatedness" of the vocabulary alone, also with `subwords`: no vectors of other words are composed,
            which have no vector as a context.

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
        >>> bool(lengths.max() <= 1.3), round(float(lengths[2]), 4)  # "c" is not a context
        (True, 1.0)
        """
        return vectors_for(self._fitted, purpose)

    def predict_output(self, words: Words, topn: int = 10, side: str | None = None) -> list[tuple[str, float]]:
        """Return the most probable contexts of a word, or of several, by the exact softmax over all contexts.

        Parameters
        ----------
        words : str, int, or iterable of them
            One word; or several, such as the items of a basket, each of which may be a pair (word, weight).
        topn : int
            How many contexts to return, at least 1; all of them if there are no more.
        side : {"before", "after"}, optional
            Which side of the word the context stands on; by default either.

        Returns
        -------
        list of (str, float)
            Contexts c and their probabilities, in descending order; ties are in the order of the vocabulary. With p the
            softmax over the outputs, which are (side, c) in a directed model, the probability for one word is

            - p(before, c) + p(after, c) without a side: of c as a context of the word, on whichever side;
            - p(side, c) / sum_k p(side, k) with a side: of c as a context, given that it stands on this side.

            For several words, also for a list of one, it is the mean of these probabilities by the weights, without the
            words themselves. Either sums to 1 over all contexts that can be returned. Pairs have the shares they were
            counted with: `weighting` makes near contexts count for more, and `sample` frequent ones for less, than
            their share of the text.

        Raises
        ------
        AttributeError
            Before `fit`.
        KeyError
            If a word is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If `words` are no words, a weight is not above 0, `side` is another, or the model does not distinguish the
            sides.

        Examples
        --------
        >>> corpus = [["new", "york", "city"], ["new", "york", "state"], ["old", "city"]] * 9
        >>> model = SkipGram(dim=3, window=1, min_count=1, sample=None, epochs=50).fit(corpus)
        >>> model.predict_output("york", topn=1, side="before")[0][0]
        'new'
        >>> round(sum(p for _, p in model.predict_output("york", topn=5, side="after")), 6)
        1.0
        >>> [word for word, _ in model.predict_output(["york", ("old", 0.5)])]
        ['city', 'new', 'state']
        """
        return predict(self._fitted, [words], topn, side)[0]

    def predict_outputs(
        self, queries: Iterable[Words], topn: int = 10, side: str | None = None, *, skip_unknown: bool = False
    ) -> list[list[tuple[str, float]]]:
        """Return the answers of `predict_output` to many queries, such as baskets: many times faster than a loop.

        Parameters
        ----------
        queries : iterable
            Each as `words` for :meth:`predict_output`.
        topn, side
            As for :meth:`predict_output`.
        skip_unknown : bool
            Leave unknown words out instead of raising KeyError. The answer to a query without any other is empty.

        Returns
        -------
        list of lists of (str, float)
            They differ from those of single calls by rounding alone.

        Raises
        ------
        AttributeError, KeyError, TypeError, ValueError
            As :meth:`predict_output`.
        MemoryError
            If the answers take more memory than is free; nothing has been computed then.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit([["a", "b"], ["b", "c"]])
        >>> answers = model.predict_outputs([["a", "b"], ["a", "x"], ["x"]], topn=1, skip_unknown=True)
        >>> [[word for word, _ in answer] for answer in answers]
        [['c'], ['b'], []]
        """
        return predict(self._fitted, queries, topn, side, skip_unknown=skip_unknown)

    def transform(self, documents: Documents, method: str = "mean") -> Any:
        """Return a vector for each document.

        Parameters
        ----------
        documents
            As `corpus` for :meth:`fit`; here they may also have one word each.
        method : {"mean", "sif", "fit"}
            "mean" is the mean of the vectors of the words. "sif" gives frequent words less weight, and takes away the
            direction that is common to all words (Arora et al. 2017). "fit" is the vector that predicts the words of
            the document best by the model's softmax (PV-DBOW, Le and Mikolov 2014), found exactly: the answer is
            unique, and has the same bits on any number of threads.

        Returns
        -------
        ndarray (n_documents, D), float32; or a DataFrame, see :meth:`set_output`
            A word counts as often as it occurs. Words outside the vocabulary are composed where the model has
            `subwords` and knows one of their n-grams, but not those that `drop` or `keep_only` leave out; others are
            skipped, as are with "fit" those that are no contexts. A document without any other is all zeros; a warning
            says how many there are.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError, OSError
            As :meth:`fit` does for the corpus.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
        >>> means = model.transform(["a b", "c unknown"])
        >>> bool(np.allclose(means[0], (model.vectors["a"] + model.vectors["b"]) / 2))
        True
        """
        model = self._fitted
        options = self._options()
        reading = model.reading_of(documents, options.reading)
        pool = Pool(check_threads(options.threads))
        found = document_vectors(model, documents, reading, options.dropping(), method, pool)
        return estimator.output(self, found, documents)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns that :meth:`transform` gives.

        Parameters
        ----------
        input_features
            Ignored; scikit-learn passes it.

        Returns
        -------
        ndarray of str objects (D,)

        Raises
        ------
        AttributeError
            Before `fit`.

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1).fit(["a b", "b c"]).get_feature_names_out()
        array(['skipgram0', 'skipgram1'], dtype=object)
        """
        dim = self._fitted.vectors.matrix.shape[1]
        return np.array([f"{type(self).__name__.lower()}{k}" for k in range(dim)], dtype=object)

    def perplexity(self, corpus: Documents | Counts | CountsStore) -> float:
        """Return the perplexity of a text, of baskets, or of counts: exp of their mean nll per pair.

        Parameters
        ----------
        corpus
            As for :meth:`fit`; or Counts with tokens, counted as those that the model was fitted to. Words outside the
            vocabulary, and contexts outside the chosen ones, are left out.

        Returns
        -------
        float
            At least 1; the number of equally likely contexts that would be as hard to predict.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError, OSError
            As :meth:`fit` does for the corpus; ValueError also if a model of pairs is given a corpus.

        Examples
        --------
        >>> corpus = [["a", "b"], ["b", "c"]] * 9
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit(corpus)
        >>> 1 < model.perplexity(corpus) < 6
        True
        """
        model, options = self._fitted, self._options()
        return float(np.exp(model.trainer.nll(counts_for(model, corpus, options))))

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to one safetensors file, whole or not at all.

        It is a file of vectors too, which `Vectors.load` opens: the trainer's embedding, beside its linear layer and
        bias, how often each word occurred, and the sums from which :meth:`partial_fit` continues. Its header holds, as
        JSON, the parameters (``settings``), all else that was learned (``model``), and a ``manifest``: the version of
        fastembed, the seed, the SHA-256 of the counts trained on, the number of epochs, the one whose parameters were
        kept, and the last one's nll.

        The checkpoint of the fit is removed then, unless it is to be kept.

        Parameters
        ----------
        path : path-like
            The file to make or to replace.

        Raises
        ------
        AttributeError
            Before `fit`.
        OSError
            If the folder is missing or the data cannot be written; the old file is then untouched.
        TypeError, ValueError
            If a parameter is not as documented, a word has no UTF-8 form, or the suffix is that of another format, in
            which :meth:`Vectors.save` writes the vectors alone.

        Examples
        --------
        >>> import tempfile
        >>> model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     SkipGram.load(f"{folder}/model.safetensors")
        ...     Vectors.load(f"{folder}/model.safetensors")
        SkipGram(dim=2, min_count=1)
        <Vectors: 3 tokens, 2 dimensions, float32>
        """
        model = self._fitted
        write_model(path, self._options(), model)
        if self._until_saved is not None and self._fitting is None:  # else on_epoch_end saves
            self._until_saved.remove()

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a file of :meth:`save`.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the constructor: files do not hold it.

        Returns
        -------
        SkipGram
            Which gives the same bits as the one that was saved, and can be trained on. Its vectors are mapped from the
            file into memory: the file may be replaced (on Windows only once these vectors are gone), but not shortened.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If it does not hold a whole model.

        Examples
        --------
        See :meth:`save`.
        """
        settings, fitted = read_model(path, check_threads(threads))
        try:
            model = cls().set_params(**settings, threads=threads)
            model._options()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} does not hold settings of a {cls.__name__}: {error}") from error
        model._model = fitted
        return model

    # ---------------------------------------------------------------- private

    def _options(self) -> SkipGramOptions:
        """Return the parameters, checked."""
        return SkipGramOptions(**self.get_params())

    @property
    def _fitted(self) -> FittedModel:
        """What the last fit has learned; AttributeError before a fit."""
        if self._model is None:
            raise AttributeError("this SkipGram has not been fitted yet: call fit first")
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in ("_fitting", "_until_saved")}
        if self._model is None:
            return state
        return state | {"_model": self._model.parts()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._model is not None:
            self._model = FittedModel.of_parts(state["_model"])

    def __repr__(self) -> str:
        return estimator.constructor_call(self)

    def __sklearn_is_fitted__(self) -> bool:
        return self._model is not None

    def __sklearn_tags__(self) -> Any:
        return estimator.document_transformer_tags()


def fitted_model(model: SkipGram) -> FittedModel:
    """Return all that the last fit has learned; AttributeError before a fit.

    Parameters
    ----------
    model : SkipGram
    """
    return model._fitted
