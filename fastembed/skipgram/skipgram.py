"""`SkipGram`: a corpus in, vectors out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base import estimator
from fastembed._base.estimator import Transformer, with_known_names
from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_flag, check_integer
from fastembed.corpus.corpus import Source, as_corpus
from fastembed.corpus.ledger import Ledger, check_reread
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts
from fastembed.counts.windows import Windows
from fastembed.skipgram.data import FitArguments, corpus_for, count_text, vocabulary_of
from fastembed.skipgram.estimate import Estimate, estimate_of
from fastembed.skipgram.model import FittedModel, read_model, write_model
from fastembed.skipgram.options import SkipGramOptions, SkipGramParameters
from fastembed.skipgram.training import fitted
from fastembed.trainer.progress import FitProgress, reporting
from fastembed.trainer.run import EpochEnd, running
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.vectors import Vectors, attribute_of
from fastembed.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fastembed.skipgram.prediction import Words
    from fastembed.vectors.vectors import Token

# Names of gensim's `Word2Vec`, and their equivalents here
GENSIM = {"wv": "vectors", "vector_size": "dim", "workers": "threads", "predict_output_word": "predict_output"}


@with_known_names
class SkipGram(SkipGramParameters, Transformer[FittedModel]):  # numpydoc ignore=PR02
    """Learns word vectors from a corpus, by exact-softmax skip-gram on co-occurrence counts.

    For a word w with counts N[w, :] of the words around it, the loss is -sum_c N[w, c] log softmax(E[w] @ W + b)[c].
    Training starts from an SVD of the positive PMI. At the end the rows of E are centred and scaled, and W and b change
    so that all probabilities stay the same. ``docs/derivation.md`` has the formulas, in sections 3 to 6.

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
        Threshold of word2vec's subsampling of frequent words; counts get their expected values. None: no subsampling.
    directed : bool
        Whether a context before the word and one after it are different outputs.
    max_size : int, optional
        The largest number of words in the vocabulary; the most frequent are kept.
    max_contexts : int, None or "auto"
        The number of words that are contexts, the most frequent; None: all words. "auto": half of the words, but at
        least 16,384 (all words, if there are fewer) and at most 24,576.
    drop, keep_only : iterable of str or "english", optional
        Words to drop before windows are formed, and the only words to keep. "english" is a list of English function
        words in lower case.
    epochs : int
        How often training visits each word.
    early_stopping : bool
        End training when the negative log-likelihood (nll) of held-out lines has not fallen for `n_iter_no_change`
        epochs. The model then has the parameters of the epoch with the lowest nll.
    validation_fraction : float
        The probability with which each line is held out. At most 0.5.
    n_iter_no_change : int
        The number of epochs without a lower nll after which early stopping ends training.
    seed : int
        Seed for the choice of the held-out lines, the initial vectors and the order of the rows.
    threads : int, optional
        The number of threads; by default the number of CPUs. The vectors do not depend on it.
    reading : Reading, optional
        How text becomes tokens; by default a line is a sequence, and white space separates tokens. A fitted model reads
        other texts as :attr:`reading_` says. The file of a model holds only the name of a tokenizer.
    baskets : {"flat", "share"}, optional
        Each line is a basket: all pairs of its items count, with the weights of `Counts.from_baskets`. `window`,
        `weighting`, `sample` and `directed` then have no effect.
    subwords : bool or (int, int)
        Whether character n-grams have vectors too, of which :attr:`vectors` composes unseen words. A pair has the
        lengths of the shortest and the longest n-grams of ``<word>``; True: (3, 6).

    Raises
    ------
    AttributeError
        By methods and properties that need a fit, before a fit.
    KeyError
        For an unknown word. The message has the closest spellings.
    TypeError, ValueError
        By any method, for an argument of another type or value than documented, and for a damaged file.
    OSError
        For a file that cannot be read or written. The old file stays.
    MemoryError
        If training needs more memory than is free: see :meth:`estimate`. Nothing has been allocated then.

    Notes
    -----
    `SkipGram` is a scikit-learn estimator: as a step of a `Pipeline`, it turns documents into mean vectors
    (:meth:`transform`). Any number of threads may use a fitted SkipGram, but not while another thread fits it.

    Examples
    --------
    >>> corpus = [["the", "cat", "sat"], ["the", "dog", "sat"], ["a", "cat", "ran"], ["a", "dog", "ran"]] * 5
    >>> model = SkipGram(dim=4, window=2, min_count=1, sample=None).fit(corpus)
    >>> model.vectors.most_similar("cat", topn=1)[0][0]
    'dog'
    """

    _input: ClassVar = {"two_d_array": False, "string": True}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return attribute_of(self, name, GENSIM)

    # ---------------------------------------------------------------- parameters

    def estimate(self, inputs: int, outputs: int, *, nnz: int = 0) -> Estimate:
        """Return the memory that training needs on counts of a given size.

        Parameters
        ----------
        inputs, outputs : int
            The shape of the counts: words, and outputs, of which a directed model has two per context.
        nnz : int
            The number of nonzero counts.

        Returns
        -------
        Estimate
            `memory` has the bytes of the whole process. A first fit with `on_epoch_end` needs more memory, up
            to twice that of the model.

        Examples
        --------
        >>> print(SkipGram(dim=50, threads=1).estimate(20_000, 32_768, nnz=10_000_000))
        20,000 words, 32,768 outputs, 10,000,000 counts: about 242 MB of memory
        """
        sizes = ("inputs", inputs, 1), ("outputs", outputs, 1), ("nnz", nnz, 0)
        inputs, outputs, nnz = (check_integer(name, value, low=low) for name, value, low in sizes)
        return estimate_of(self._options(), inputs, outputs, nnz)

    # ---------------------------------------------------------------- training

    def fit(
        self,
        corpus: Source | Counts,
        y: object = None,
        *,
        field: str | int | None = None,
        validation_counts: Counts | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        comm: Any = None,
    ) -> Self:
        """Learn vectors from a corpus, or from the counts of a corpus, of baskets or of pairs.

        Parameters
        ----------
        corpus : path, list of paths, re-iterable of str or of token lists, or Counts
            A corpus as in :mod:`fastembed.corpus`, which is read twice; or Counts with tokens. For Counts, the
            parameters of counting, such as `window`, have no effect.
        y
            Ignored; scikit-learn passes the targets.
        field : str or int, optional
            The field that holds the texts, in structured files, a table or records: see `FileCorpus`.
        validation_counts : Counts, optional
            If `corpus` is Counts: held-out counts of the same shape, which `early_stopping` needs. Their mean nll after
            an epoch is `validation_nll` in its record.
        memory_limit : int, optional
            The most bytes that this process may use. Counts that do not fit stay in a temporary folder, and each epoch
            reads them in parts. The vectors have the same bits.
        progress : bool or FitProgress, optional
            True: bars, also in a notebook. Or an object with the methods of `FitProgress`.
        on_epoch_end : callable, optional
            Called after each epoch with its record in :attr:`history`, when this SkipGram has the parameters of the
            epoch. Training ends early if the call returns True.
        checkpoint : path-like, optional
            A file that is written after each epoch. If the file exists, the same call resumes from it, and ends with
            the same bits. The file is not deleted.
        comm : communicator of mpi4py, optional
            If `corpus` is Counts: a communicator such as ``MPI.COMM_WORLD``, whose processes all make this call, as for
            `Trainer.fit_counts`. Rank 0 computes the initial vectors, reports and writes.

        Returns
        -------
        SkipGram
            Itself.

        Notes
        -----
        If an exception such as Ctrl-C ends training, a SkipGram that was fitted before stays as it was. A new SkipGram
        has the parameters of the last complete epoch.

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1, epochs=1).fit([["a", "b"], ["b", "c"]]).vectors.tokens
        ('b', 'a', 'c')
        >>> model = SkipGram(dim=2, min_count=1, epochs=1)
        >>> model.fit(model.count(["a b", "b c"])).vectors.tokens
        ('b', 'a', 'c')
        """
        how: dict[str, Any] = {"memory_limit": memory_limit, "checkpoint": checkpoint, "comm": comm}
        with running(self, progress=progress, on_epoch_end=on_epoch_end, **how) as run:
            self._model = fitted(FitArguments(corpus, field, validation_counts), self._options(), run)
        return self

    def fit_transform(self, corpus: Source, y: object = None, **options: Any) -> Any:
        """Fit to documents and return their mean vectors: call `fit`, then `transform`.

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
        return self.fit(corpus, **options).transform(corpus, field=options.get("field"))

    def count(
        self,
        corpus: Source,
        *,
        field: str | int | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        store: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
    ) -> Counts:
        """Return the counts of a corpus as :meth:`fit` counts it; `fit` takes them instead of the corpus.

        Parameters
        ----------
        corpus
            As for :meth:`fit`; it is read twice.
        field : str or int, optional
            As for :meth:`fit`.
        memory_limit : int, optional
            Bytes, as for `Counts.from_corpus`.
        progress : bool or FitProgress, optional
            As for :meth:`fit`.
        store : path-like, optional
            A folder to write the counts to, as for `Counts.from_corpus`.
        executor : concurrent.futures.Executor, optional
            The executor that reads and counts parts of files, as for `Counts.from_corpus`.

        Returns
        -------
        Counts

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
        how: dict[str, Any] = {"memory_limit": memory_limit, "store": store}
        if executor is not None:
            if options.baskets is not None:
                raise ValueError("executor must be None for baskets: it counts windows alone")
            how["executor"] = executor
        with reporting(progress) as report:
            text = corpus_for(corpus, field, options)
            words = vocabulary_of(text, options, report, max_size=options.max_size, executor=executor)
            counts = count_text(text, words, options.pairing(len(words)), options, report, **how)
        check_reread(words.ledger, counts.ledger)
        return counts

    def partial_fit(
        self,
        corpus: Source | Counts,
        y: object = None,
        *,
        field: str | int | None = None,
        grow_vocabulary: bool = False,
        replay: Counts | None = None,
        validation_counts: Counts | None = None,
        memory_limit: int | None = None,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Continue training from the current vectors, for `epochs` epochs on new text or counts alone.

        The contexts, the bias and the way of counting stay the same. The more a row has moved in earlier calls, the
        shorter its steps are. Before any fit, the call is like :meth:`fit`.

        Parameters
        ----------
        corpus
            The new text or counts, as for :meth:`fit`. Counts must be counted in the way of the model. Vectors of words
            without new counts stay the same.
        y
            Ignored.
        field : str or int, optional
            As for :meth:`fit`.
        grow_vocabulary : bool
            Add new words that occur at least `min_count` times, up to `max_size` words in total, or all new tokens of
            counts. Added words are no contexts.
        replay : Counts, optional
            Counts of the earlier texts, from :meth:`count`, to train on as well. Without `replay` the model forgets:
            see the notes.
        validation_counts : Counts, optional
            As for :meth:`fit`; words and contexts are matched with the model by their tokens.
        memory_limit, progress, on_epoch_end
            As for :meth:`fit`.

        Returns
        -------
        SkipGram
            Itself. `history` has the records of the call in addition; `ledger` is that of the new text.

        Notes
        -----
        Training works on a copy, so an exception leaves the SkipGram as it was.

        An example: a model of 500,000 words of Wikipedia has the perplexity 2,505 on these words, and 6,436 on 109,000
        words about cooking. After `partial_fit` on the words about cooking, the perplexities are 2,893 and 1,156; with
        `replay`, 2,294 and 1,197. Without `replay` learning rates are halved; full rates would give 4,361 and 505.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1).fit([["a", "b"], ["b", "c"]])
        >>> model.partial_fit([["a", "d"], ["c", "b"]], grow_vocabulary=True).vectors.tokens
        ('b', 'a', 'c', 'd')
        >>> model = SkipGram(dim=2, min_count=1, baskets="share").fit([["a", "b"], ["b", "c"]])
        >>> vocabulary = Vocabulary(["a", "b", "d"], [1, 1, 1])
        >>> more = Counts.from_baskets([["a", "d"], ["b", "d"]], vocabulary, weighting="share")
        >>> model.partial_fit(more, grow_vocabulary=True).vectors.tokens
        ('b', 'a', 'c', 'd')
        """
        grow = check_flag("grow_vocabulary", grow_vocabulary)
        if replay is not None and self._model is None:
            raise ValueError("there is nothing to replay: this SkipGram has not been fitted yet")
        options, arguments = self._options(), FitArguments(corpus, field, validation_counts, self._model, grow, replay)
        with running(self, memory_limit=memory_limit, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(arguments, options, run)
        return self

    # ---------------------------------------------------------------- fitted properties

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
        """How the model reads text: as the text of the fit.

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

        `nll` and `perplexity` are means over the epoch, in which each row counts as before its step; `validation_nll`
        is computed after the epoch. With early stopping, `kept` is True for the epoch whose parameters the model has,
        and False for the other epochs.
        """
        return self._fitted.history

    @property
    def best_epoch_(self) -> int:
        """The epoch whose parameters the last fit kept, counted from 1.

        With early stopping it is the epoch with the lowest nll of the held-out lines; otherwise the last one.
        """
        return self._fitted.best_epoch

    @property
    def ledger(self) -> Ledger | None:
        """The numbers of tokens and lines read, used, dropped and held out; None if they are not known."""
        return self._fitted.ledger

    @property
    def windows_(self) -> Windows | None:
        """The windows in which pairs were counted; None after a fit to counts that are not of windows."""
        return self._fitted.windows

    @property
    def baskets_(self) -> str | None:
        """The weighting of the baskets in which pairs were counted, "flat" or "share"; None without baskets."""
        return self._fitted.baskets

    @property
    def max_contexts_(self) -> int:
        """The number of words that are contexts."""
        return self._fitted.max_contexts

    @property
    def counts_sha256_(self) -> list[str]:
        """The SHA-256 of the counts of `fit` and of each `partial_fit`, including replayed counts.

        A digest is the SHA-256 of the shape (int64), the factors of subsampling (float64), and the SHA-256 of each tile
        of the matrix, in this order. Counts in memory and in a store have the same digest.
        """
        return self._fitted.counts_sha256

    # ---------------------------------------------------------------- queries and predictions

    def predict_output(
        self,
        words: Words,
        topn: int = 10,
        side: str | None = None,
        *,
        exclude: Iterable[Token] | None = None,
        skip_unknown: bool = False,
    ) -> list[tuple[Any, float]]:
        """Return the words most likely to stand near a word, or near several, with their probabilities.

        Near means within `window` places, or in the same basket. With ``window=(0, 1)`` the answer is the next word.
        The given words are never in the answer. For similar words see `Vectors.most_similar`.

        Parameters
        ----------
        words : str, int, or iterable of them
            One word, or several words, such as the items of a basket; each may be a pair (word, weight). Each word must
            be in the vocabulary, even if the model has subwords.
        topn : int
            The number of contexts to return, at least 1; all of them if there are fewer.
        side : {"before", "after"}, optional
            The side of the word on which the context occurs; by default either.
        exclude : iterable of str or int, optional
            Further words to leave out, such as the items that a user has.
        skip_unknown : bool
            Skip unknown words instead of raising KeyError. If all words are unknown, the answer is empty.

        Returns
        -------
        list of (str, float), or of (int, float) if `exclude`, or without it the words, are integers
            Contexts and their probabilities, in descending order; ties are in the order of the vocabulary. The
            probabilities of all contexts that are not left out sum to 1.

        Notes
        -----
        The softmax p is over the outputs, which are pairs (side, context) in a directed model. A context c has the
        probability p(before, c) + p(after, c), or with `side` p(side, c) / sum_k p(side, k). Several words give the
        weighted mean of their probabilities. Pairs are weighted as in the counts, by `weighting` and `sample`.

        Examples
        --------
        >>> corpus = [["new", "york", "city"], ["new", "york", "state"], ["old", "city"]] * 9
        >>> model = SkipGram(dim=3, window=1, min_count=1, sample=None, epochs=50).fit(corpus)
        >>> model.predict_output("york", topn=1, side="before")[0][0]
        'new'
        >>> round(sum(p for _, p in model.predict_output("york", topn=5, side="after")), 6)
        1.0
        >>> [word for word, _ in model.predict_output(["york", ("old", 0.5)], exclude=["new"])]
        ['city', 'state']
        >>> model = SkipGram(dim=2, min_count=1, baskets="share").fit([[260, 1196], [260, 1196, 858]])
        >>> [item for item, _ in model.predict_output(260)]
        [1196, 858]
        """
        from fastembed.skipgram.prediction import predict

        return predict(self._fitted, [words], topn, side, exclude=exclude, skip_unknown=skip_unknown)[0]

    def predict_outputs(
        self,
        queries: Iterable[Words],
        topn: int = 10,
        side: str | None = None,
        *,
        exclude: Iterable[Token] | Iterable[Iterable[Token]] | None = None,
        skip_unknown: bool = False,
    ) -> list[list[tuple[Any, float]]]:
        """Return the results of `predict_output` for many queries, such as baskets: many times faster than a loop.

        Parameters
        ----------
        queries : iterable
            Each query is as `words` for :meth:`predict_output`.
        topn, side
            As for :meth:`predict_output`.
        exclude : iterable of str or int, or an iterable of these for each query, optional
            Words to leave out of every answer, or of the answer to each query.
        skip_unknown : bool
            As for :meth:`predict_output`.

        Returns
        -------
        list of lists of (str, float)
            They differ from the results of single calls by rounding only.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit([["a", "b"], ["b", "c"]])
        >>> answers = model.predict_outputs([["a", "b"], ["a", "x"], ["x"]], topn=1, skip_unknown=True)
        >>> [[word for word, _ in answer] for answer in answers]
        [['c'], ['b'], []]
        """
        from fastembed.skipgram.prediction import predict

        return predict(self._fitted, queries, topn, side, exclude=exclude, skip_unknown=skip_unknown)

    def transform(self, documents: Source, method: str = "mean", *, field: str | int | None = None) -> Any:
        """Return a vector for each document.

        Parameters
        ----------
        documents
            As `corpus` for :meth:`fit`. A text in memory is one document. In files, each sequence is a document.
        method : {"mean", "sif", "fit"}
            "mean" is the mean of the vectors of the words. "sif" gives frequent words less weight (Arora et al. 2017).
            "fit" gives the d that minimises ``nll + 15 |d|^2`` of the words in the softmax of the model (PV-DBOW).
        field : str or int, optional
            As for :meth:`fit`.

        Returns
        -------
        ndarray (n_documents, D), float32; or a DataFrame, see :meth:`set_output`
            The vector of a document without a known word is zero.

        Warns
        -----
        UserWarning
            If documents have no known word.

        Notes
        -----
        A word counts as often as it occurs. With `subwords`, the vectors of unknown words are composed, unless `drop`
        or `keep_only` excludes the words. "fit" skips words that are no contexts.

        Examples
        --------
        >>> model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
        >>> means = model.transform(["a b", "c unknown"])
        >>> bool(np.allclose(means[0], (model.vectors["a"] + model.vectors["b"]) / 2))
        True
        """
        from fastembed.skipgram.prediction import document_vectors

        model, options = self._fitted, self._options()
        reading, pool = model.reading_of(documents, options.reading), Pool(check_threads(options.threads))
        texts = as_corpus(documents, reading, field, check_names=False)
        vectors = document_vectors(model, texts, model.options.dropping(), method, pool)
        return estimator.output(self, vectors, documents)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns that :meth:`transform` gives.

        Parameters
        ----------
        input_features
            Ignored; scikit-learn passes it.

        Returns
        -------
        ndarray of str objects (D,)

        Examples
        --------
        >>> SkipGram(dim=2, min_count=1).fit(["a b", "b c"]).get_feature_names_out()
        array(['skipgram0', 'skipgram1'], dtype=object)
        """
        dim = self._fitted.vectors.matrix.shape[1]
        return np.array([f"{type(self).__name__.lower()}{k}" for k in range(dim)], dtype=object)

    def perplexity(self, corpus: Source | Counts, *, field: str | int | None = None, progress: bool = False) -> float:
        """Return the perplexity of a text, of baskets, or of counts: exp of their mean nll per pair.

        Parameters
        ----------
        corpus
            As for :meth:`fit`; counts must be counted in the way of the model. Unknown words and contexts are left out.
        field : str or int, optional
            As for :meth:`fit`.
        progress : bool
            Whether bars are drawn.

        Returns
        -------
        float
            The number of equally likely contexts that would be as hard to predict. Comparable only between models with
            the same contexts, windows and `sample` that know the same words of the text.

        Examples
        --------
        >>> corpus = [["a", "b"], ["b", "c"]] * 9
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit(corpus)
        >>> 1 < model.perplexity(corpus) < 6
        True
        """
        return float(perplexity_of(self, corpus, field, progress)["perplexity"])

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the complete model to one safetensors file, atomically.

        `Vectors.load` opens the file as well. The header of the file holds, as JSON, the parameters (``settings``), the
        rest of the fitted state (``model``), and a ``manifest``: the version of fastembed, the seed, the SHA-256 of the
        counts, the epochs and the nll.

        Parameters
        ----------
        path : path-like
            The file to create or to replace; its suffix must not be that of another format, such as .txt.

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
        write_model(path, self._fitted)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a model from a file that :meth:`save` has written.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the constructor; the file does not store it.

        Returns
        -------
        SkipGram
            The model, with the same bits. Its vectors are memory-mapped: see `Vectors.load`.

        Examples
        --------
        See :meth:`save`.
        """
        state = read_model(path, check_threads(threads))
        model = cls(**vars(state.options) | {"threads": threads})
        model._model = state
        return model

    # ---------------------------------------------------------------- private

    def _options(self) -> SkipGramOptions:
        """Check the parameters and return them."""
        return SkipGramOptions(**{field.name: getattr(self, field.name) for field in fields(SkipGramParameters)})


def perplexity_of(model: SkipGram, corpus: Source | Counts, field: str | int | None, progress: bool) -> dict[str, Any]:
    """Return `SkipGram.perplexity`, the number of outputs, and the share of known tokens of a text, None for counts."""
    state, options = model._fitted, model._options()
    with reporting(progress) as report:
        if isinstance(corpus, Counts) and field is None:
            counts = state.aligned(corpus)
        else:
            text = corpus_for(corpus, field, options, state)
            counts = count_text(text, state.vocabulary, state.pairing(), options, report)
        perplexity, read = float(np.exp(state.trainer.nll(counts))), counts.ledger or Ledger()
    known = None if isinstance(corpus, Counts) else read.tokens_used / max(read.tokens_read, 1)
    return {"perplexity": perplexity, "outputs": counts.shape[1], "known": known}
