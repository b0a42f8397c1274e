"""`FittedModel`: the fitted state of a `SkipGram`, and its file, a file of vectors that also holds the rest of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastembed
from fastembed._base.validation import plain, warn_user
from fastembed.corpus.corpus import DocumentCorpus, FileCorpus, Source
from fastembed.corpus.ledger import Ledger, check_walks
from fastembed.corpus.reading import Reading
from fastembed.counts.counts import Counts, align_counts
from fastembed.counts.windows import Windows
from fastembed.formats import tensors as files
from fastembed.formats.registry import check_model_name
from fastembed.skipgram.options import Baskets, Pairing, SkipGramOptions
from fastembed.skipgram.subwords import Subwords
from fastembed.trainer.trainer import SQUARES, Trainer, restore_squares, trainer_tensors
from fastembed.vectors.subwords import Composer, NgramDictionary
from fastembed.vectors.vectors import Vectors, composing_vectors
from fastembed.vocabulary import Vocabulary

PAIRS = ("window", "subwords")  # settings that may be pairs, which are lists in JSON


@dataclass(frozen=True, eq=False)
class FittedModel:
    """The result of training, which a `SkipGram` exposes and its file stores. `SkipGram` documents each attribute.

    With `subwords`, `feature_trainer` is that of the rows of n-grams and words, which further training continues, and
    `trainer` holds the vectors composed from them.
    """

    options: SkipGramOptions
    vectors: Vectors
    vocabulary: Vocabulary
    trainer: Trainer
    centre: NDArray[Any]
    history: list[dict[str, float]]
    ledger: Ledger | None
    windows: Windows | None
    max_contexts: int
    counts_sha256: list[str]
    baskets: str | None = None
    subwords: Subwords | None = None
    feature_trainer: Trainer | None = None

    @property
    def directed(self) -> bool:
        """Whether the contexts before a word and those after it are different outputs."""
        return self.windows is not None and self.windows.directed

    @property
    def composer(self) -> NgramDictionary | None:
        """The composer of vectors for words that are not in the vocabulary."""
        if self.subwords is None or self.feature_trainer is None:
            return None
        return self.subwords.composer(self.feature_trainer.embedding, self.centre)

    @property
    def best_epoch(self) -> int:
        """The epoch of the last fit that the parameters are from, from 1; 0 before the first epoch has ended."""
        for record in reversed(self.history):
            if record.get("kept"):
                return int(record["epoch"])
            if record["epoch"] == 1:
                break
        return int(self.history[-1]["epoch"]) if self.history else 0

    def reading_of(self, corpus: Source, asked: Reading | None) -> Reading | None:
        """Return how to read a text: by the reading of the corpus, of the user, or else of the model's text.

        Warn if the text of the model was read in another way.
        """
        reading = corpus.reading if isinstance(corpus, FileCorpus | DocumentCorpus) else asked
        if reading is None:
            return self.vocabulary.reading
        self._warn_of_other_reading("the text is", reading)
        return reading

    def _warn_of_other_reading(self, what: str, other: Reading | None) -> None:
        """Warn if both readings are known and differ."""
        reading = self.vocabulary.reading
        if other is not None and reading is not None and other.record() != reading.record():
            warn_user(f"{what} read by {other}, but that of the model was read by {reading}")

    def pairing(self) -> Pairing:
        """Return the windows or baskets of the model; raise ValueError if it was fitted to other counts."""
        if self.windows is not None:
            return replace(self.windows, max_contexts=self.max_contexts)
        if self.baskets is not None:
            return Baskets(self.baskets, self.max_contexts)
        raise ValueError("this SkipGram was fitted to counts of pairs: it takes Counts, or a file of them, alone")

    def aligned(self, counts: Counts, vocabulary: Vocabulary | None = None, *, name: str = "counts") -> Counts:
        """Return counts with the rows and columns of this model, or of its vocabulary as it has grown.

        Unknown tokens are dropped. Counts in a folder that already have these rows and columns are not read; others
        are then in memory. Raise TypeError or ValueError as :meth:`check_alike`; warn if their text was read in
        another way.
        """
        self.check_alike(counts, name)
        assert counts.vocabulary is not None
        self._warn_of_other_reading(f"the text of {name} was", counts.vocabulary.reading)
        return align_counts(counts, vocabulary or self.vocabulary, self.max_contexts)

    def check_same_shape(self, options: SkipGramOptions) -> None:
        """Raise ValueError if parameters have been set since the fit that need a model of another shape."""
        lengths = False if self.subwords is None else self.subwords.lengths
        for name, value in (("dim", self.vectors.matrix.shape[1]), ("subwords", lengths)):
            if getattr(options, name) != value:
                raise _other_parameter(name, getattr(options, name), value)

    def check_same_windows(self, options: SkipGramOptions) -> None:
        """Raise ValueError if parameters have been set since the fit that count a text in another way.

        Defaults count as not set: a model that was fitted to counts has the windows of the counts.
        """
        asked = vars(options.windows) | {"baskets": options.baskets}
        fitted = vars(self.windows or options.windows) | {"baskets": self.baskets}
        for name in ("window", "weighting", "sample", "directed", "baskets"):
            if asked[name] != fitted[name] and getattr(options, name) != getattr(SkipGramOptions, name):
                raise _other_parameter(name, getattr(options, name), fitted[name])

    def check_alike(self, counts: Counts, name: str) -> None:
        """Raise TypeError or ValueError unless these are counts with tokens, counted in the same way as the model's."""
        if not isinstance(counts, Counts):
            raise TypeError(f"{name} must be Counts, got {type(counts).__name__}")
        if counts.vocabulary is None:
            raise ValueError(f"{name} have no tokens, by which the model would know them: count with a Vocabulary")
        check_counted_alike(name, counts, "the counts of the model", self)


def _other_parameter(name: str, asked: object, fitted: object) -> ValueError:
    advice = f"the model has {name}={fitted!r}: keep that to go on, or fit a new model"
    return ValueError(f"{name}={asked!r} is set, but {advice}")


def check_counted_alike(name: str, counts: Counts, model_name: str, model: Counts | FittedModel) -> None:
    """Raise ValueError unless counts were counted in the same way as the counts of a model, or as other counts."""
    way, right = how_counted(counts), how_counted(model)
    if way != right:
        raise ValueError(f"{name} must be counted like {model_name}, by {right}, got {way}")
    check_walks(counts.ledger, model.ledger)


def how_counted(counted: Counts | FittedModel) -> str:
    """Return a description of how pairs were counted."""
    if counted.windows is not None:
        return str(replace(counted.windows, max_contexts=None))
    return "pairs" if counted.baskets is None else f"baskets with the weighting {counted.baskets!r}"


def write_model(path: str | os.PathLike[str], model: FittedModel) -> None:
    """Write a model.

    Parameters
    ----------
    path : path-like
        The file to create or to replace.
    model : FittedModel
        Its options are written without the number of threads, which depends on the machine.

    Raises
    ------
    OSError
        If the file cannot be written; an old file then stays as it was.
    ValueError
        If a token has no UTF-8 form, or the name has the suffix of another format.
    """
    check_model_name(path)
    trainer, vocabulary, options = model.trainer, model.vocabulary, model.options
    tensors = {
        **trainer_tensors(trainer),
        **_feature_tensors(model),
        "centre": model.centre,
        "tokens.counts": vocabulary.counts,
        **files.pack_tokens(vocabulary.tokens),
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
    fields = {"manifest": manifest, "model": state}
    text = {name: json.dumps(plain(values), ensure_ascii=False) for name, values in fields.items()}
    files.write_tensors(path, tensors, files.header("vectors", settings) | text)


def read_model(path: str | os.PathLike[str], threads: int | None) -> FittedModel:
    """Return the model from a file of :func:`write_model`.

    Parameters
    ----------
    threads : int, optional
        The number of threads of the trainer.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not hold a model, or is damaged.
    """
    tensors, metadata = files.map_tensors(path)
    settings = files.check_header(metadata, "vectors", path)
    if "model" not in metadata:
        raise ValueError(f"{str(path)!r} holds vectors alone and no model: open it with Vectors.load")
    with files.fitting(path, "a model that fits"):
        state, manifest = json.loads(metadata["model"]), json.loads(metadata["manifest"])
        ledgers = {name: state[name] and Ledger(**state[name]) for name in ("ledger", "vocabulary.ledger")}
        vocabulary = Vocabulary(files.unpack_tokens(tensors), tensors["tokens.counts"], ledgers["vocabulary.ledger"])
        vocabulary.reading = _reading(state["vocabulary.reading"])
        settings |= {"reading": _reading(settings.get("reading"))}
        settings |= {name: tuple(settings[name]) for name in PAIRS if isinstance(settings.get(name), list)}
        vocabulary.appended = state["vocabulary.appended"]
        subwords, feature_trainer, composer = _read_features(tensors, vocabulary.tokens, threads)
        trainer = Trainer(np.array(tensors["matrix"]), tensors["linear"], bias=tensors["bias"], threads=threads)
        if feature_trainer is None:
            restore_squares(trainer, tensors)
        return FittedModel(
            options=SkipGramOptions(**settings),
            vectors=composing_vectors(Vectors, vocabulary.tokens, tensors["matrix"], vocabulary.counts, composer),
            vocabulary=vocabulary,
            trainer=trainer,
            centre=np.array(tensors["centre"]),
            history=state["history"],
            ledger=ledgers["ledger"],
            windows=state["windows_"] and Windows(**state["windows_"]),
            max_contexts=state["max_contexts_"],
            counts_sha256=manifest["counts_sha256"],
            baskets=state["baskets_"],
            subwords=subwords,
            feature_trainer=feature_trainer,
        )


def read_reading(path: str | os.PathLike[str]) -> Reading | None:
    """Return how the text of a model was read, without reading tensors; None if not known, or not a model.

    Raises
    ------
    OSError, ValueError
        As :func:`read_model`.
    """
    metadata = files.read_fields(path)
    with files.fitting(path, "a model that fits"):
        return _reading(json.loads(metadata["model"])["vocabulary.reading"]) if "model" in metadata else None


def _reading(record: Any) -> Reading | None:
    """Check the reading of a file and return it."""
    return None if record is None else Reading.from_record(record)


def _feature_tensors(model: FittedModel) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model with subwords: n-grams, their rows, and the state to continue training."""
    if model.subwords is None or model.feature_trainer is None:
        return {}
    tensors = trainer_tensors(model.feature_trainer)
    rows, bias = tensors["matrix"], tensors["bias"]
    return {
        **model.subwords.composer(rows, model.centre).tensors(),
        "own.matrix": rows[len(model.subwords.ngrams) :],
        "features.bias": bias,
        **{name: tensors[name] for name in SQUARES},
    }


def _read_features(
    tensors: Mapping[str, NDArray[Any]], words: Sequence[str], threads: int | None
) -> tuple[Subwords | None, Trainer | None, Composer | None]:
    """Return subwords, their trainer and composer from the tensors of :func:`_feature_tensors`, or None three times."""
    if "own.matrix" not in tensors:
        return None, None, None
    composer = NgramDictionary.from_tensors(tensors)
    subwords = Subwords.restored(composer, words)
    rows = np.concatenate([composer.rows, tensors["own.matrix"]])
    feature_trainer = Trainer(rows, tensors["linear"], bias=tensors["features.bias"], threads=threads)
    restore_squares(feature_trainer, tensors)
    return subwords, feature_trainer, composer
