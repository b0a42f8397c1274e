"""`FittedClassifier`: the fitted state of a classifier, its answers for documents, and its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed._base.arrays import Float32, largest_of_rows
from fastembed._base.threads import SingleThreadedBlas, ordered_map
from fastembed._base.validation import plain
from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration, label_probabilities
from fastembed.classifier.features import END, Bags, CharacterGrams, Features, Grams
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.formats import tensors as files
from fastembed.formats.registry import check_model_name
from fastembed.formats.table import PathLike
from fastembed.vocabulary import Vocabulary

T = TypeVar("T")
Array = npt.NDArray[Any]

PIECE_SCORES = 1 << 20  # largest number of scores per task, 4 MiB: it limits memory where labels are many
STATE = ("several", "indicator", "documents", "history")  # attributes that a file holds unchanged
ANSWERED_DOCUMENTS = 1 << 11  # largest number of documents per task: smaller tasks divide better among threads

_gather = kernels_for("float32").bag_gather


@dataclass(frozen=True)
class FittedClassifier:
    """The fitted state of a classifier.

    Attributes
    ----------
    features : Features
    classes : ndarray (L,)
    several : bool
        Whether documents may have several labels.
    calibration : Calibration or None
        Makes logits of scores; None with the loss "softmax", whose scores are logits.
    documents : int
        The number of training documents.
    label_counts : ndarray of int64 (L,)
        The number of documents with each label.
    embedding : ndarray of float32 (F, D)
        The rows E of the features; may be memory-mapped.
    linear : ndarray of float32 (D, L) or None
        W; with None, D is L, and W is the identity.
    bias : ndarray of float32 (L,)
    prior : ndarray of float32 (L,)
        The logits of a document without a known feature, whose probabilities are the shares of the labels.
    history : list of dict
    ledger : Ledger
    indicator : bool
        Whether labels are the columns of an indicator matrix, in training and in predictions.
    settings : dict
        The parameters of the `Classifier` by name, without the number of threads.
    """

    features: Features
    classes: Array
    several: bool
    calibration: Calibration | None
    documents: int
    label_counts: npt.NDArray[np.int64]
    embedding: Array
    linear: Array | None
    bias: Array
    prior: Array
    history: list[dict[str, float]]
    ledger: Ledger
    indicator: bool
    settings: dict[str, Any]

    @property
    def independent(self) -> bool:
        """Whether the probabilities of labels are independent; otherwise they sum to 1."""
        return self.calibration is not None and self.several

    def scores(self, bags: Bags) -> Float32:
        """Return the scores h + b, or h @ linear + b, (N, L) of bags (N, F)."""
        indptr, indices, data = bags
        documents = len(indptr) - 1
        if not len(indices):
            return np.tile(self.bias, (documents, 1))
        h = np.empty((documents, self.embedding.shape[1]), np.float32)
        _gather(self.embedding, indptr, indices, data.astype(np.float32), np.arange(documents), 0, documents, h)
        scores: Float32 = (h if self.linear is None else h @ self.linear) + self.bias
        return scores

    def logits(self, scores: Array, known: Array) -> Array:
        """Return the logits for scores (N, L) of documents whose numbers of known features are `known` (N,).

        The label with the largest logit is the most probable.
        """
        logits = scores.copy() if self.calibration is None else self.calibration.logits(scores, self.prior)
        logits[known == 0] = self.prior
        return logits

    def probabilities(self, scores: Array, known: Array) -> Array:
        """Return the probabilities for scores (N, L) of documents whose numbers of known features are `known` (N,)."""
        return label_probabilities(self.logits(scores, known), self.independent)

    def answers(
        self, documents: Sequence[Any], threads: int, answer: Callable[[Float32, Array], T]
    ) -> Iterator[tuple[Array, T]]:
        """Yield the numbers of known features and an answer for consecutive parts of documents, found on threads.

        Parameters
        ----------
        answer : callable
            Function of the scores (n, L) and the numbers of known features (n,).
        """
        size = max(1, min(ANSWERED_DOCUMENTS, PIECE_SCORES // len(self.classes)))

        def part(first: int) -> tuple[Array, T]:
            bags = self.features.bags(documents[first : first + size], first)
            known = np.diff(bags[0])
            return known, answer(self.scores(bags), known)

        with nullcontext() if self.linear is None else SingleThreadedBlas():  # fixed order of addition
            if len(documents) <= size:
                yield part(0)
            else:
                self.features.bags(documents[:1])  # builds the tables that the threads share
                yield from ordered_map(part, range(0, len(documents), size), threads)

    def most_probable(self, scores: Float32, known: Array, k: int, least: float) -> list[list[tuple[Any, float]]]:
        """Return the k most probable labels of each document with probabilities of at least `least`."""
        logits = self.logits(scores, known)
        best = largest_of_rows(logits, k)
        p = np.take_along_axis(label_probabilities(logits, self.independent), best, axis=1)
        sizes = np.count_nonzero(p >= least, axis=1).tolist()
        # All pairs are in one list first: a list or iterator per document would add objects for the garbage collector
        pairs = list(zip(self.classes[best.ravel()].tolist(), p.ravel().tolist(), strict=True))
        firsts = range(0, len(pairs), best.shape[1])
        return [pairs[first : first + size] for first, size in zip(firsts, sizes, strict=True)]

    # ---------------------------------------------------------------- file

    def save(self, path: PathLike) -> None:
        """Write the fitted state."""
        check_model_name(path)
        features, calibration = self.features, self.calibration
        tensors: dict[str, Array] = {
            "rows": self.embedding,
            "bias": self.bias,
            "prior": self.prior,
            "weights": features.weights,
            "words.counts": features.words.counts,
            "label_counts": self.label_counts,
            **files.pack_tokens(features.words.tokens),
            **files.pack_names(self.classes, "labels"),
        }
        if self.linear is not None:
            tensors["linear"] = self.linear
        for number, grams in enumerate(features.grams, 2):
            tensors[f"ngrams{number}.pairs"] = np.stack([grams.left, grams.right])
            tensors[f"ngrams{number}.counts"] = grams.counts
        if features.characters is not None:
            tensors |= files.pack_tokens(features.characters.tokens, "characters.tokens")
            tensors["characters.counts"] = features.characters.counts
        settings = self.settings | {"reading": self.settings["reading"] and _record(self.settings["reading"])}
        if isinstance(settings["class_weight"], Mapping):  # as pairs: JSON would turn integer keys into strings
            settings["class_weight"] = list(settings["class_weight"].items())
        state = {name: getattr(self, name) for name in STATE} | {
            "calibration": calibration and [calibration.slope, calibration.bend, calibration.third],
            "weighting": features.weighting,
            "ledger": self.ledger,
            "reading": _record(features.reading),
            "orders": len(features.grams),
            "lengths": None if features.characters is None else features.characters.lengths,
        }
        text = json.dumps(plain(state), ensure_ascii=False)
        files.write_tensors(path, tensors, files.header("classifier", plain(settings)) | {"model": text})

    @staticmethod
    def load(path: PathLike) -> FittedClassifier:
        """Return the model of a file, whose settings are not checked.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it does not hold a classifier, or is damaged.
        """
        with files.parts_of(path, "classifier", "a classifier that fits") as (tensors, settings, metadata):
            if isinstance(settings["class_weight"], list):
                settings["class_weight"] = dict(settings["class_weight"])
            settings["reading"] = None if settings["reading"] is None else Reading.from_record(settings["reading"])
            settings["chars"] = settings["chars"] and tuple(settings["chars"])
            return _load_model(tensors, settings, json.loads(metadata["model"]))


def _record(reading: Reading) -> dict[str, Any]:
    """Return the record of a reading, including its handling of invalid UTF-8."""
    return reading.record() | ({} if reading.errors == "strict" else {"errors": reading.errors})


def _load_model(tensors: Mapping[str, Array], settings: dict[str, Any], state: Mapping[str, Any]) -> FittedClassifier:
    features = _load_features(tensors, state, settings["label_prefix"])
    classes = files.unpack_names(tensors, "labels")
    linear = np.array(tensors["linear"]) if "linear" in tensors else None
    shape = features.offsets[-1], len(classes) if linear is None else len(linear)
    if tensors["rows"].shape != shape or features.weights.shape != shape[:1]:  # kernels index both by features
        raise ValueError(f"rows of shape {tensors['rows'].shape} and {len(features)} weights, where {shape} fits")
    return FittedClassifier(
        features=features,
        classes=classes,
        calibration=state["calibration"] and Calibration(state["several"], *state["calibration"]),
        label_counts=np.array(tensors["label_counts"]),
        embedding=tensors["rows"],
        linear=linear,
        bias=np.array(tensors["bias"]),
        prior=np.array(tensors["prior"]),
        ledger=Ledger(**state["ledger"]),
        settings=settings,
        **{name: state[name] for name in STATE},
    )


def _load_features(tensors: Mapping[str, Array], state: Mapping[str, Any], label_prefix: str) -> Features:
    words = Vocabulary(files.unpack_tokens(tensors), tensors["words.counts"])
    grams, before = [], len(words)
    for n in range(2, state["orders"] + 2):
        name = f"ngrams{n}.pairs"
        left, right = np.array(tensors[name])
        for side, least, most in ((left, END if n == 2 else 0, before), (right, END, len(words))):
            if side.size and not least <= side.min() <= side.max() < most:
                raise ValueError(f"{name!r} must be numbers from {least} to {most - 1}")
        grams.append(Grams(left, right, np.array(tensors[f"ngrams{n}.counts"])))
        before = len(left)
    characters = None
    if state["lengths"] is not None:
        names = tuple(files.unpack_tokens(tensors, "characters.tokens"))
        counts = np.array(tensors["characters.counts"])
        characters = CharacterGrams(tuple(state["lengths"]), names, counts)
    reading = Reading.from_record(state["reading"])
    weights, weighting = np.array(tensors["weights"]), state["weighting"]
    return Features(words, grams, characters, weights, reading, weighting, label_prefix)
