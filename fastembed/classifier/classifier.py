"""`Classifier`: documents in, labels out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base import estimator
from fastembed._base.pickling import pickled_as
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_callback, check_integer, check_number
from fastembed._base.warning import warn_user
from fastembed.classifier.documents import LabelledFiles, check_documents
from fastembed.classifier.examples import names_files, read_examples
from fastembed.classifier.explanation import Explanation, explain
from fastembed.classifier.file import read_classifier, write_classifier
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.labels import aligned, labels_of_lines, read_labelled
from fastembed.classifier.learning import learn, learn_more
from fastembed.classifier.metrics import Evaluation, evaluation
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.prediction import answers, most_probable
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.vectors.vectors import Vectors

T = TypeVar("T")


@pickled_as("Classifier")
class Classifier:
    """Labels of documents, by a linear model over a weighted bag of words and n-grams.

    A document is the sum h of the rows of E of its features, each with its TF-IDF weight, scaled to unit length. The
    scores of the labels are h + b, or h @ W + b. The probabilities of a document without known features are the labels'
    shares. The result has the same bits on any number of threads.

    Parameters
    ----------
    loss : {"squared", "ova", "softmax"}
        "squared" and "ova" set each label against all others: by the squared distance of its score from 1 or 0, or by a
        sigmoid of its score. They are trained by dual coordinate ascent, which needs no learning rate. Then the scores
        become probabilities by a slope and an offset that are found on documents left out of the first epochs: by a
        sigmoid for each label if documents may have several, else by a softmax. "softmax" is the softmax over the
        labels in training, too; a document with several labels has the same share of each.
    dim : int or None
        Dimension of the rows of E, with the loss "softmax". With no more labels than that, or with None, W is the
        identity, and E has a row of logits per feature: multinomial logistic regression.
    ngrams : int
        The largest number of neighbouring words that are a feature.
    chars : (int, int), optional
        The least and the largest number of characters of the n-grams of each word that are features, with < before and
        > behind the word. With those of one character documents are much alike: try a learning rate of 0.5.
    weighting : {"tfidf", "count"}
        Whether the counts of features are multiplied by their inverse document frequencies.
    min_count : int
        Features that occur fewer times are dropped.
    max_features : int, optional
        The most frequent ones are kept; of equally frequent ones, those of fewer words.
    epochs : int, optional
        How often each document is visited at most; by default 20, and 5 with the loss "softmax".
    tol : float
        With the losses "squared" and "ova": training ends when an epoch has moved the scores by less than this share of
        what the first one did.
    learning_rate : float
        With the loss "softmax": of gradient descent on the rows of E, which falls linearly to a tenth.
    l2 : float, optional
        What half the sum of the squared weights is multiplied by in what is minimised, beside the sum of the losses of
        all documents: 1 / C of scikit-learn. By default 1 with the loss "squared", 0.1 with "ova", 0 with "softmax",
        where E is multiplied by exp(-l2 learning_rate) at the end of each epoch.
    class_weight : mapping of label to float, or "balanced", optional
        The weights of labels, of which each document has the mean of its own; 1 for labels that are not named.
        "balanced" gives all labels the same sum.
    early_stopping : bool
        Hold out a share of the documents, and end training when their nll has not fallen for some epochs; the
        parameters are then those of the epoch at which it was lowest.
    validation_fraction : float
        The share held out. At most 0.5.
    n_iter_no_change : int
        The number of epochs without a lower nll after which early stopping ends training.
    seed : int
        For the start, the order of the documents, and the choice of those held out.
    threads : int, optional
        By default as many as CPUs.
    reading : Reading, optional
        How texts become tokens; by default ``Reading(words=True)``. Its unit must be "line".
    label_prefix : str
        What labels begin with in files.
    pretrained : Vectors, optional
        With the loss "softmax": where the rows of E of words start from, of which `dim` must be the dimension. Other
        rows start from zero, as do those of words that have no vector there. A file of the classifier does not hold it.

    Notes
    -----
    It is an estimator in scikit-learn's sense. Any number of threads may use a fitted classifier at once.

    Examples
    --------
    >>> texts = ["cheap pills", "meeting at noon", "cheap watches", "lunch at noon"] * 5
    >>> model = Classifier(min_count=1).fit(texts, ["spam", "ham", "spam", "ham"] * 5)
    >>> model.predict(["cheap lunch pills", "noon"]).tolist()
    ['spam', 'ham']
    """

    _estimator_type = "classifier"
    _model: FittedClassifier | None = None

    def __init__(
        self,
        loss: str = "squared",
        dim: int | None = None,
        ngrams: int = 2,
        chars: tuple[int, int] | None = None,
        weighting: str = "tfidf",
        min_count: int = 1,
        max_features: int | None = None,
        epochs: int | None = None,
        tol: float = 0.05,
        learning_rate: float = 3.0,
        l2: float | None = None,
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        seed: int = 0,
        threads: int | None = None,
        reading: Reading | None = None,
        label_prefix: str = "__label__",
        pretrained: Vectors | None = None,
    ) -> None:
        self.loss = loss
        self.dim = dim
        self.ngrams = ngrams
        self.chars = chars
        self.weighting = weighting
        self.min_count = min_count
        self.max_features = max_features
        self.epochs = epochs
        self.tol = tol
        self.learning_rate = learning_rate
        self.l2 = l2
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.seed = seed
        self.threads = threads
        self.reading = reading
        self.label_prefix = label_prefix
        self.pretrained = pretrained

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
        >>> Classifier(dim=50).get_params()["dim"]
        50
        """
        return estimator.get_params(self)

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name. What a fit has learned stays until the next fit.

        Parameters
        ----------
        **parameters
            As for the constructor.

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name; nothing has been set then.

        Examples
        --------
        >>> Classifier().set_params(ngrams=1)
        Classifier(ngrams=1)
        """
        estimator.set_params(self, parameters)
        return self

    # ---------------------------------------------------------------- training

    def fit(
        self,
        documents: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        on_epoch_end: Callable[[dict[str, float]], object] | None = None,
    ) -> Self:
        """Learn from documents and their labels.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens; or path-like, without `labels`
            A path names files in fastText's form: a document per line, in which the tokens that begin with
            `label_prefix` are its labels.
        labels : array_like of str or int (N,), or list of lists of these
            One label per document, or several. Documents without a label are left out, and counted in
            ``ledger.skipped``.
        sample_weight : array_like of float (N,), optional
            What the loss of each document is multiplied by; not negative. What the features are does not depend on it.
        on_epoch_end : callable, optional
            Called with the record of each epoch; training ends early if it returns True.

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter, a document, a label or a weight is not as above, there are fewer than two different labels,
            or no feature is left.
        OSError
            If a file cannot be read.
        MemoryError
            If the weights of all features for all labels do not fit in memory.
        TrainingDivergedError
            With the loss "softmax", if a loss is no longer finite, because the learning rate is too large. A classifier
            that was fitted before stays as it was.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [[1, 2], [3]]).classes_.tolist()
        [1, 2, 3]
        """
        check_callback("on_epoch_end", on_epoch_end)
        options, ledger = self._options(), Ledger()
        pool = Pool(check_threads(options.threads))
        examples = read_examples(documents, labels, sample_weight, options, ledger, pool)
        self._model = learn(examples, options, pool, ledger, on_epoch_end)
        return self

    def partial_fit(
        self,
        documents: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        on_epoch_end: Callable[[dict[str, float]], object] | None = None,
    ) -> Self:
        """Learn from more documents, whose features and labels may be new; before a fit, the same as :meth:`fit`.

        The weights start from what they are, and L2 holds them near that. Old features keep their inverse document
        frequencies; new ones get theirs from the new documents.

        Parameters
        ----------
        documents, labels, sample_weight, on_epoch_end
            As for :meth:`fit`. One label is enough.

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        TypeError, ValueError, OSError, MemoryError, TrainingDivergedError
            As :meth:`fit`; also if a parameter has changed that says what a feature is, or the loss. The classifier
            then stays as it was.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> model.partial_fit(["e f"], ["z"]).predict(["e", "a"]).tolist()
        ['z', 'x']
        """
        if self._model is None:
            return self.fit(documents, labels, sample_weight, on_epoch_end=on_epoch_end)
        check_callback("on_epoch_end", on_epoch_end)
        options, ledger = self._options(), Ledger()
        pool = Pool(check_threads(options.threads))
        examples = read_examples(documents, labels, sample_weight, options, ledger, pool, self._model.classes)
        self._model = learn_more(self._model, examples, options, pool, ledger, on_epoch_end)
        return self

    # ---------------------------------------------------------------- what was learned

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels (L,), sorted: of int64, or str objects."""
        return self._fitted().classes

    @property
    def label_counts_(self) -> NDArray[np.int64]:
        """The number of training documents with each label (L,)."""
        return self._fitted().label_counts

    @property
    def n_features_(self) -> int:
        """The number of features F."""
        return len(self._fitted().features)

    @property
    def history_(self) -> list[dict[str, float]]:
        """The records of the epochs: with the loss "softmax" as `Trainer.fit_counts` returns them.

        With the other losses, `loss` is the mean over documents of the sum over labels, of each document before its
        step, and `change` how far the steps of the epoch have moved the scores' distances from the labels, also the
        mean over documents of the sum over labels.
        """
        return self._fitted().history

    @property
    def ledger_(self) -> Ledger:
        """What was read, used and dropped; a line is a document."""
        return self._fitted().ledger

    @property
    def reading_(self) -> Reading:
        """How texts became tokens, and do at prediction."""
        return self._fitted().features.reading

    # ---------------------------------------------------------------- prediction

    def decision_function(self, documents: Any) -> NDArray[np.float32]:
        """Return the scores: with the loss "squared" before their calibration, else the logits that it scales.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens

        Returns
        -------
        ndarray of float32 (N, L), or (N,) with two labels
            In the order of `classes_`. With two labels: the score of the second less that of the first.

        Raises
        ------
        AttributeError
            Before a fit.
        TypeError, ValueError
            If a document is not as above.

        Warns
        -----
        UserWarning
            If documents have no known feature. Their scores are b.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d", "e"], ["x", "y", "z"])
        >>> model.decision_function(["a", "d"]).shape
        (2, 3)
        """
        parts = list(self._answers(documents, lambda known, scores: scores))
        scores = np.concatenate(parts) if parts else np.empty((0, len(self.classes_)), np.float32)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, documents: Any) -> NDArray[np.float32]:
        """Return the probabilities of the labels.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens

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
            If documents have no known feature. The answer is then the labels' shares.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> bool((model.predict_proba(["a"])[0].argmax() == 0))
        True
        """
        model = self._fitted()
        parts = list(self._answers(documents, lambda known, scores: model.probabilities(scores, known)))
        return np.concatenate(parts) if parts else np.empty((0, len(model.classes)), np.float32)

    def predict(self, documents: Any) -> NDArray[Any]:
        """Return the most probable label of each document.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens

        Returns
        -------
        ndarray (N,)
            Of `classes_`. Of equally probable labels, the first.

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`decision_function`.

        Warns
        -----
        UserWarning
            If documents have no known feature. The answer is then the most frequent label.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [7, 9]).predict(["d", "b"])
        array([9, 7])
        """
        parts = list(self._answers(documents, lambda known, scores: scores.argmax(axis=1)))
        found: NDArray[Any] = self.classes_[np.concatenate(parts) if parts else np.empty(0, np.intp)]
        return found

    def predict_top(self, documents: Any, k: int = 1, threshold: float = 0.0) -> list[list[tuple[Any, float]]]:
        """Return the k most probable labels of each document with their probabilities.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens
        k : int
            All labels if there are no more.
        threshold : float
            Labels that are less probable are left out.

        Returns
        -------
        list of list of (label, float)
            The most probable first.

        Raises
        ------
        AttributeError, TypeError, ValueError
            As :meth:`decision_function`; also if `k` or `threshold` is out of its range.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d"], ["x", "y"])
        >>> [(label, p > 0.5) for label, p in model.predict_top(["a"], k=2)[0]]
        [('x', True), ('y', False)]
        """
        k = check_integer("k", k, low=1)
        least = check_number("threshold", threshold, high=1)
        model = self._fitted()
        parts = self._answers(documents, lambda known, scores: most_probable(model, known, scores, k, least))
        return list(chain.from_iterable(parts))

    def score(self, documents: Any, labels: Any) -> float:
        """Return the share of documents whose most probable label is right: among theirs, if they have several.

        It is the accuracy of :meth:`test`: documents without a label are left out, and labels that the classifier does
        not know count as mistakes.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens
        labels
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
        items, found, _ = read_labelled(documents, labels)
        matrix = aligned(found, self.classes_)
        if not matrix.nnz:
            raise ValueError("no document has a label that the classifier knows")
        best = np.concatenate(list(self._answers(items, lambda known, scores: scores.argmax(axis=1))))
        hits = np.asarray(matrix[np.arange(len(items)), best]).ravel() > 0
        return float(hits.mean())

    def test(self, documents: Any, labels: Any = None, k: int = 1) -> Evaluation:
        """Return how good the predictions of labelled documents are.

        Parameters
        ----------
        documents, labels
            As for :meth:`fit`: documents with labels, or files that have both.
        k : int
            Of P@k and R@k.

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
        k = check_integer("k", k, low=1)
        model, options = self._fitted(), self._options()
        if labels is None and names_files(documents):
            corpus = LabelledFiles(documents, model.features.reading, options.label_prefix)
            items: Any = list(corpus.sequences(Ledger()))
            found = labels_of_lines(corpus.labels)
        else:
            items, found, _ = read_labelled(documents, labels)
        return evaluation(model, found, self._answers(items, lambda known, scores: (known, scores), warn=False), k)

    def explain(self, document: Any, labels: Any = None, k: int = 3) -> Explanation:
        """Return each feature's share of the scores of a document: they add up to them, since the model is linear.

        Parameters
        ----------
        document : str or list of tokens
        labels : list of labels, optional
            By default the k most probable ones.
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
        >>> model.explain("a c a").labels
        ['x', 'y']
        """
        k = check_integer("k", k, low=1)
        model = self._fitted()
        bag = model.features.bags([document], Pool(1))
        return explain(model, bag, labels, k)

    def _answers(self, documents: Any, answer: Callable[[Any, Any], T], *, warn: bool = True) -> Iterator[T]:
        """Yield what `answer` makes of the numbers of known features and the scores of documents, some at a time."""
        model, items, unknown = self._fitted(), check_documents(documents), 0
        for known, found in answers(model, items, Pool(check_threads(self.threads)), answer):
            unknown += int((known == 0).sum())
            yield found
        if unknown and warn:
            warn_user(
                f"{unknown:,} of {len(items):,} documents have no known feature: the answer is the labels' shares"
            )

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str], *, rows: str = "float32") -> None:
        """Write the classifier as a safetensors file.

        Parameters
        ----------
        path : path-like
            Ends with .safetensors, or has no suffix.
        rows : {"float32", "float16", "int8"}
            How the rows of E are written: int8 with a factor per row.

        Raises
        ------
        AttributeError
            Before a fit.
        OSError
            If the file cannot be written; an old file then stays as it was.
        ValueError
            If `rows` or the name of the file is not as above, or float16 cannot hold a number of E.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Classifier().fit(["a b", "c d"], ["x", "y"]).save(f"{folder}/m.safetensors", rows="int8")
        ...     Classifier.load(f"{folder}/m.safetensors").predict(["c"]).tolist()
        ['y']
        """
        write_classifier(path, self._options(), self._fitted(), rows)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read what :meth:`save` wrote. The rows of E stay in the file, which is mapped.

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
        settings, model = read_classifier(path)
        found = cls(**settings, threads=threads)
        found._options()
        found._model = model
        return found

    # ---------------------------------------------------------------- the conventions of an estimator

    def _options(self) -> ClassifierOptions:
        return ClassifierOptions(**self.get_params())

    def _fitted(self) -> FittedClassifier:
        if self._model is None:
            raise AttributeError("this Classifier has learned nothing yet: call fit, or Classifier.load")
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        if self._model is None:
            return dict(vars(self))
        return vars(self) | {"_model": self._model.parts()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if (parts := state.get("_model")) is not None:
            self._model = FittedClassifier.of_parts(parts)

    def __repr__(self) -> str:
        return estimator.constructor_call(self)

    def __sklearn_is_fitted__(self) -> bool:
        return self._model is not None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False, string=True),
        )
