"""Growth of a classifier by new features and labels, whose initial weights are pretrained or zero."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed.classifier.calibration import Calibration
from fastembed.classifier.characters import CharacterGrams
from fastembed.classifier.examples import Examples
from fastembed.classifier.features import Features, Grams
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.labels import Labels
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.pretrained import word_rows

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grown:
    """The state of a classifier, extended to old and new features and labels.

    Attributes
    ----------
    features : Features
    labels : Labels
        The labels of the new documents, over all labels.
    embedding : ndarray of float32 (F, D)
    linear : ndarray of float32 (D, L) or None
    documents : int
        The number of previous documents.
    label_counts : ndarray of int64 (L,)
        The number of previous documents with each label.
    shares : ndarray of float64 (L,)
        The share of each label in the previous documents.
    calibration : Calibration
    """

    features: Features
    labels: Labels
    embedding: Float32
    linear: Float32 | None
    documents: int
    label_counts: Int64
    shares: npt.NDArray[np.float64]
    calibration: Calibration

    @classmethod
    def of(cls, known: FittedClassifier, examples: Examples, options: ClassifierOptions) -> Grown:
        """Return the state of a fitted classifier, extended by the features and labels of examples.

        Raises
        ------
        TypeError
            If labels are int and were str, or vice versa.
        ValueError
            If the loss, the dimension or the definition of features has changed.
        """
        _check_alike(known, examples, options)
        features, old, new = grown_features(known.features, examples.features)
        if options.weighting == "tfidf":
            count = known.documents + examples.counts.shape[0]
            frequencies = np.zeros(len(features))
            frequencies[new] = np.bincount(examples.counts.indices, minlength=len(new))
            weights = np.log((1 + count) / (1 + frequencies)) + 1
        else:
            weights = np.ones(len(features))
        weights[old] = known.features.weights
        features = replace(features, weights=weights)
        labels, places = _grown_labels(known, examples.labels)
        full = known.linear is None
        embedding = np.zeros((len(features), len(labels.classes) if full else known.embedding.shape[1]), np.float32)
        embedding[np.ix_(old, places) if full else old] = known.rows(np.arange(len(old)))
        if options.pretrained is not None:
            first, last = len(known.features.words), len(features.words)
            embedding[first:last] = word_rows(features.words.tokens[first:last], options.pretrained)
        linear = None
        if known.linear is not None:
            linear = np.zeros((known.linear.shape[0], len(labels.classes)), np.float32)
            linear[:, places] = known.linear
        counts, shares = np.zeros(len(labels.classes), np.int64), np.zeros(len(labels.classes))
        counts[places] = known.label_counts
        shares[places] = known.likelihood.probabilities(known.prior.astype(np.float64)[None])[0]
        return cls(features, labels, embedding, linear, known.documents, counts, shares, known.calibration)


def _check_alike(known: FittedClassifier, examples: Examples, options: ClassifierOptions) -> None:
    ours, theirs = known.features, examples.features
    lengths = [None if each.characters is None else each.characters.lengths for each in (ours, theirs)]
    if known.likelihood.loss != options.loss:
        raise ValueError(f"loss={options.loss!r}, but the classifier learned by {known.likelihood.loss!r}: call fit")
    if len(ours.grams) != len(theirs.grams) or lengths[0] != lengths[1] or ours.reading != theirs.reading:
        raise ValueError("ngrams, chars or reading are not those that the classifier learned with: call fit")
    dim = None if known.linear is None else len(known.linear)
    if options.pretrained is not None and dim != options.dim:
        raise ValueError(f"the pretrained vectors have dimension {options.dim}, the classifier dim={dim}: call fit")
    if dim is not None and dim != options.dim:  # with full rank, the dimension grows with the labels
        raise ValueError(f"dim={options.dim}, but the classifier learned with dim={dim}: call fit")
    if examples.labels.classes.dtype != known.classes.dtype:
        found, expected = examples.labels.classes.tolist()[0], known.classes.tolist()[0]
        raise TypeError(f"labels must be of the type of the classes, such as {expected!r}, got {found!r}")


def grown_features(old: Features, new: Features) -> tuple[Features, Int64, Int64]:
    """Return the old features followed by features that are only in the new ones, for each kind; all weights are 1.

    Returns
    -------
    features : Features
    old, new : ndarray of int64
        The number of each old and of each new feature in the result.
    """
    words = old.words.grown(new.words)
    places = [np.array([words[token] for token in new.words.tokens], np.int64)]
    grams = []
    for ours, theirs in zip(old.grams, new.grams, strict=True):
        left, right = places[-1][theirs.left].astype(np.int32), places[0][theirs.right].astype(np.int32)
        found = np.empty(len(theirs), np.int32)
        ours.index.find_all(left, right, 0, found)
        fresh = found < 0
        place = found.astype(np.int64)
        place[fresh] = len(ours) + np.arange(fresh.sum())
        pairs = ((ours.left, left), (ours.right, right), (ours.counts, theirs.counts))
        grams.append(Grams(*(np.concatenate([mine, others[fresh]]) for mine, others in pairs)))
        places.append(place)
    characters = None
    if old.characters is not None and new.characters is not None:
        characters, place = _grown_characters(old.characters, new.characters)
        places.append(place)
    size = len(words) + sum(map(len, grams)) + len(characters or ())
    features = Features(words, grams, characters, np.ones(size), old.reading)
    kept = [
        first + np.arange(end - begin)
        for first, (begin, end) in zip(features.starts, pairwise(old.starts), strict=False)
    ]
    numbers = [first + place for first, place in zip(features.starts, places, strict=False)]
    return features, np.concatenate(kept), np.concatenate(numbers)


def _grown_characters(ours: CharacterGrams, theirs: CharacterGrams) -> tuple[CharacterGrams, Int64]:
    known = {token: place for place, token in enumerate(ours.tokens)}
    fresh = [place for place, token in enumerate(theirs.tokens) if token not in known]
    for place in fresh:
        known[theirs.tokens[place]] = len(known)
    tokens = (*ours.tokens, *(theirs.tokens[place] for place in fresh))
    counts = np.concatenate([ours.counts, theirs.counts[fresh]])
    places = np.array([known[token] for token in theirs.tokens], np.int64)
    return CharacterGrams(ours.lengths, tokens, counts), places


def _grown_labels(known: FittedClassifier, labels: Labels) -> tuple[Labels, npt.NDArray[np.intp]]:
    """Return labels over all classes, and the indices of the known classes among these."""
    names = sorted({*known.classes.tolist(), *labels.classes.tolist()})
    place = {name: k for k, name in enumerate(names)}
    columns = np.array([place[name] for name in labels.classes.tolist()], np.int32)
    old: Any = labels.matrix
    shape = (old.shape[0], len(names))
    matrix = sparse.csr_array((old.data, columns[old.indices], old.indptr), shape=shape)
    matrix.sort_indices()
    classes = np.array(names, known.classes.dtype)
    places = np.array([place[name] for name in known.classes.tolist()], np.intp)
    return Labels(classes, matrix, labels.several or known.likelihood.several), places
