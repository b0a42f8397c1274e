"""`Classifier`: documents in, labels out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base import estimator
from fastembed._base.pickling import pickled_as
from fastembed._base.ranking import largest
from fastembed._base.threads import Pool, check_threads
from fastembed._base.validation import check_callback, check_integer, check_number
from fastembed._kernels import features as kernels
from fastembed._kernels.cpu import DefaultFloatMode
from fastembed.classifier.documents import DocumentLines, LabelledFiles, check_documents
from fastembed.classifier.explanation import Explanation, explain
from fastembed.classifier.feature_counting import read_features
from fastembed.classifier.features import Features
from fastembed.classifier.file import read_classifier, write_classifier
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.labels import (
    Labels,
    aligned,
    labels_of_lines,
    read_labelled,
    shares,
)
from fastembed.classifier.metrics import Evaluation, evaluation
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.training import idf, start, train
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading

PIECE_LOGITS = 1 << 22  # numbers in memory at a time for each thread
MOST_PIECE = 1 << 13  # documents


@pickled_as("Classifier")
class Classifier:
    """Labels of documents, by the exact softmax over a weighted bag of words and n-grams.

    A document is the sum h of the rows of E of its features, each with its TF-IDF weight, scaled to unit length; the
    probabilities of the labels are softmax(h @ W + b), where b is the logarithm of each label's share. A document with
    several labels is trained with the same share for each. The result has the same bits on any number of threads.

    Parameters
    ----------
    dim : int or None
        Dimension of the rows of E. With no more labels than that, or with None, W is the identity, and E has a row of
        logits per feature: multinomial logistic regression.
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
    epochs : int
        How often each document is visited.
    learning_rate : float
        Of gradient descent on the rows of E, which falls linearly to a tenth.
    l2 : float
        At the end of each epoch E is multiplied by exp(-l2).
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
        dim: int | None = 200,
        ngrams: int = 2,
        chars: tuple[int, int] | None = None,
        weighting: str = "tfidf",
        min_count: int = 1,
        max_features: int | None = None,
        epochs: int = 5,
        learning_rate: float = 3.0,
        l2: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        seed: int = 0,
        threads: int | None = None,
        reading: Reading | None = None,
        label_prefix: str = "__label__",
    ) -> None:
        self.dim = dim
        self.ngrams = ngrams
        self.chars = chars
        self.weighting = weighting
        self.min_count = min_count
        self.max_features = max_features
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.l2 = l2
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.seed = seed
        self.threads = threads
        self.reading = reading
        self.label_prefix = label_prefix

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
        *,
        on_epoch_end: Callable[[dict[str, float]], object] | None = None,
    ) -> Self:
        """Learn from documents and their labels.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens; or path-like, without `labels`
            A path names files in fastText's form: a document per line, in which the tokens that begin with
            `label_prefix` are its labels. They are read twice.
        labels : array_like of str or int (N,), or list of lists of these
            One label per document, or several. Documents without a label are left out, and counted in
            ``ledger.skipped``.
        on_epoch_end : callable, optional
            Called with the record of each epoch; training ends early if it returns True.

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter, a document or a label is not as above, there are fewer than two different labels, or no
            feature is left.
        OSError
            If a file cannot be read.
        TrainingDivergedError
            If the loss is no longer finite, because the learning rate is too large. A classifier that was fitted before
            stays as it was.

        Examples
        --------
        >>> Classifier().fit(["a b", "c d"], [[1, 2], [3]]).classes_.tolist()
        [1, 2, 3]
        """
        check_callback("on_epoch_end", on_epoch_end)
        options = self._options()
        pool, ledger = Pool(check_threads(options.threads)), Ledger()
        corpus: DocumentLines | LabelledFiles
        if labels is None and _names_files(documents):
            corpus = LabelledFiles(documents, options.reader, options.label_prefix)
            features, counts = read_features(corpus, options, ledger, None, pool)
            found, skipped = labels_of_lines(corpus.labels), corpus.unlabelled
        else:
            items, found, skipped = read_labelled(documents, labels)
            if not items and not skipped:
                raise ValueError("there are no documents to learn from: 0 samples, while a minimum of 1 is required")
            corpus = DocumentLines(items, options.reader)
            _check_classes(found)
            features, counts = read_features(corpus, options, ledger, None, pool)
        _check_classes(found)
        targets = shares(found.matrix)
        if skipped:
            ledger.skipped["without a label"] = skipped
        self._model = self._learn(features, counts, found, targets, options, pool, ledger, on_epoch_end)
        return self

    def _learn(
        self,
        features: Any,
        counts: Any,
        labels: Labels,
        targets: Any,
        options: ClassifierOptions,
        pool: Pool,
        ledger: Ledger,
        on_epoch_end: Callable[[dict[str, float]], object] | None,
    ) -> FittedClassifier:
        if options.weighting == "tfidf":
            features = replace(features, weights=idf(counts))
        bags = counts
        kernels.unit_rows(
            bags.indptr.astype(np.int64), bags.indices.astype(np.int32, copy=False), bags.data, features.weights
        )
        validation = None
        if options.early_stopping:
            held = np.random.default_rng(options.seed).random(bags.shape[0]) < options.validation_fraction
            if not targets[held].nnz or not targets[~held].nnz:
                raise ValueError(
                    f"validation_fraction={options.validation_fraction} of {bags.shape[0]} documents is none"
                )
            validation = (bags[held], targets[held])
            bags, targets = bags[~held], targets[~held]
        trainer = start(features, bags, targets, options, pool)
        history = train(trainer, bags, targets, options, validation, on_epoch_end or (lambda record: None))
        full = trainer.linear.shape[0] == trainer.linear.shape[1]
        assert trainer.bias is not None
        return FittedClassifier(
            features=features,
            classes=labels.classes,
            several=labels.several,
            label_counts=np.bincount(labels.matrix.indices, minlength=len(labels.classes)),
            embedding=trainer.embedding,
            scales=None,
            linear=None if full else np.ascontiguousarray(trainer.linear),
            bias=trainer.bias,
            history=history,
            ledger=ledger,
        )

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
        """The records of the epochs: as `Trainer.fit_counts` returns them."""
        return self._fitted().history

    @property
    def ledger_(self) -> Ledger:
        """What was read, used and dropped; a line is a document."""
        return self._fitted().ledger

    # ---------------------------------------------------------------- prediction

    def decision_function(self, documents: Any) -> NDArray[np.float32]:
        """Return the logits.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens

        Returns
        -------
        ndarray of float32 (N, L), or (N,) with two labels
            In the order of `classes_`. With two labels: the logit of the second less that of the first.

        Raises
        ------
        AttributeError
            Before a fit.
        TypeError, ValueError
            If a document is not as above.

        Warns
        -----
        UserWarning
            If documents have no known feature. Their logits are b.

        Examples
        --------
        >>> model = Classifier().fit(["a b", "c d", "e"], ["x", "y", "z"])
        >>> model.decision_function(["a", "d"]).shape
        (2, 3)
        """
        parts = [logits for _, logits in self._pieces(documents)]
        logits = np.concatenate(parts) if parts else np.empty((0, len(self.classes_)), np.float32)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, documents: Any) -> NDArray[np.float32]:
        """Return the probabilities of the labels.

        Parameters
        ----------
        documents : iterable of str or of lists of tokens

        Returns
        -------
        ndarray of float32 (N, L)
            In the order of `classes_`; each row sums to 1.

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
        parts = [model.probabilities(logits) for _, logits in self._pieces(documents)]
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
        parts = [logits.argmax(axis=1) for _, logits in self._pieces(documents)]
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
        model, found = self._fitted(), []
        labels = model.classes.tolist()
        for _, logits in self._pieces(documents):
            for p in model.probabilities(logits):
                best = largest(p, k).tolist()
                found.append([(labels[c], float(p[c])) for c in best if p[c] >= least])
        return found

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
        best = np.concatenate([logits.argmax(axis=1) for _, logits in self._pieces(items)])
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
        if labels is None and _names_files(documents):
            corpus = LabelledFiles(documents, model.features.reading, options.label_prefix)
            items: Any = list(corpus.sequences(Ledger()))
            found = labels_of_lines(corpus.labels)
        else:
            items, found, _ = read_labelled(documents, labels)
        pieces = ((np.diff(bags.indptr), logits) for bags, logits in self._pieces(items, warn=False))
        return evaluation(model.classes, found, pieces, k)

    def explain(self, document: Any, labels: Any = None, k: int = 3) -> Explanation:
        """Return each feature's share of the logits of a document: they add up to them, since the model is linear.

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

    def _pieces(self, documents: Any, *, warn: bool = True) -> Iterator[tuple[Any, NDArray[np.float32]]]:
        """Yield the bags and the logits of documents, in parts that are computed at the same time."""
        model, items = self._fitted(), check_documents(documents)
        pool = Pool(check_threads(self.threads))
        size = max(1, min(MOST_PIECE, PIECE_LOGITS // len(model.classes)))
        cuts, unknown = range(0, len(items), size), 0
        for group in range(0, len(cuts), pool.threads):
            firsts = cuts[group : group + pool.threads]
            found: list[Any] = [None] * len(firsts)

            def make(j: int, firsts: Any = firsts, found: list[Any] = found) -> None:
                bags = model.features.bags(items[firsts[j] : firsts[j] + size], Pool(1), firsts[j])
                found[j] = bags, model.logits(bags)

            with DefaultFloatMode():
                pool.run(make, len(firsts))
            for bags, logits in found:
                unknown += int((np.diff(bags.indptr) == 0).sum())
                yield bags, logits
        if unknown and warn:
            warnings.warn(
                f"{unknown:,} of {len(items):,} documents have no known feature: the answer is the labels' shares",
                stacklevel=3,
            )

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str], *, rows: str = "float32") -> None:
        """Write the classifier as a safetensors file.

        Parameters
        ----------
        path : path-like
            Ends with .safetensors.
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

    # ---------------------------------------------------------------- the manners of an estimator

    def _options(self) -> ClassifierOptions:
        return ClassifierOptions(**self.get_params())

    def _fitted(self) -> FittedClassifier:
        if self._model is None:
            raise AttributeError("this Classifier has learned nothing yet: call fit, or Classifier.load")
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        if self._model is None:
            return dict(vars(self))
        return vars(self) | {"_model": vars(self._model) | {"features": self._model.features.parts()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if (parts := state.get("_model")) is not None:
            self._model = FittedClassifier(**parts | {"features": Features.of_parts(parts["features"])})

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


def _names_files(documents: Any) -> bool:
    if isinstance(documents, str | os.PathLike):
        return True
    return (
        isinstance(documents, list | tuple) and bool(documents) and all(isinstance(d, os.PathLike) for d in documents)
    )


def _check_classes(labels: Labels) -> None:
    if len(labels.classes) < 2:
        what = f"only the class {labels.classes[0]!r}" if len(labels.classes) else "no label"
        raise ValueError(f"a classifier needs documents of at least two labels, got {what}")
