"""The file of a classifier: safetensors, with memory-mapped rows of E."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_finite, check_flag, check_integer, check_number, plain, shown
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.characters import CharacterGrams
from fastembed.classifier.compression import compressed, row_tensors, rows_of_tensors
from fastembed.classifier.features import Features, Grams
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.likelihood import Likelihood
from fastembed.classifier.options import MOST_WORDS, ClassifierOptions, checked_lengths
from fastembed.corpus.ledger import Ledger, as_ledger
from fastembed.corpus.reading import Reading
from fastembed.formats.registry import FORMATS
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.vocabulary import Vocabulary


def write_classifier(
    path: str | os.PathLike[str], options: ClassifierOptions, model: FittedClassifier, rows: str
) -> None:
    """Write a classifier, with the rows of E in a given dtype."""
    if Path(path).suffix.lower() not in FORMATS["safetensors"].suffixes:
        raise ValueError(f"a classifier is a .safetensors file, got {str(path)!r}")
    model = compressed(model, rows)
    features = model.features
    tensors = {
        **row_tensors(model),
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
        tensors |= {
            f"ngrams{number}.pairs": np.stack([grams.left, grams.right]),
            f"ngrams{number}.counts": grams.counts,
        }
    if features.characters is not None:
        packed = pack_tokens(features.characters.tokens)
        tensors |= {f"characters.{name}": tensor for name, tensor in packed.items()}
        tensors["characters.counts"] = features.characters.counts
    if model.classes.dtype.kind == "i":
        tensors["labels"] = model.classes
    else:
        tensors |= {f"labels.{name}": tensor for name, tensor in pack_tokens(model.classes.tolist()).items()}
    settings = {
        name: value for name, value in vars(options).items() if name not in ("threads", "reading", "pretrained")
    }
    settings["reading"] = options.reading and _record(options.reading)
    if isinstance(options.class_weight, Mapping):
        settings["class_weight"] = list(options.class_weight.items())  # JSON would turn integer keys into strings
    state = {
        "several": model.likelihood.several,
        "documents": model.documents,
        "calibration": [model.calibration.slope, model.calibration.offset],
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


def read_classifier(path: str | os.PathLike[str]) -> tuple[dict[str, Any], FittedClassifier]:
    """Return the parameters and the model of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a classifier, or is damaged.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "classifier", path)
    try:
        if isinstance(settings["class_weight"], list):
            settings["class_weight"] = dict(settings["class_weight"])
        state = json.loads(metadata["model"])
        settings["reading"] = None if settings["reading"] is None else Reading.from_record(settings["reading"])
        settings["chars"] = settings["chars"] and tuple(settings["chars"])
        ClassifierOptions(**settings, threads=None, pretrained=None)
        model = _model(tensors, state, settings["loss"], path)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a classifier that fits together: {what}") from error
    return settings, model


def _model(
    tensors: Mapping[str, Any], state: Mapping[str, Any], loss: str, path: str | os.PathLike[str]
) -> FittedClassifier:
    """Check all dtypes, shapes and ranges, and return the model."""
    features, classes = _features(tensors, state, path), _classes(tensors, path)
    labels = len(classes)
    dim = len(tensors["linear"]) if "linear" in tensors else labels
    embedding, scales = rows_of_tensors(tensors, len(features), dim)
    for name, array in (("rows", embedding), ("scales", scales)):
        if array is not None and array.dtype.kind == "f":
            check_finite(name, array)
    return FittedClassifier(
        features=features,
        classes=classes,
        likelihood=Likelihood(loss, check_flag("several", state["several"])),
        documents=check_integer("documents", state["documents"], low=1),
        label_counts=_counts(tensors, "label_counts", labels),
        embedding=embedding,
        scales=scales,
        linear=np.array(_tensor(tensors, "linear", np.float32, (dim, labels))) if "linear" in tensors else None,
        bias=np.array(_tensor(tensors, "bias", np.float32, (labels,))),
        calibration=_calibration(loss, state["calibration"]),
        prior=np.array(_tensor(tensors, "prior", np.float32, (labels,))),
        history=_history(state["history"]),
        ledger=as_ledger(state["ledger"]) or Ledger(),
    )


def _tensor(tensors: Mapping[str, Any], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a tensor; raise ValueError unless it has this dtype and shape and is finite."""
    found: npt.NDArray[Any] = tensors[name]
    if found.dtype != dtype or found.shape != shape:
        raise ValueError(
            f"{name!r} must have shape {shape} and dtype {np.dtype(dtype)}, got {found.shape} and {found.dtype}"
        )
    if found.dtype.kind == "f":
        check_finite(name, found)
    return found


def _counts(tensors: Mapping[str, Any], name: str, size: int) -> npt.NDArray[np.int64]:
    found = np.array(_tensor(tensors, name, np.int64, (size,)))
    if found.min(initial=0) < 0:
        raise ValueError(f"{name!r} must not be negative, got {found.min()}")
    return found


def _calibration(loss: str, numbers: Any) -> Calibration:
    slope, offset = numbers
    low = -float(np.finfo(np.float32).max)
    return Calibration(loss, check_number("slope", slope, above=True), check_number("offset", offset, low=low))


def _history(records: Any) -> list[dict[str, float]]:
    if not isinstance(records, list) or not all(
        isinstance(record, dict) and all(isinstance(value, int | float) for value in record.values())
        for record in records
    ):
        raise TypeError(f"history must be a list of records of numbers, got {shown(records)}")
    return records


def _features(tensors: Mapping[str, Any], state: Mapping[str, Any], path: str | os.PathLike[str]) -> Features:
    tokens = unpack_tokens(tensors, path)
    words = Vocabulary(tokens, _counts(tensors, "words.counts", len(tokens)))
    grams, before = [], len(words)
    for n in range(2, check_integer("orders", state["orders"], low=0, high=MOST_WORDS - 1) + 2):
        name = f"ngrams{n}.pairs"
        size = tensors[name].shape[-1] if tensors[name].ndim else 0
        left, right = np.array(_tensor(tensors, name, np.int32, (2, size)))
        for side, most in ((left, before), (right, len(words))):
            if side.size and not 0 <= side.min() <= side.max() < most:
                raise ValueError(f"{name!r} must be numbers from 0 to {most - 1}")
        grams.append(Grams(left, right, _counts(tensors, f"ngrams{n}.counts", size)).indexed())
        before = size
    characters = None
    if (lengths := checked_lengths(state["lengths"])) is not None:
        names = tuple(unpack_tokens(_under("characters.", tensors), path))
        characters = CharacterGrams(lengths, names, _counts(tensors, "characters.counts", len(names)))
    size = len(words) + sum(map(len, grams)) + (0 if characters is None else len(characters))
    weights = np.array(_tensor(tensors, "weights", np.float64, (size,)))
    return Features(words, grams, characters, weights, Reading.from_record(state["reading"]))


def _classes(tensors: Mapping[str, Any], path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    if "labels" in tensors:
        found = np.array(_tensor(tensors, "labels", np.int64, (tensors["labels"].size,)))
    else:
        found = np.array(unpack_tokens(_under("labels.", tensors), path), object)
    names = found.tolist()
    if len(names) < 2 or names != sorted(set(names)):
        raise ValueError("the labels must be at least two, different, and in order")
    return found


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
