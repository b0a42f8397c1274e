"""`Parameters`: those of a `SkipGram`, checked, and what follows from them before anything is learned."""

from __future__ import annotations

from fastembed._base.memory import check_memory_limit
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_flag, check_integer, check_number
from fastembed.corpus.documents import Documents
from fastembed.counts.counts import Counts
from fastembed.skipgram.estimate import Estimate
from fastembed.skipgram.estimator import Estimator
from fastembed.skipgram.reading import FitProgress, Reader
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

ALL_CONTEXTS = 16384
"""Vocabularies up to this size use every word as a context by default; larger ones half of them, but no fewer, up to
MOST_CONTEXTS."""

MOST_CONTEXTS = 24576
"""So many words are contexts at most by default: beyond, an epoch's cost grows with V, not with its square."""


class Parameters(Estimator):
    """The parameters of `SkipGram`, which describes them."""

    dim: int
    window: int | tuple[int, int]
    weighting: str
    min_count: int
    sample: float | None
    directed: bool
    max_size: int | None
    max_contexts: int | str | None
    epochs: int
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    seed: int
    threads: int | None

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
            With `flops`, and `memory` in bytes, beside the counts themselves; ``print`` shows both. An
            `on_epoch_end` of a first fit is shown copies: up to two more of the model come on top.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> print(SkipGram(dim=50, threads=1).estimate(20_000, 32_768, nnz=10_000_000))
        20,000 words, 32,768 outputs, 10,000,000 counts: about 998 GFLOP and 310 MB of memory
        """
        for name, value, low in (("inputs", inputs, 1), ("outputs", outputs, 1), ("nnz", nnz, 0)):
            check_integer(name, value, low=low)
        self._check_parameters()
        threads = check_threads(self.threads)
        return Estimate(inputs, outputs, self.dim, nnz, self.epochs, threads, self.early_stopping)

    def contexts(self, size: int) -> int:
        """Return how many words are contexts in a vocabulary of this size: what `max_contexts` comes to.

        Parameters
        ----------
        size : int

        Returns
        -------
        int

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram(max_contexts=1000).contexts(800), SkipGram().contexts(40_000)
        (800, 20000)
        """
        most = self.max_contexts
        if most is None:
            return size
        if isinstance(most, str) and most == "auto":  # an array would compare each of its items
            return min(max(size // 2, min(size, ALL_CONTEXTS)), MOST_CONTEXTS)
        return min(size, check_integer("max_contexts, neither None nor 'auto',", most, low=1))

    def count(
        self, corpus: Documents, *, memory_limit: int | None = None, progress: FitProgress | None = None
    ) -> Counts:
        """Count a corpus as `fit` does, for `fit_counts`.

        Parameters
        ----------
        corpus
            As for :meth:`SkipGram.fit`; it is read twice.
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
            As :meth:`SkipGram.fit`.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> model = SkipGram(window=1, min_count=1, sample=None)
        >>> model.count(["a b", "b c"]).to_scipy().toarray()  # b, a, c before, then after b, a, c
        array([[0., 1., 0., 0., 0., 1.],
               [0., 0., 0., 1., 0., 0.],
               [1., 0., 0., 0., 0., 0.]])
        """
        check_memory_limit(memory_limit)
        self._check_parameters()
        reader = Reader(corpus, self.threads, progress)
        vocabulary = reader.vocabulary(self.min_count, self.max_size)
        return reader.counts(vocabulary, self._windows(vocabulary), memory_limit=memory_limit)

    def _windows(self, vocabulary: Vocabulary) -> Windows:
        contexts = self.contexts(len(vocabulary))
        return Windows(self.window, self.weighting, self.sample, self.directed, contexts)

    def _divided(
        self, reader: Reader, vocabulary: Vocabulary, windows: Windows, memory_limit: int | None
    ) -> tuple[Counts, Counts | None]:
        """Return the counts to train on, and those of the lines held out for early stopping."""
        if not self.early_stopping:
            return reader.counts(vocabulary, windows, memory_limit=memory_limit), None
        share = self.validation_fraction
        return reader.divided(vocabulary, windows, share, self.seed, memory_limit=memory_limit)

    def _check_parameters(self) -> None:
        for name in ("dim", "min_count", "epochs", "n_iter_no_change"):
            check_integer(name, getattr(self, name), low=1)
        Windows(  # refuses what it cannot count by
            self.window, self.weighting, self.sample, self.directed
        )
        check_flag("early_stopping", self.early_stopping)
        check_number("validation_fraction", self.validation_fraction, high=0.5, above=True)
        check_integer("seed", self.seed, low=0)
        check_threads(self.threads)
        if self.max_size is not None:
            check_integer("max_size", self.max_size, low=1)
        self.contexts(1)  # refuses what is no max_contexts
