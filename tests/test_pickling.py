"""Pickles and copies of every public object: the same bits, also after more training."""

import copy
import multiprocessing
import pickle
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from fastembed import (
    Classifier,
    Counts,
    Recommender,
    SkipGram,
    Trainer,
    TrainingDivergedError,
    Vectors,
    Vocabulary,
    corpus,
)

CORPUS = [["the", "cat", "sat"], ["the", "dog", "sat"], ["a", "cat", "ran"], ["a", "dog", "ran"]] * 5
COUNTS = sparse.csr_array([[0.0, 5, 1], [5, 0, 0], [1, 0, 0]])


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


def read_only_buffers(value):
    buffers = []
    text = pickle.dumps(value, 5, buffer_callback=buffers.append)
    return pickle.loads(text, buffers=[bytes(buffer) for buffer in buffers])


def through_joblib(value):
    joblib = pytest.importorskip("joblib")
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(value, f"{folder}/value")
        return joblib.load(f"{folder}/value", mmap_mode=None if sys.platform == "win32" else "r")


WAYS = {
    "pickle": through_pickle,
    "read-only buffers": read_only_buffers,
    "joblib, mapped": through_joblib,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=WAYS)
def sent(request):
    """A way to copy an object."""
    return WAYS[request.param]


def fitted(**options):
    return SkipGram(dim=4, window=2, min_count=1, sample=None, threads=2, **options).fit(CORPUS)


def bits(value):
    """All that an object shows, in a form that can be compared."""
    if isinstance(value, SkipGram):
        learned = "vectors", "vocabulary", "trainer", "centre_", "ledger", "windows_", "counts_sha256_"
        return value.get_params(), value.history, [bits(getattr(value, name)) for name in learned]
    if isinstance(value, Classifier):
        return value.get_params(), bits(value.classes_), bits(value.decision_function([["cat", "sat"], ["ran"]]))
    if isinstance(value, Recommender):
        arrays = value.items_, value.users_, value.item_factors_, value.user_factors_
        return value.get_params(), [bits(array) for array in arrays], value.recommend(users=[0, 1])
    if isinstance(value, Trainer):
        arrays = value.embedding, value.linear, value.bias, *value.squares
        return value.loss_scale, value.threads, [bits(array) for array in arrays]
    if isinstance(value, Vectors):
        return value.tokens, bits(value.matrix), bits(value.counts)
    if isinstance(value, Vocabulary):
        return value.tokens, bits(value.counts), value.ledger, value.appended, value.ids(["the"])
    if isinstance(value, Counts):
        matrix = value.to_scipy()
        arrays = matrix.data, matrix.indices, matrix.indptr
        return [bits(array) for array in arrays], value.shape, value.windows, value.ledger, bits(value.vocabulary)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.tolist()
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, TrainingDivergedError):
        return str(value), value.args, value.epoch, value.block
    if isinstance(value, corpus.FileCorpus):
        return value.names, value.reading, list(value)
    if isinstance(value, corpus.Phrases):
        return value == corpus.Phrases(["new york"]), value.join(["in", "new", "york"])
    return repr(value)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """What is fitted, read or counted, by its name."""
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text("".join(" ".join(line) + "\n" for line in CORPUS), encoding="utf-8")
    vocabulary = Vocabulary.from_corpus(path, 1)
    model = fitted()
    counts = Counts.from_corpus(path, vocabulary, sample=0.1, directed=True)
    folder = tmp_path_factory.mktemp("store") / "counts"
    counts.save(folder)
    reading = corpus.Reading(lowercase=True, token_pattern=r"\w+")
    animals = ["cat" if "cat" in line else "dog" for line in CORPUS]
    return {
        "Classifier": Classifier(loss="softmax", dim=2, min_count=1).fit(CORPUS, animals),
        "Counts": counts,
        "Counts in a folder": Counts.open(folder),
        "Recommender": Recommender(dim=2, threads=1).fit(CORPUS),
        "SkipGram": model,
        "Trainer": model.trainer,
        "TrainingDivergedError": TrainingDivergedError("the loss is nan", 2, 7),
        "Vectors": model.vectors,
        "Vocabulary": vocabulary.grown(Vocabulary(["new"], [3])),
        "FileCorpus": corpus.FileCorpus(path, reading=reading),
        "Phrases": corpus.Phrases(["new york"]),
    }


KINDS = ["Classifier", "Counts", "Counts in a folder", "Recommender", "SkipGram", "Trainer", "TrainingDivergedError"]
KINDS += ["Vectors", "Vocabulary", "FileCorpus", "Phrases"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_bits(objects, kind, sent):
    value = objects[kind]
    again = sent(value)
    assert type(again) is type(value)
    assert bits(again) == bits(value)
    assert bits(sent(again)) == bits(value)


def test_a_copied_model_goes_on_to_the_same_bits(sent):
    model = fitted()
    again = sent(model)
    assert bits(again.partial_fit([["the", "cat"], ["new", "dog"]], grow_vocabulary=True)) == bits(
        model.partial_fit([["the", "cat"], ["new", "dog"]], grow_vocabulary=True)
    )
    assert again.predict_output("cat") == model.predict_output("cat")
    assert again.vectors.most_similar("cat") == model.vectors.most_similar("cat")
    assert again.fit(CORPUS).counts_sha256_ == model.fit(CORPUS).counts_sha256_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_a_copied_trainer_goes_on_to_the_same_bits(way, dtype):
    trainer = Trainer.random(3, 5, seed=0, dtype=dtype)
    trainer.fit_counts(COUNTS, epochs=2)
    again = WAYS[way](trainer)
    assert not np.shares_memory(again.embedding, trainer.embedding)
    for each in (trainer, again):
        each.fit_counts(COUNTS, epochs=2, warm_start=True)
        each.train([0, 1, 2], epochs=2, update_linear=True)
    assert bits(again) == bits(trainer)


SET_SINCE = {
    "Classifier": {"loss": "squared", "dim": None, "chars": (1, 2), "label_prefix": "#", "min_count": 2},
    "Recommender": {"dim": 3, "seed": 7, "epochs": 0},
    "SkipGram": {"dim": 0, "window": 5, "subwords": True, "drop": ["the"]},
}


@pytest.mark.parametrize("kind", SET_SINCE)
def test_a_file_has_the_parameters_of_the_fit_and_not_those_that_were_set_since_then(objects, kind, tmp_path):
    model = copy.copy(objects[kind])
    model.set_params(**SET_SINCE[kind]).save(tmp_path / "model.safetensors")
    again = type(model).load(tmp_path / "model.safetensors", threads=objects[kind].threads)
    assert bits(again) == bits(objects[kind])


METHODS = [method for method in multiprocessing.get_all_start_methods() if method != "forkserver"]


@pytest.mark.thread_unsafe(reason="forks")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_model_goes_to_a_process_and_comes_back(method):
    model = fitted()
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as executor:
        again = executor.submit(SkipGram.partial_fit, model, CORPUS).result()
    assert bits(again) == bits(model.partial_fit(CORPUS))


@pytest.mark.parametrize(
    "fit",
    [
        lambda: fitted(epochs=2),
        lambda: Classifier().fit(["a b", "c d", "e f"] * 9, ["x", "y", "z"] * 9),
        lambda: Recommender(dim=2).fit([["a", "b"], ["b", "c"], ["a", "c"]] * 9),
    ],
)
def test_equal_trainings_write_equal_files(fit, tmp_path):
    for name in ("first", "second"):
        fit().save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
