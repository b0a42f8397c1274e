"""The file of a model: a file of vectors that also holds the rest of the fitted state of a `SkipGram`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastembed
from fastembed._base.json_values import plain
from fastembed._base.validation import check_amounts, check_finite, check_flag, check_integer, check_number
from fastembed.corpus.ledger import as_ledger
from fastembed.corpus.reading import Reading
from fastembed.counts.files import check_baskets
from fastembed.formats.registry import format_of
from fastembed.formats.tensors import check_header, header, map_tensors, pack_tokens, unpack_tokens, write_tensors
from fastembed.skipgram.fitted import FittedModel
from fastembed.skipgram.options import SkipGramOptions
from fastembed.skipgram.subwords import Subwords
from fastembed.trainer.file import SQUARES, restore_squares, trainer_tensors
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.subwords import Composer, NgramDictionary, composer_of
from fastembed.vectors.vectors import composing_vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

PAIRS = ("window", "subwords")  # settings that may be pairs, which are lists in JSON


def write_model(path: str | os.PathLike[str], options: SkipGramOptions, model: FittedModel) -> None:
    """Write a model.

    Parameters
    ----------
    path : path-like
        The file to create or to replace.
    options : SkipGramOptions
        Written without the number of threads, which depends on the machine.
    model : FittedModel

    Raises
    ------
    OSError
        If the file cannot be written; an old file then stays as it was.
    ValueError
        If a token has no UTF-8 form, or the suffix is that of another format of vectors.
    """
    if (description := _other_format(path)) is not None:
        raise ValueError(f"{str(path)!r} would hold vectors alone ({description}): save a model as .safetensors")
    trainer, vocabulary = model.trainer, model.vocabulary
    tensors = {
        **trainer_tensors(trainer),
        **_feature_tensors(model),
        "centre": model.centre,
        "tokens.counts": vocabulary.counts,
        **pack_tokens(vocabulary.tokens),
    }
    settings = plain(vars(options) | {"reading": options.reading and options.reading.record()})
    del settings["threads"]
    manifest = {
        "fastembed": fastembed.__version__,
        "seed": options.seed,
        "counts_sha256": model.counts_sha256,
        "epochs": int(model.history[-1]["epoch"]) if model.history else 0,
        "best_epoch": model.best_epoch,
        "nll": model.history[-1]["nll"] if model.history else None,
    }
    state = {
        "history": model.history,
        "ledger": model.ledger,
        "max_contexts_": model.max_contexts,
        "windows_": model.windows,
        "baskets_": model.baskets,
        "vocabulary.appended": vocabulary.appended,
        "vocabulary.ledger": vocabulary.ledger,
        "vocabulary.reading": vocabulary.reading and vocabulary.reading.record(),
    }
    fields = {"manifest": _json(manifest), "model": _json(state)}
    write_tensors(path, tensors, header("vectors", settings) | fields)


def read_model(path: str | os.PathLike[str], threads: int | None) -> tuple[dict[str, Any], FittedModel]:
    """Return the parameters by name, unchecked, and the model from a file of :func:`write_model`.

    Parameters
    ----------
    path : path-like
    threads : int, optional
        The number of threads of the trainer.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a model, or is damaged.
    """
    try:
        tensors, metadata = map_tensors(path)
    except ValueError:
        if (description := _other_format(path)) is None:
            raise
        what = f"{str(path)!r} holds vectors alone and no model ({description}): open it with Vectors.load"
        raise ValueError(what) from None
    settings = check_header(metadata, "vectors", path)
    if "model" not in metadata:
        raise ValueError(f"{str(path)!r} holds vectors alone and no model: open it with Vectors.load")
    try:
        state, manifest = json.loads(metadata["model"]), json.loads(metadata["manifest"])
        vocabulary = Vocabulary(
            unpack_tokens(tensors, path), tensors["tokens.counts"], as_ledger(state["vocabulary.ledger"])
        )
        vocabulary.reading = _reading(state["vocabulary.reading"])
        settings |= {"reading": _reading(settings.get("reading"))}
        settings |= {name: tuple(settings[name]) for name in PAIRS if isinstance(settings.get(name), list)}
        vocabulary.appended = check_integer("appended", state["vocabulary.appended"], low=0, high=len(vocabulary))
        subwords, features, composer = _features(tensors, vocabulary.tokens, threads)
        trainer = _trainer(tensors, threads, squares=features is None)
        inputs, dim = trainer.embedding.shape
        if len(vocabulary) != inputs:
            raise ValueError(f"{len(vocabulary)} tokens for {inputs} vectors")
        windows = None if state["windows_"] is None else Windows(**state["windows_"])
        model = FittedModel(
            vectors=composing_vectors(vocabulary.tokens, tensors["matrix"], vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=_centre(tensors["centre"], dim),
            history=_history(state["history"]),
            ledger=as_ledger(state["ledger"]),
            windows=windows,
            max_contexts=_contexts(state["max_contexts_"], inputs, trainer.linear.shape[1], windows),
            counts_sha256=_digests(manifest["counts_sha256"]),
            baskets=check_baskets(state.get("baskets_"), windows),
            subwords=subwords,
            features=features,
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        # A str, not the error: a local variable that refers to the error would keep its traceback and the mapping alive
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold a model that fits together: {what}") from error
    return settings, model


def read_reading(path: str | os.PathLike[str]) -> Reading | None:
    """Return how the text of a model was read, without reading tensors; None if not known, or not a model.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError, ValueError
        As :func:`read_model`.
    """
    try:
        metadata = map_tensors(path)[1]
        return _reading(json.loads(metadata["model"])["vocabulary.reading"]) if "model" in metadata else None
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} does not hold a model that fits together: {error}") from error


def _reading(record: Any) -> Reading | None:
    """Check the reading of a file and return it."""
    return None if record is None else Reading.from_record(record)


def _other_format(path: str | os.PathLike[str]) -> str | None:
    """Return a description of the format if the suffix is that of another format of vectors."""
    try:
        form = format_of(path)
    except ValueError:
        return None
    return None if form.name == "safetensors" else form.description


def _trainer(tensors: Mapping[str, NDArray[Any]], threads: int | None, *, squares: bool) -> Trainer:
    """Return a trainer with the parameters of a file and, with `squares`, its sums of squared gradients."""
    trainer = Trainer(np.array(tensors["matrix"]), tensors["linear"], bias=tensors["bias"], threads=threads)
    if squares:
        restore_squares(trainer, tensors)
    return trainer


def _feature_tensors(model: FittedModel) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model with subwords: n-grams, their rows, and the state to continue training."""
    if model.subwords is None or model.features is None:
        return {}
    features = trainer_tensors(model.features)
    rows, bias = features["matrix"], features["bias"]
    return {
        **model.subwords.composer(rows, model.centre).tensors(),
        "own.matrix": rows[len(model.subwords.ngrams) :],
        "bags.own_weight": np.array([model.subwords.own_weight]),
        "features.bias": bias,
        **{name: features[name] for name in SQUARES},
    }


def _features(
    tensors: Mapping[str, NDArray[Any]], words: Sequence[str], threads: int | None
) -> tuple[Subwords | None, Trainer | None, Composer | None]:
    """Return features, trainer and composer from the tensors of :func:`_feature_tensors`, or None three times."""
    if "own.matrix" not in tensors:
        return None, None, None
    names = NgramDictionary.TENSORS | NgramDictionary.OPTIONAL
    composer = composer_of({name: tensors[name] for name in names & tensors.keys()}, tensors["matrix"])
    if not isinstance(composer, NgramDictionary):
        raise ValueError("the n-grams of the model are not those of words")
    own, own_weight = tensors["own.matrix"], tensors["bags.own_weight"]
    if own.dtype != composer.rows.dtype or own.shape != (len(words), composer.rows.shape[1]):
        raise ValueError(f"'own.matrix' must have a row for each of {len(words)} words, got the shape {own.shape}")
    if own_weight.dtype != np.float64 or own_weight.shape != (1,):
        raise ValueError(
            f"'bags.own_weight' must be float64 of shape (1,), got {own_weight.dtype} of shape {own_weight.shape}"
        )
    check_amounts("bags.own_weight", own_weight)
    subwords = Subwords.restored(composer, words, float(own_weight[0]))
    rows = np.concatenate([composer.rows, own])
    features = Trainer(rows, tensors["linear"], bias=tensors["features.bias"], threads=threads)
    restore_squares(features, tensors)
    return subwords, features, composer


def _centre(centre: NDArray[Any], dim: int) -> NDArray[np.float64]:
    """Check the centre of a file and return it."""
    if centre.dtype != np.float64 or centre.shape != (dim,):
        raise ValueError(f"'centre' must be float64 of shape ({dim},), got {centre.dtype} of shape {centre.shape}")
    check_finite("centre", centre)
    return np.array(centre)


def _contexts(number: Any, inputs: int, outputs: int, windows: Windows | None) -> int:
    """Return the number of contexts of a file, checked against its windows and the shape of its linear layer."""
    contexts = check_integer("max_contexts_", number, low=1, high=inputs)
    sides = 2 if windows is not None and windows.directed else 1
    if sides * contexts != outputs:
        raise ValueError(f"{outputs} outputs, where {contexts} contexts on {sides} sides were expected")
    return contexts


def _history(records: Any) -> list[dict[str, float]]:
    """Check the history of a file and return it."""
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise TypeError(f"history must be a list of records, got {records!r}")
    for record in records:
        for value in (record["nll"], *(record[name] for name in record.keys() - {"kept"})):
            check_number("history", value)
        check_integer("an epoch of history", record["epoch"], low=1)
        check_flag("'kept' in history", record.get("kept", False))
    return records


def _digests(digests: Any) -> list[str]:
    """Check the digests of a file and return them."""
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise TypeError(f"counts_sha256_ must be a list of str, got {digests!r}")
    return digests


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(plain(values), ensure_ascii=False)
