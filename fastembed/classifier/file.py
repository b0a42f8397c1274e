"""The file of a classifier: safetensors, with memory-mapped rows of E."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_choice, check_flag, check_integer, check_number, plain
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.features import END, CharacterGrams, Features, Grams
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import WEIGHTINGS
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.formats.registry import FORMATS
from fastembed.formats.tensors import header, pack_tokens, parts_of, unpack_tokens, write_tensors
from fastembed.vocabulary import Vocabulary

Array = npt.NDArray[Any]
FilePath = str | os.PathLike[str]


def write_classifier(path: FilePath, parameters: dict[str, Any], model: FittedClassifier) -> None:
    """Write the parameters of a classifier and its model."""
    if Path(path).suffix.lower() not in FORMATS["safetensors"].suffixes:
        raise ValueError(f"a classifier is a .safetensors file, got {str(path)!r}")
    features, calibration = model.features, model.calibration
    tensors: dict[str, Array] = {
        "rows": model.embedding,
        "bias": model.bias,
        "prior": model.prior,
        "weights": features.weights,
        "words.counts": features.words.counts,
        "label_counts": model.label_counts,
        **pack_tokens(features.words.tokens),
    }
    if model.linear is not None:
        tensors["linear"] = model.linear
    for number, grams in enumerate(features.grams, 2):
        tensors[f"ngrams{number}.pairs"] = np.stack([grams.left, grams.right])
        tensors[f"ngrams{number}.counts"] = grams.counts
    if features.characters is not None:
        tensors |= pack_tokens(features.characters.tokens, "characters.tokens")
        tensors["characters.counts"] = features.characters.counts
    if model.classes.dtype.kind == "i":
        tensors["labels"] = model.classes
    else:
        tensors |= pack_tokens(model.classes.tolist(), "labels.tokens")
    settings = {name: value for name, value in parameters.items() if name != "threads"}
    settings["reading"] = settings["reading"] and _record(settings["reading"])
    if isinstance(settings["class_weight"], Mapping):
        settings["class_weight"] = list(settings["class_weight"].items())  # JSON would turn integer keys into strings
    state = {
        "several": model.several,
        "indicator": model.indicator,
        "documents": model.documents,
        "calibration": calibration and [calibration.slope, calibration.bend, calibration.third],
        "weighting": features.weighting,
        "history": model.history,
        "ledger": model.ledger,
        "reading": _record(features.reading),
        "orders": len(features.grams),
        "lengths": None if features.characters is None else features.characters.lengths,
    }
    text = json.dumps(plain(state), ensure_ascii=False)
    write_tensors(path, tensors, header("classifier", plain(settings)) | {"model": text})


def _record(reading: Reading) -> dict[str, Any]:
    """Return the record of a reading, including its handling of invalid UTF-8."""
    return reading.record() | ({} if reading.errors == "strict" else {"errors": reading.errors})


def read_classifier(path: FilePath) -> tuple[dict[str, Any], FittedClassifier]:
    """Return the parameters, unchecked, and the model of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a classifier, or is damaged.
    """
    with parts_of(path, "classifier", "a classifier that fits") as (tensors, settings, metadata):
        if isinstance(settings["class_weight"], list):
            settings["class_weight"] = dict(settings["class_weight"])
        settings["reading"] = None if settings["reading"] is None else Reading.from_record(settings["reading"])
        settings["chars"] = settings["chars"] and tuple(settings["chars"])
        return settings, _model(tensors, json.loads(metadata["model"]))


def _model(tensors: Mapping[str, Array], state: Mapping[str, Any]) -> FittedClassifier:
    features = _features(tensors, state)
    integers = "labels" in tensors
    classes = np.array(tensors["labels"]) if integers else np.array(unpack_tokens(tensors, "labels.tokens"), object)
    linear = np.array(tensors["linear"]) if "linear" in tensors else None
    shape = features.starts[-1], len(classes) if linear is None else len(linear)
    if tensors["rows"].shape != shape or features.weights.shape != shape[:1]:  # kernels index both by features
        raise ValueError(f"rows of shape {tensors['rows'].shape} and {len(features)} weights, where {shape} fits")
    several, calibration = check_flag("several", state["several"]), None
    if state["calibration"] is not None:
        slope, bend, third = state["calibration"]
        slope, bend = (check_number("calibration", each, above=True) for each in (slope, bend))
        calibration = Calibration(several, slope, bend, check_number("calibration", third, low=-1e30))
    return FittedClassifier(
        features=features,
        classes=classes,
        several=several,
        calibration=calibration,
        documents=check_integer("documents", state["documents"], low=1),
        label_counts=np.array(tensors["label_counts"]),
        embedding=tensors["rows"],
        linear=linear,
        bias=np.array(tensors["bias"]),
        prior=np.array(tensors["prior"]),
        history=state["history"],
        ledger=Ledger(**state["ledger"]),
        indicator=check_flag("indicator", state["indicator"]),
    )


def _features(tensors: Mapping[str, Array], state: Mapping[str, Any]) -> Features:
    words = Vocabulary(unpack_tokens(tensors), tensors["words.counts"])
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
        names = tuple(unpack_tokens(tensors, "characters.tokens"))
        counts = np.array(tensors["characters.counts"])
        characters = CharacterGrams(tuple(state["lengths"]), names, counts)
    check_choice("weighting", state["weighting"], WEIGHTINGS)
    reading = Reading.from_record(state["reading"])
    return Features(words, grams, characters, np.array(tensors["weights"]), reading, state["weighting"])
