"""`Classifier`: learns labels of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.estimator import Estimator, with_known_names
from fastembed._base.progress import bar, bars
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_integer, check_number, warn_user
from fastembed.classifier.data import LabelledSource, read_documents
from fastembed.classifier.metrics import Evaluation, LabelExplanation, evaluation, explanation
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.training import fitted
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import MissingTokenizer, Reading
from fastembed.trainer.progress import FitProgress
from fastembed.trainer.run import EpochEnd, running

T = TypeVar("T")
Field: TypeAlias = "str | int | None"


@with_known_names
@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(Estimator[FittedClassifier]):  # numpydoc ignore=PR02
    """Labels documents: a linear model over a weighted bag of words and n-grams, with calibrated probabilities.

    The matrix E has a row for each feature. The vector h of a document is the weighted sum of the rows of its features;
    the scores of the labels are h + b, or h @ W + b. The probabilities of a document without known features are the
    shares of the labels in training. The result has the same bits on any number of threads. Section 8 of
    ``docs/derivation.md`` has the formulas.

    Parameters
    ----------
    loss : {"squared", "softmax"}
        "squared" is one ridge regression per label, calibrated on documents that are left out in turn. "softmax" is the
        cross-entropy of a softmax over the labels, by gradient descent.
    dim : int or None
        With the loss "softmax": the dimension of the rows of E. If it is None, or at least the number of labels, W is
        the identity: multinomial logistic regression.
    ngrams : int
        The largest length of a word n-gram. No n-gram spans an unknown or dropped word. The start and the end of a
        document are neighbours of its first and last word.
    chars : (int, int), optional
        The smallest and largest length of the character n-grams that are features. They include < before each word, and
        > after it.
    weighting : {"supervised", "tfidf", "count"}
        The weight of a feature with count n. "count" is n; "tfidf" is 1 + log(n) times the inverse document frequency;
        "supervised" is the inverse document frequency, times what the feature says of the labels.
    min_count : int
        Features that occur fewer times are dropped.
    epochs : int, optional
        The largest number of epochs. By default 5 with the loss "softmax", and 500 with "squared": for all documents,
        and again without each part that is left out.
    tol : float
        With the loss "squared": training ends when no step of an epoch changes a score by more.
    learning_rate : float, optional
        With the loss "softmax": the learning rate on the rows of E, which falls linearly to a tenth. By default 3, or
        less if documents are so alike that 3 is too large.
    l2 : float, optional
        The factor of L2 regularisation, l2 / 2 times the sum of the squared weights; it is scikit-learn's 1 / C. By
        default 0.7 with the loss "squared", and 0 with "softmax".
    class_weight : mapping of label to float, or "balanced", optional
        The weights of labels; others have 1. "balanced" divides the mean number of documents per label by the label's.
        By default, the scores of the loss "squared" use the cube root of "balanced"; ``{}`` is 1 for all labels.
    seed : int
        Seed for the initial parameters, the order of the documents, and the choice of documents to leave out in turn.
    threads : int, optional
        The number of threads; by default the number of CPUs.
    reading : Reading, optional
        How texts become tokens; by default ``Reading(words=True)``. Its unit must be "line".
    label_prefix : str
        Tokens that begin with it are labels in files of text. No document, in memory or in a file, has them as words.

    Raises
    ------
    AttributeError
        By methods and properties that need a fit, before a fit.
    TypeError, ValueError
        By any method, for an argument, document or label of another type or value than documented; for a damaged file.
    OSError
        For a file that cannot be read or written. After a failed write, the old file stays.
    MemoryError
        If the weights of all features for all labels do not fit in memory.
    TrainingDivergedError
        With the loss "softmax", if the learning rate is too large. A fitted classifier stays as it was.

    Warns
    -----
    UserWarning
        By predictions, if documents have no known feature. By a fit, if hardly anything was learned, or if `epochs`
        ended training before it converged.

    Notes
    -----
    The class is an estimator of scikit-learn. Any number of threads may use a fitted classifier at the same time.

    Examples
    --------
    >>> texts = ["cheap pills", "meeting at noon", "cheap watches", "lunch at noon"] * 5
    >>> model = Classifier(min_count=1).fit(texts, ["spam", "ham", "spam", "ham"] * 5)
    >>> model.predict(["cheap lunch pills", "noon"]).tolist()
    ['spam', 'ham']
    """

    _estimator_type = "classifier"
    _read = FittedClassifier.load

    loss: str = "squared"
    dim: int | None = None
    ngrams: int = 2
    chars: tuple[int, int] | None = None
    weighting: str = "supervised"
    min_count: int = 1
    epochs: int | None = None
    tol: float = 0.02
    learning_rate: float | None = None
    l2: float | None = None
    class_weight: Any = None
    seed: int = 0
    threads: int | None = None
    reading: Reading | None = None
    label_prefix: str = "__label__"

    # ---------------------------------------------------------------- training

    def fit(
        self,
        documents: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        field: str | int | None = None,
        label: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Learn from documents and their labels.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens; table or list of records; or path-like
            A str is one document. With `field` and `label`: a table, records or structured files, as `FileCorpus` takes
            them. Other files have a document per line, whose tokens with `label_prefix` are its labels.
        labels : array_like of str, int or bool (N,), list of lists of these, or array_like or sparse of 0 and 1 (N, L)
            One label per document, or several; documents without a label are left out. Labels keep their type; CSV, TSV
            and text files have labels of str. After an indicator matrix, :meth:`predict` returns indicator matrices.
        sample_weight : array_like of float (N,), optional
            The non-negative weight of the loss of each document. The features do not depend on it.
        field, label : str or int, optional
            The names of the fields of texts and of labels; in files with columns also their numbers, from 1.
        header : bool
            Whether the first row of CSV and TSV holds the names of the fields.
        skip_bad : bool
            Whether rows without a text or label are left out, and counted in ``ledger_.skipped``. By default they are
            an error.
        progress : bool or FitProgress, optional
            As for `SkipGram.fit`: True for bars, or an object with the methods of `FitProgress`.
        on_epoch_end : callable, optional
            Called with the record of each epoch; training ends early if it returns True.

        Returns
        -------
        Classifier
            Itself.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [[1, 2], [3]]).classes_.tolist()
        [1, 2, 3]
        >>> rows = [{"text": "a b", "topics": ["x", "y"]}, {"text": "c d", "topics": ["z"]}]
        >>> Classifier().fit(rows, field="text", label="topics").classes_.tolist()
        ['x', 'y', 'z']
        """
        options = self._options()
        source = LabelledSource(documents, labels, sample_weight, field, label, header, skip_bad)
        with running(self, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(source, options, run)
        return self

    def partial_fit(
        self,
        documents: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        field: str | int | None = None,
        label: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
        progress: FitProgress | bool | None = None,
        on_epoch_end: EpochEnd | None = None,
    ) -> Self:
        """Continue training on more documents, which may have new features and labels.

        A classifier before its first fit is fitted. L2 regularisation pulls the weights towards their current values.
        Give only new documents, since probabilities are calibrated on documents that the model does not know. With
        documents of a new label, give documents of the other labels as well, in the shares in which labels occur: fewer
        lower the accuracy on the other labels.

        Parameters
        ----------
        documents, labels, sample_weight, field, label, header, skip_bad
            As for :meth:`fit`; a single label is enough.
        progress, on_epoch_end
            As for :meth:`fit`.

        Returns
        -------
        Classifier
            Itself.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.partial_fit(["e f", "a d"], ["z", "x"]).predict(["e", "a"]).tolist()
        ['z', 'x']
        """
        options = self._options()
        source = LabelledSource(documents, labels, sample_weight, field, label, header, skip_bad)
        with running(self, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(source, options, run, self._model)
        return self

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name. The fitted state stays until the next fit; a loaded classifier may get its tokenizer.

        Parameters
        ----------
        **parameters
            As for the constructor. If a loaded classifier lacks its tokenizer, a `reading` that equals the saved one
            gives the classifier the tokenizer of this `reading`.

        Returns
        -------
        Classifier
            Itself.

        Examples
        --------
        >>> Classifier().set_params(dim=20)
        Classifier(dim=20)
        """
        super().set_params(**parameters)
        lacks = self._model is not None and isinstance(self.reading_.tokenizer, MissingTokenizer)
        if lacks and isinstance(self.reading, Reading) and self.reading.record() == self.reading_.record():
            self._model = replace(self._fitted, features=replace(self._fitted.features, reading=self.reading))
        return self

    # ---------------------------------------------------------------- fitted properties

    @property
    def classes_(self) -> NDArray[Any]:
        """The sorted labels (L,): int64, bool, or str objects."""
        return self._fitted.classes

    @property
    def n_features_(self) -> int:
        """The number of features F."""
        return len(self._fitted.features)

    @property
    def history_(self) -> list[dict[str, float]]:
        """The records of the epochs; with the loss "softmax" they have the keys of `Trainer.fit_counts`.

        With the loss "squared", `loss` is the mean loss of a document before its step, summed over labels. `left_out`
        is the number of documents that are left out. `change` is the largest change of the score of a document by a
        step on this document.
        """
        return self._fitted.history

    @property
    def ledger_(self) -> Ledger:
        """The numbers of tokens and documents read, used and dropped; each line is a document."""
        return self._fitted.ledger

    @property
    def reading_(self) -> Reading:
        """How texts become tokens, in training and prediction."""
        return self._fitted.features.reading

    # ---------------------------------------------------------------- prediction

    def decision_function(self, documents: Any, *, field: Field = None, header: bool = True) -> NDArray[np.float32]:
        """Return the logits of the labels: the probabilities are their softmax, or the sigmoid of each.

        Logits are calibrated scores; :meth:`explain` shows the scores.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens; table or list of records; or path-like
            As for :meth:`fit`, with or without labels. Tokens that begin with `label_prefix` are left out.
        field, header
            As for :meth:`fit`.

        Returns
        -------
        ndarray of float32 (N, L), or (N,) with two labels
            In the order of `classes_`. For two labels, the second logit minus the first, unless the labels of the fit
            were an indicator matrix.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d", "e"], ["x", "y", "z"])
        >>> model.decision_function(["a", "d"]).shape
        (2, 3)
        """
        logits = np.concatenate(list(self._answers(documents, self._fitted.logits, field, header)))
        binary = logits.shape[1] == 2 and not self._fitted.indicator
        return logits[:, 1] - logits[:, 0] if binary else logits

    def predict_proba(self, documents: Any, *, field: Field = None, header: bool = True) -> NDArray[np.float32]:
        """Return the probabilities of the labels.

        Parameters
        ----------
        documents, field, header
            As for :meth:`decision_function`.

        Returns
        -------
        ndarray of float32 (N, L)
            In the order of `classes_`. Each row sums to 1, unless documents may have several labels and the loss is not
            "softmax".

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> bool((model.predict_proba(["a"])[0].argmax() == 0))
        True
        """
        return np.concatenate(list(self._answers(documents, self._fitted.probabilities, field, header)))

    def predict(self, documents: Any, *, field: Field = None, header: bool = True) -> NDArray[Any]:
        """Return the most probable label of each document, or an indicator matrix if the fit was given one.

        Parameters
        ----------
        documents, field, header
            As for :meth:`decision_function`.

        Returns
        -------
        ndarray (N,), or of int64 (N, L)
            Elements of `classes_`; of equally probable labels, the first. In an indicator matrix, 1 for each label with
            a probability of at least one half, and 0 for others.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [7, 9]).predict(["d", "b", "__label__7 d"])
        array([9, 7, 9])
        """
        model = self._fitted
        if model.indicator:
            return (self.predict_proba(documents, field=field, header=header) >= 0.5).astype(np.int64)
        parts = self._answers(documents, lambda *scored: model.logits(*scored).argmax(axis=1), field, header)
        labels: NDArray[Any] = self.classes_[np.concatenate(list(parts))]
        return labels

    def predict_top(
        self, documents: Any, k: int = 1, threshold: float = 0.0, *, field: Field = None, header: bool = True
    ) -> list[list[tuple[Any, float]]]:
        """Return the k most probable labels of each document with their probabilities.

        Parameters
        ----------
        documents
            As for :meth:`decision_function`.
        k : int
            The number of labels; all if there are fewer.
        threshold : float
            Labels with a lower probability are left out.
        field, header
            As for :meth:`decision_function`.

        Returns
        -------
        list of list of (label, float)
            In the order of descending probability.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> [(label, p > 0.5) for label, p in model.predict_top(["a"], k=2)[0]]
        [('x', True), ('y', False)]
        """
        k, least = check_integer("k", k, low=1), check_number("threshold", threshold, high=1)
        model = self._fitted
        parts = self._answers(documents, lambda x, known: model.most_probable(x, known, k, least), field, header)
        return list(chain.from_iterable(parts))

    def score(
        self,
        documents: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        field: str | int | None = None,
        label: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
    ) -> float:
        """Return the accuracy: the share of documents whose most probable label is one of their labels.

        The result is the accuracy of :meth:`test`. Documents without a label are left out, and labels that the
        classifier does not know count as errors. With an indicator matrix, all labels of a document must be predicted,
        and no others, as in scikit-learn.

        Parameters
        ----------
        documents, labels, sample_weight, field, label, header, skip_bad
            As for :meth:`fit`.

        Returns
        -------
        float

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], ["x", "y"]).score(["a", "d"], ["x", "x"])
        0.5
        """
        source = LabelledSource(documents, labels, sample_weight, field, label, header, skip_bad)
        return self._evaluation(source, 1).accuracy

    def test(
        self,
        documents: Any,
        labels: Any = None,
        k: int = 1,
        *,
        field: str | int | None = None,
        label: str | int | None = None,
        header: bool = True,
        skip_bad: bool = False,
        progress: bool = False,
    ) -> Evaluation:
        """Return precision, recall and other metrics of the predictions for labelled documents.

        Parameters
        ----------
        documents, labels
            As for :meth:`fit`: documents and labels, or a table or files that have both.
        k : int
            The k of P@k and R@k. With an indicator matrix, the labels that :meth:`predict` returns count, whatever k.
        field, label, header, skip_bad
            As for :meth:`fit`; `skipped` of the result has the numbers of documents left out.
        progress : bool
            Whether a bar of the documents is drawn.

        Returns
        -------
        Evaluation

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.test(["a", "d"], ["x", "x"]).precision
        0.5
        """
        source = LabelledSource(documents, labels, None, field, label, header, skip_bad)
        return self._evaluation(source, check_integer("k", k, low=1), progress=progress)

    def _evaluation(self, source: LabelledSource, k: int, *, progress: bool = False) -> Evaluation:
        model, ledger = self._fitted, Ledger(unit="document")
        features = model.features
        items, labels, weights = source.read(features.reading, features.label_prefix, ledger, every=True)
        with bars(progress), bar(desc="documents", total=len(items)) as done:

            def pieces() -> Iterator[tuple[Any, Any]]:
                for known, scores in model.answers(items, check_threads(self.threads), lambda scores, known: scores):
                    done.update(len(known))
                    yield scores, known

            return evaluation(model, labels, pieces(), k, dict(ledger.skipped), weights)

    def explain(self, document: Any, labels: Any = None, k: int = 3) -> LabelExplanation:
        """Return the contributions of the features to the scores of a document, which sum to the scores.

        Parameters
        ----------
        document : str or list of tokens
            As for :meth:`decision_function`.
        labels : label or list of labels, optional
            The labels to explain; by default the k most probable labels.
        k : int

        Returns
        -------
        LabelExplanation

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.explain("a b c").labels
        ['x', 'y']
        """
        return explanation(self._fitted, document, labels, check_integer("k", k, low=1))

    def _answers(self, documents: Any, answer: Callable[[Any, Any], T], field: Field, header: bool) -> Iterator[T]:
        """Yield ``answer(scores, known)`` per block of documents; `known` are the numbers of known features."""
        features, unknown = self._fitted.features, 0
        items = read_documents(documents, field, header, features.reading.errors, features.label_prefix)
        for known, result in self._fitted.answers(items, check_threads(self.threads), answer):
            unknown += int((known == 0).sum())
            yield result
        if unknown:
            what = f"{unknown:,} of {len(items):,} documents have no known feature"
            warn_user(f"{what}: the answer is the labels' shares")

    # ---------------------------------------------------------------- private

    def _options(self) -> ClassifierOptions:
        """Check the parameters and return them."""
        return ClassifierOptions(*[getattr(self, option.name) for option in fields(ClassifierOptions) if option.init])

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_label=True),
            input_tags=InputTags(two_d_array=False, string=True),
        )
