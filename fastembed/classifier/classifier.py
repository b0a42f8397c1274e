"""`Classifier`: learns labels of documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.estimator import Estimator
from fastembed._base.progress import FitProgress, bar, bars
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_integer, check_number, warn_user
from fastembed.classifier.data import Columns, Given, check_documents, checked_weights, read_labelled
from fastembed.classifier.metrics import Evaluation, Explanation, evaluation, explanation
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.training import fitted
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.trainer.run import EpochEnd, running

T = TypeVar("T")
Field: TypeAlias = "str | int | None"


@dataclass(eq=False, repr=False)
class Classifier(Estimator):  # numpydoc ignore=PR02
    """Labels of documents, by a linear model over a weighted bag of words and n-grams.

    A document is represented by h, the sum of the rows of E of its features. Each row is multiplied by the weight of
    its feature; the weights are scaled to unit length. The scores of the labels are h + b, or h @ W + b. For a document
    without known features, the probabilities are the shares of the labels in training. The result has the same bits on
    any number of threads. Section 8 of docs/derivation.md has the formulas.

    Parameters
    ----------
    loss : {"squared", "softmax"}
        "squared" is one-versus-all: each label has a squared loss with the targets 1 and 0. It is trained by dual
        coordinate ascent, which needs no learning rate. Its scores become probabilities by three numbers, which are
        fitted to documents that are left out in turn, while training goes on with the others: by a sigmoid per label if
        a document has several labels (also if they are an indicator matrix), otherwise by a softmax. The less texts say
        of the labels, the nearer probabilities are to the labels' shares. "softmax" is the cross-entropy of a softmax
        over the labels, trained by gradient descent; in a document with several labels each has the same share.
    dim : int or None
        Dimension of the rows of E, with the loss "softmax". If there are no more than `dim` labels, or with None, W is
        the identity, and the row of a feature in E holds its logits: multinomial logistic regression.
    ngrams : int
        The largest length of a word n-gram. Its words are neighbours in the text: none goes over a word that is dropped
        by `min_count`, or is unknown. From pairs on, the start and the end of a document count as
        words before its first and after its last one.
    chars : (int, int), optional
        The shortest and longest character n-grams of each word that are features, with < before and > after the word.
        With n-grams of one character, documents are very similar: try a learning rate of 0.5.
    weighting : {"supervised", "tfidf", "count"}
        "supervised": the weight of each feature that occurs is its inverse document frequency
        log((1 + N) / (1 + N_f)) + 1, times 1 + the Kullback-Leibler divergence of the shares of the labels where it
        occurs from those in all documents, times 0.6 for each word of an n-gram after the first. "tfidf": a count n
        becomes 1 + log(n), times the inverse document frequency, times 0.7 for each such word. "count": n.
    min_count : int
        Features that occur fewer times are dropped.
    epochs : int, optional
        The largest number of epochs, with the loss "squared" of each part of training: on all documents, and once
        without each of the parts left out. By default 500, which few sets need, and 5 with the loss "softmax".
    tol : float
        With the loss "squared": training ends when no document's step in an epoch changes its score by more
        than this. By default the scores were at most 0.015 from the optimum in sixteen fits. Without a part left out,
        50 times as much will do, or the number of documents over 20 times, whichever is less.
    learning_rate : float, optional
        With the loss "softmax": the learning rate of gradient descent on the rows of E, which falls linearly to a
        tenth. By default 3, or less if documents are so alike, or some weigh so much more than the mean, that training
        could diverge. Training with a rate that is given can.
    l2 : float, optional
        Strength of L2 regularisation: training minimises the sum of the losses of all documents plus l2 / 2 times the
        sum of the squared weights. It is 1 / C of scikit-learn. By default 0.7 with the loss "squared", and 0
        with "softmax". With "softmax", E is multiplied by exp(-l2 learning_rate) at the end of each epoch.
    class_weight : mapping of label to float, or "balanced", optional
        The weights of the labels; 1 for labels that are not named. The weight of a document is the mean of the weights
        of its labels. "balanced" gives a label the mean number of documents per label over its own number: all labels
        then have the same total weight if each document has one label. By default, the loss "squared" learns scores
        with the cube root of that, since it favours frequent labels; the probabilities are calibrated without
        it. ``{}`` is 1 for every label. With `partial_fit`, "balanced" counts the new documents, the default all.
    seed : int
        Seed for the initial parameters, the order of the documents, and which of them are left out in turn.
    threads : int, optional
        The number of threads; by default the number of CPUs.
    reading : Reading, optional
        How texts become tokens; by default ``Reading(words=True)``. Its unit must be "line".
    label_prefix : str
        The prefix of labels in files.

    Notes
    -----
    It is an estimator in scikit-learn's sense. Any number of threads may use a fitted classifier at the same time.

    Examples
    --------
    >>> texts = ["cheap pills", "meeting at noon", "cheap watches", "lunch at noon"] * 5
    >>> model = Classifier(min_count=1).fit(texts, ["spam", "ham", "spam", "ham"] * 5)
    >>> model.predict(["cheap lunch pills", "noon"]).tolist()
    ['spam', 'ham']
    """

    _estimator_type = "classifier"

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
            A str is one document, in which line ends are white space. With `field` and `label`, a table of pandas,
            Polars or Arrow, a Hugging Face ``Dataset``, mappings, or the paths of structured files as for
            `corpus.FileCorpus`: CSV, TSV, JSON lines, Parquet. Another path names files in fastText's format:
            one document per line, in which the tokens that begin with `label_prefix` are the labels.
        labels : array_like of str, int or bool (N,), list of lists of these, or array_like or sparse of 0 and 1 (N, L)
            One label per document, or several. A document without a label is left out, and counted in
            ``ledger_.skipped``. In an indicator matrix, that of scikit-learn's ``MultiLabelBinarizer``, the labels are
            the columns 0 to L - 1, :meth:`predict` answers with such a matrix, and a row of zeros is an example of what
            has none of them, but with the loss "softmax".
        sample_weight : array_like of float (N,), optional
            The non-negative weight of the loss of each document. The features do not depend on it.
        field, label : str or int, optional
            The names of the fields of texts and of labels; in files with columns also their numbers, from 1.
        header : bool
            Whether the first row of CSV and TSV holds the names of the fields.
        skip_bad : bool
            Whether rows of files, tables and records without a text or label, or that cannot be read, are left out and
            counted in ``ledger_.skipped``. By default they are an error that names the row.
        progress : bool or FitProgress, optional
            As for `SkipGram.fit`: bars, or an object with these methods.
        on_epoch_end : callable, optional
            Called with the record of each epoch; training ends early if it returns True. With the loss "squared", one
            epoch without each part left out follows, so that probabilities are calibrated.

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter, a document, a label or a weight is not as above, there are fewer than two distinct labels,
            or no feature remains. Labels are never float, None, NaN or an empty str.
        OSError
            If a file cannot be read.
        MemoryError
            If the weights of all features for all labels do not fit in memory.
        TrainingDivergedError
            With the loss "softmax", if a loss is not finite because the learning rate is too large. A classifier that
            was already fitted stays as it was.

        Warns
        -----
        UserWarning
            If hardly anything was learned but the shares of the labels. With the loss "squared", also if training on
            all documents ended after `epochs`, before it converged.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [[1, 2], [3]]).classes_.tolist()
        [1, 2, 3]
        >>> rows = [{"text": "a b", "topics": ["x", "y"]}, {"text": "c d", "topics": ["z"]}]
        >>> Classifier().fit(rows, field="text", label="topics").classes_.tolist()
        ['x', 'y', 'z']
        """
        options, columns = self._options(), Columns(field, label, header, skip_bad)
        with running(self, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(Given(documents, labels, sample_weight, columns), options, run)
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

        Before a fit it is the same as :meth:`fit`. The weights start from their current values, and L2 regularisation
        pulls them towards these. Known features keep their inverse document frequencies; those of new features count
        the earlier documents, too, as documents without them. Give only new documents: those that it has learned before
        would make it too sure, since its probabilities are calibrated on documents that it does not know. Those of a
        new label need some of other labels beside them: alone, they would make it too frequent.

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

        Raises
        ------
        TypeError, ValueError, OSError, MemoryError, TrainingDivergedError
            As :meth:`fit`; also if the loss or a parameter of the features has changed. The classifier then stays as it
            was.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.partial_fit(["e f", "a d"], ["z", "x"]).predict(["e", "a"]).tolist()
        ['z', 'x']
        """
        options, columns = self._options(), Columns(field, label, header, skip_bad)
        with running(self, progress=progress, on_epoch_end=on_epoch_end) as run:
            self._model = fitted(Given(documents, labels, sample_weight, columns, self._model), options, run)
        return self

    # ---------------------------------------------------------------- fitted properties

    @property
    def classes_(self) -> NDArray[Any]:
        """The sorted labels (L,): int64, bool, or str objects."""
        return self._fitted().classes

    @property
    def n_features_(self) -> int:
        """The number of features F."""
        return len(self._fitted().features)

    @property
    def history_(self) -> list[dict[str, float]]:
        """The records of the epochs; with the loss "softmax" they are those of `Trainer.fit_counts`.

        With the loss "squared", `loss` is the mean over documents of the loss summed over labels, with each document
        before its step, and `left_out` the number of documents that are left out. `change` is the most that the step of
        a document changed one of its scores by.
        """
        return self._fitted().history

    @property
    def ledger_(self) -> Ledger:
        """The numbers of tokens and documents read, used and dropped; each line is a document."""
        return self._fitted().ledger

    @property
    def reading_(self) -> Reading:
        """How texts become tokens, in training and prediction."""
        return self._fitted().features.reading

    # ---------------------------------------------------------------- prediction

    def decision_function(self, documents: Any, *, field: Field = None, header: bool = True) -> NDArray[np.float32]:
        """Return the logits of the labels: the probabilities are their softmax, or the sigmoid of each.

        Unless labels are an indicator matrix, :meth:`predict` gives the label with the largest. :meth:`explain` shows
        the scores that they are calibrated from.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens; with `field` a table, list of records, or path-like
        field, header
            As for :meth:`fit`.

        Returns
        -------
        ndarray of float32 (N, L), or (N,) with two labels
            In the order of `classes_`. With two labels, unless in an indicator matrix: the logit of the second minus
            that of the first.

        Raises
        ------
        AttributeError
            Before a fit.
        TypeError, ValueError
            If a document is not as above.

        Warns
        -----
        UserWarning
            If documents have no known feature. Their probabilities are the shares of the labels in training.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d", "e"], ["x", "y", "z"])
        >>> model.decision_function(["a", "d"]).shape
        (2, 3)
        """
        logits = np.concatenate(list(self._answers(documents, self._fitted().logits, field, header)))
        binary = logits.shape[1] == 2 and not self._fitted().indicator
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

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`decision_function`.

        Warns
        -----
        UserWarning
            If documents have no known feature. Their probabilities are the shares of the labels in training.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> bool((model.predict_proba(["a"])[0].argmax() == 0))
        True
        """
        return np.concatenate(list(self._answers(documents, self._fitted().probabilities, field, header)))

    def predict(self, documents: Any, *, field: Field = None, header: bool = True) -> NDArray[Any]:
        """Return the most probable label of each document; after labels in an indicator matrix, such a matrix.

        Parameters
        ----------
        documents, field, header
            As for :meth:`decision_function`.

        Returns
        -------
        ndarray (N,), or of int64 (N, L)
            Elements of `classes_`; of equally probable labels, the first. Or 1 for each label with a probability of at
            least one half, and 0 for others.

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`decision_function`.

        Warns
        -----
        UserWarning
            If documents have no known feature. Their prediction is the most frequent label.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [7, 9]).predict(["d", "b"])
        array([9, 7])
        """
        model = self._fitted()
        if model.indicator:
            parts = self._answers(documents, lambda *found: model.probabilities(*found) >= 0.5, field, header)
            return np.concatenate(list(parts)).astype(np.int64)
        parts = self._answers(documents, lambda *found: model.logits(*found).argmax(axis=1), field, header)
        found: NDArray[Any] = self.classes_[np.concatenate(list(parts))]
        return found

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

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`decision_function`; also if `k` or `threshold` is out of range.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> [(label, p > 0.5) for label, p in model.predict_top(["a"], k=2)[0]]
        [('x', True), ('y', False)]
        """
        k, least = check_integer("k", k, low=1), check_number("threshold", threshold, high=1)
        model = self._fitted()
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

        It is the accuracy of :meth:`test`: documents without a label are left out, and labels that the classifier does
        not know count as errors. After labels in an indicator matrix, it is the share of documents all of whose labels
        are predicted and no others, as in scikit-learn.

        Parameters
        ----------
        documents, labels, sample_weight, field, label, header, skip_bad
            As for :meth:`fit`.

        Returns
        -------
        float

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`predict` and :meth:`fit`; also if no document has a known label.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], ["x", "y"]).score(["a", "d"], ["x", "x"])
        0.5
        """
        given = Given(documents, labels, sample_weight, Columns(field, label, header, skip_bad))
        return self._evaluation(given, 1).accuracy

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
            The k of P@k and R@k; not used of an indicator matrix, where what :meth:`predict` answers counts.
        field, label, header, skip_bad
            As for :meth:`fit`; `skipped` of the result has the numbers of documents left out.
        progress : bool
            Whether a bar of the documents is drawn.

        Returns
        -------
        Evaluation

        Raises
        ------
        AttributeError, TypeError, ValueError, OSError
            As :meth:`fit` and :meth:`predict`; also if no document has a known label.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.test(["a", "d"], ["x", "x"]).precision
        0.5
        """
        given = Given(documents, labels, None, Columns(field, label, header, skip_bad))
        return self._evaluation(given, check_integer("k", k, low=1), progress=progress)

    def _evaluation(self, given: Given, k: int, *, progress: bool = False) -> Evaluation:
        model, prefix, ledger = self._fitted(), self._fitted().settings["label_prefix"], Ledger(unit="document")
        reading, weights = model.features.reading, None
        items, found, some = read_labelled(given, reading, prefix, ledger, every=True)
        if given.weights is not None:
            weights = checked_weights(given.weights, some)[some]
        pieces = self._answers(items, lambda scores, known: (scores, known), warn=False)
        with bars(progress), bar(desc="documents", total=len(items)) as done:

            def shown() -> Iterator[tuple[Any, Any]]:
                for scores, known in pieces:
                    done.update(len(known))
                    yield scores, known

            return evaluation(model, found, shown(), k, dict(ledger.skipped), weights)

    def explain(self, document: Any, labels: Any = None, k: int = 3) -> Explanation:
        """Return the contributions of the features to the scores of a document, which sum to the scores.

        Parameters
        ----------
        document : str or list of tokens
        labels : list of labels, optional
            The labels to explain; by default the k most probable ones.
        k : int

        Returns
        -------
        Explanation

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`predict`; also if a label is unknown.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.explain("a b c").labels
        ['x', 'y']
        """
        return explanation(self._fitted(), document, labels, check_integer("k", k, low=1))

    def _answers(
        self,
        documents: Any,
        answer: Callable[[Any, Any], T],
        field: Field = None,
        header: bool = True,
        warn: bool = True,
    ) -> Iterator[T]:
        """Yield `answer(scores, numbers of known features)` for one block of documents, or of a field, at a time."""
        items, unknown = check_documents(documents, field, header, self.reading_.errors), 0
        for known, found in self._fitted().answers(items, check_threads(self.threads), answer):
            unknown += int((known == 0).sum())
            yield found
        if unknown and warn:
            what = f"{unknown:,} of {len(items):,} documents have no known feature"
            warn_user(f"{what}: the answer is the labels' shares")

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the classifier as a safetensors file.

        Parameters
        ----------
        path : path-like
            The name ends with .safetensors, or has no suffix.

        Raises
        ------
        AttributeError
            Before a fit.
        OSError
            If the file cannot be written; an old file then stays as it was.
        ValueError
            If the name of the file is not as above.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Classifier().fit(["a b", "c d"], ["x", "y"]).save(f"{folder}/m.safetensors")
        ...     Classifier.load(f"{folder}/m.safetensors").predict(["c"]).tolist()
        ['y']
        """
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a classifier from a file that :meth:`save` has written. The rows of E are memory-mapped.

        The file must not be written to while it is open: see `Vectors.load`.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the class.

        Returns
        -------
        Classifier

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it does not hold a classifier, or is damaged.
        """
        model = FittedClassifier.load(path)
        found = cls(**model.settings, threads=threads)
        found._options()
        found._model = model
        return found

    # ---------------------------------------------------------------- private

    def _options(self) -> ClassifierOptions:
        """Check the parameters and return them."""
        return ClassifierOptions(*[getattr(self, each.name) for each in fields(ClassifierOptions) if each.init])

    def _fitted(self) -> FittedClassifier:
        if self._model is None:
            raise AttributeError("this Classifier has learned nothing yet: call fit, or Classifier.load")
        return self._model

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_label=True),
            input_tags=InputTags(two_d_array=False, string=True),
        )
