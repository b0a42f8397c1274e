"""The file of a classifier: safetensors, with memory-mapped rows of E."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.validation import check_finite, check_flag, check_integer, check_number, plain, shown
from fastembed.classifier.calibration import Calibration
from fastembed.classifier.features import MOST_WORDS, CharacterGrams, Features, Grams
from fastembed.classifier.model import MOST_NARROW, ROWS, FittedClassifier
from fastembed.corpus.ledger import Ledger, as_ledger
from fastembed.corpus.reading import Reading
from fastembed.formats.registry import FORMATS
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.ngrams import check_ngram_lengths
from fastembed.vocabulary import Vocabulary

Array = npt.NDArray[Any]
FilePath = str | os.PathLike[str]


def write_classifier(path: FilePath, parameters: dict[str, Any], model: FittedClassifier, rows: str) -> None:
    """Write the parameters of a classifier and its model, with the rows of E in a given dtype."""
    if Path(path).suffix.lower() not in FORMATS["safetensors"].suffixes:
        raise ValueError(f"a classifier is a .safetensors file, got {str(path)!r}")
    model = model.compressed(rows)
    features = model.features
    tensors: dict[str, Array] = {
        "bias": model.bias,
        "prior": model.prior,
        "weights": features.weights,
        "words.counts": features.words.counts,
        "label_counts": model.label_counts,
        **pack_tokens(features.words.tokens),
    }
    embedding: Any = model.embedding
    if isinstance(embedding, np.ndarray):
        tensors["rows"] = embedding
    else:
        tensors["rows.numbers"] = embedding.data
        tensors["rows.columns"] = embedding.indices.astype(np.uint16 if embedding.shape[1] <= MOST_NARROW else np.int32)
        tensors["rows.starts"] = embedding.indptr.astype(np.int64)
    if model.scales is not None:
        tensors["scales"] = model.scales
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
    settings = {name: value for name, value in parameters.items() if name not in ("threads", "pretrained")}
    settings["reading"] = settings["reading"] and _record(settings["reading"])
    if isinstance(settings["class_weight"], Mapping):
        settings["class_weight"] = list(settings["class_weight"].items())  # JSON would turn integer keys into strings
    state = {
        "several": model.calibration.several,
        "indicator": model.indicator,
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


@contextmanager
def fitting_together(path: FilePath) -> Iterator[None]:
    """Raise ValueError, which names the file, for what is wrong with its content."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a classifier that fits together: {what}") from error


def read_classifier(path: FilePath) -> tuple[dict[str, Any], FittedClassifier]:
    """Return the parameters, unchecked, and the model of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a classifier, or is damaged.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "classifier", path)
    with fitting_together(path):
        if isinstance(settings["class_weight"], list):
            settings["class_weight"] = dict(settings["class_weight"])
        settings["reading"] = None if settings["reading"] is None else Reading.from_record(settings["reading"])
        settings["chars"] = settings["chars"] and tuple(settings["chars"])
        return settings, _model(tensors, json.loads(metadata["model"]), settings["loss"], path)


def _model(tensors: Mapping[str, Array], state: Mapping[str, Any], loss: str, path: FilePath) -> FittedClassifier:
    """Check all dtypes, shapes and ranges, and return the model."""
    features = _features(tensors, state, path)
    if "labels" in tensors:
        classes = np.array(_tensor(tensors, "labels", np.int64, (tensors["labels"].size,)))
    else:
        classes = np.array(unpack_tokens(tensors, path, "labels.tokens"), object)
    labels, names = len(classes), classes.tolist()
    if labels < 2 or names != sorted(set(names)):
        raise ValueError("the labels must be at least two, different, and in order")
    linear = None
    if "linear" in tensors:
        linear = np.array(_tensor(tensors, "linear", np.float32, (len(tensors["linear"]), labels)))
    embedding, scales = _rows(tensors, len(features), labels if linear is None else len(linear))
    slope, offset = state["calibration"]
    low = -float(np.finfo(np.float32).max)
    history = state["history"]
    if not isinstance(history, list) or not all(
        isinstance(value, int | float) for record in history for value in record.values()
    ):
        raise TypeError(f"history must be a list of records of numbers, got {shown(history)}")
    return FittedClassifier(
        features=features,
        classes=classes,
        calibration=Calibration(
            loss,
            check_flag("several", state["several"]),
            check_number("slope", slope, above=True),
            check_number("offset", offset, low=low),
        ),
        documents=check_integer("documents", state["documents"], low=1),
        label_counts=_counts(tensors, "label_counts", labels),
        embedding=embedding,
        scales=scales,
        linear=linear,
        bias=np.array(_tensor(tensors, "bias", np.float32, (labels,))),
        prior=np.array(_tensor(tensors, "prior", np.float32, (labels,))),
        history=history,
        ledger=as_ledger(state["ledger"]) or Ledger(),
        indicator=check_flag("indicator", state["indicator"]),
    )


def _features(tensors: Mapping[str, Array], state: Mapping[str, Any], path: FilePath) -> Features:
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
        grams.append(Grams(left, right, _counts(tensors, f"ngrams{n}.counts", size)))
        _ = grams[-1].index  # raises ValueError if two are the same
        before = size
    characters = None
    if state["lengths"] is not None:
        names = tuple(unpack_tokens(tensors, path, "characters.tokens"))
        lengths = check_ngram_lengths("chars", state["lengths"])
        characters = CharacterGrams(lengths, names, _counts(tensors, "characters.counts", len(names)))
    size = len(words) + sum(map(len, grams)) + len(characters or ())
    weights = np.array(_tensor(tensors, "weights", np.float64, (size,)))
    return Features(words, grams, characters, weights, Reading.from_record(state["reading"]))


def _rows(tensors: Mapping[str, Array], features: int, dim: int) -> tuple[Any, Array | None]:
    """Return E (F, D) and its scales."""
    scales = _tensor(tensors, "scales", np.float32, (features,)) if "scales" in tensors else None
    if "rows" in tensors:
        embedding: Any = tensors["rows"]
        if embedding.dtype.name not in ROWS:
            raise ValueError(f"'rows' must be one of {', '.join(ROWS)}, got {embedding.dtype}")
        embedding = _tensor(tensors, "rows", embedding.dtype, (features, dim))
    else:
        starts = _tensor(tensors, "rows.starts", np.int64, (features + 1,))
        if starts[0] != 0 or (np.diff(starts) < 0).any():
            raise ValueError("'rows.starts' must ascend from 0")
        numbers = _tensor(tensors, "rows.numbers", np.int8, (int(starts[-1]),))
        columns = _tensor(tensors, "rows.columns", np.uint16 if dim <= MOST_NARROW else np.int32, numbers.shape)
        if columns.size and not 0 <= columns.min() <= columns.max() < dim:
            raise ValueError(f"'rows.columns' must be numbers from 0 to {dim - 1}")
        embedding = sparse.csr_array((numbers, columns.astype(np.int32), starts), shape=(features, dim))
    if (embedding.dtype == np.int8) != (scales is not None):
        raise ValueError("rows of int8, and no others, need 'scales'")
    return embedding, None if scales is None else np.array(scales)


def _tensor(tensors: Mapping[str, Array], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    """Return a tensor; raise ValueError unless it has this dtype and shape and is finite."""
    found = tensors[name]
    if found.dtype != dtype or found.shape != shape:
        raise ValueError(
            f"{name!r} must have shape {shape} and dtype {np.dtype(dtype)}, got {found.shape} and {found.dtype}"
        )
    if found.dtype.kind == "f":
        check_finite(name, found)
    return found


def _counts(tensors: Mapping[str, Array], name: str, size: int) -> npt.NDArray[np.int64]:
    found = np.array(_tensor(tensors, name, np.int64, (size,)))
    if found.min(initial=0) < 0:
        raise ValueError(f"{name!r} must not be negative, got {found.min()}")
    return found
