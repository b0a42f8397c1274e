"""The file of a classifier: safetensors, of which the rows of E stay mapped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.json_values import plain
from fastembed._base.validation import check_choice, check_finite, check_flag
from fastembed.classifier.characters import CharacterGrams
from fastembed.classifier.features import Features, Grams
from fastembed.classifier.fitted import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus.ledger import Ledger, as_ledger
from fastembed.corpus.reading import Reading
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.vocabulary import Vocabulary

ROWS = ("float32", "float16", "int8")


def write_classifier(
    path: str | os.PathLike[str], options: ClassifierOptions, model: FittedClassifier, rows: str
) -> None:
    """Write a classifier, with rows of E of this dtype."""
    check_choice("rows", rows, ROWS)
    if Path(path).suffix.lower() != ".safetensors":
        raise ValueError(f"a classifier is a .safetensors file, got {str(path)!r}")
    features = model.features
    tensors = {
        **_rows(model, rows),
        "bias": model.bias,
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
    settings = {name: value for name, value in vars(options).items() if name not in ("threads", "reading")}
    settings["reading"] = options.reading and options.reading.record()
    state = {
        "several": model.several,
        "history": model.history,
        "ledger": model.ledger,
        "reading": features.reading.record(),
        "orders": len(features.grams),
        "lengths": features.characters and features.characters.lengths,
    }
    text = json.dumps(plain(state), ensure_ascii=False)
    write_tensors(path, tensors, header("classifier", plain(settings)) | {"model": text})


def _rows(model: FittedClassifier, rows: str) -> dict[str, npt.NDArray[Any]]:
    """Return the rows of E: of int8 with a scale per row, so that the largest number of a row becomes 127."""
    if model.embedding.dtype == rows:
        return {"rows": model.embedding} | ({} if model.scales is None else {"scales": model.scales})
    full = model.rows(np.arange(len(model.embedding)))
    if rows != "int8":
        return {"rows": full.astype(rows)}
    scales = (np.abs(full).max(axis=1) / 127).astype(np.float32)
    scaled = np.rint(full / np.where(scales > 0, scales, 1)[:, None])
    return {"rows": scaled.clip(-127, 127).astype(np.int8), "scales": scales}


def read_classifier(path: str | os.PathLike[str]) -> tuple[dict[str, Any], FittedClassifier]:
    """Return the parameters and the model that a file holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it does not hold a classifier, or is damaged.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, "classifier", path)
    try:
        state = json.loads(metadata["model"])
        settings["reading"] = None if settings["reading"] is None else Reading.from_record(settings["reading"])
        settings["chars"] = settings["chars"] and tuple(settings["chars"])
        model = FittedClassifier(
            features=_features(tensors, state, path),
            classes=_classes(tensors, path),
            several=check_flag("several", state["several"]),
            label_counts=np.array(tensors["label_counts"]),
            embedding=tensors["rows"],
            scales=np.array(tensors["scales"]) if "scales" in tensors else None,
            linear=np.array(tensors["linear"]) if "linear" in tensors else None,
            bias=np.array(tensors["bias"]),
            history=state["history"],
            ledger=as_ledger(state["ledger"]) or Ledger(),
        )
        _check(model)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a classifier that fits together: {what}") from error
    return settings, model


def _features(tensors: Mapping[str, Any], state: Mapping[str, Any], path: str | os.PathLike[str]) -> Features:
    words = Vocabulary(unpack_tokens(tensors, path), tensors["words.counts"])
    grams, before = [], len(words)
    for n in range(2, int(state["orders"]) + 2):
        left, right = tensors[f"ngrams{n}.pairs"]
        for side, most in ((left, before), (right, len(words))):
            if side.size and not 0 <= side.min() <= side.max() < most:
                raise ValueError(f"'ngrams{n}.pairs' must be numbers from 0 to {most - 1}")
        grams.append(Grams(np.array(left), np.array(right), np.array(tensors[f"ngrams{n}.counts"])))
        before = len(left)
    characters = None
    if state["lengths"] is not None:
        tokens = unpack_tokens(_under("characters.", tensors), path)
        characters = CharacterGrams(tuple(state["lengths"]), tuple(tokens), np.array(tensors["characters.counts"]))
    weights = np.array(tensors["weights"])
    return Features(words, grams, characters, weights, Reading.from_record(state["reading"]))


def _classes(tensors: Mapping[str, Any], path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    if "labels" in tensors:
        return np.array(tensors["labels"], np.int64)
    return np.array(unpack_tokens(_under("labels.", tensors), path), object)


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check(model: FittedClassifier) -> None:
    """Raise ValueError if shapes or dtypes do not fit together, or small arrays are not finite."""
    features, labels = model.features.starts[-1], len(model.classes)
    dim = labels if model.linear is None else model.linear.shape[0]
    wanted = {"weights": (features,), "embedding": (features, dim), "bias": (labels,), "label_counts": (labels,)}
    found = {"weights": model.features.weights, **{name: getattr(model, name) for name in list(wanted)[1:]}}
    if model.linear is not None:
        wanted["linear"], found["linear"] = (dim, labels), model.linear
    if (model.embedding.dtype == np.int8) != (model.scales is not None):
        raise ValueError("rows of int8, and no others, need 'scales'")
    if model.scales is not None:
        wanted["scales"], found["scales"] = (features,), model.scales
    if model.embedding.dtype.name not in ROWS:
        raise ValueError(f"'rows' must be one of {', '.join(ROWS)}, got {model.embedding.dtype}")
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise ValueError(f"{name!r} must have shape {shape}, got {found[name].shape}")
        if name != "embedding":
            check_finite(name, found[name])
