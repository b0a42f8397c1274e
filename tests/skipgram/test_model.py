"""`SkipGram.save` and `load`: a whole model in one file, which is a file of vectors too."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastembed
from fastembed import SkipGram, Vectors
from fastembed.counts.counts import tiled_counts
from fastembed.formats.tensors import map_tensors

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": 1e-2, "epochs": 2}
MODEL = "model.safetensors"  # in the folder of a test; in threads, each has one of its own, if no fixture takes it


@pytest.fixture(scope="module")
def corpus(corpus):
    """The corpus that all tests share, but one word has letters of several bytes, and a space."""
    return [["wörd 鯨" if word == "w07" else word for word in line] for line in corpus]


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"directed": False, "sample": None, "weighting": "flat"},
        {"window": (1, 3), "max_contexts": 12, "max_size": 25},
        {"window": (0, 2), "seed": 7},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"baskets": "share", "window": 12, "sample": None, "dim": np.int64(3)},
    ],
)
def test_a_model_is_the_same_after_save_and_load(corpus, tmp_path, options, assert_same):
    path = tmp_path / MODEL
    model = SkipGram(**SETTINGS | options).fit(corpus)
    model.save(path)
    loaded = SkipGram.load(path)
    assert loaded.get_params() == model.get_params()
    assert_same(loaded, model)
    assert loaded.predict_output("w03", topn=99) == model.predict_output("w03", topn=99)
    assert loaded.windows_ is None or loaded.perplexity(corpus) == model.perplexity(corpus)
    vectors = Vectors.load(path)
    assert (vectors.tokens, vectors.counts.tolist()) == (model.vectors.tokens, model.vectors.counts.tolist())
    assert_array_equal(vectors.matrix, model.vectors.matrix)


@pytest.mark.parametrize("name", ["m.txt", "m.BIN", "m.vec", "m.glove", "m.txt.gz"])
def test_a_model_is_not_saved_under_the_name_of_a_file_of_vectors(tmp_path, name):
    path = tmp_path / name
    model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
    with pytest.raises(ValueError, match=r"a model is a .safetensors file, got '.*': vectors.save or `export` writes"):
        model.save(path)
    assert not path.exists()
    model.vectors.save(path.with_suffix(path.suffix.lower()))
    model.save(tmp_path / "m.model")  # as with gensim
    assert SkipGram.load(tmp_path / "m.model").vectors.tokens == model.vectors.tokens


@pytest.mark.parametrize("grow", [False, True])
def test_training_goes_on_from_a_file_as_from_memory(corpus, tmp_path, grow, assert_same):
    """And once more from a model that was loaded, trained on and saved."""
    path = tmp_path / MODEL
    model = SkipGram(**SETTINGS).fit(corpus[:50])
    for first in (50, 65):
        more = [[*line, "new", f"new{first}"] for line in corpus[first : first + 15]]
        model.save(path)
        loaded = SkipGram.load(path, threads=3).partial_fit(more, grow_vocabulary=grow)
        model.partial_fit(more, grow_vocabulary=grow)
        assert_same(loaded, model)
        model = loaded.set_params(threads=None)
    assert len(model.history) == 6
    assert len(model.counts_sha256_) == 3
    assert model.vocabulary.appended == (3 if grow else 0)


# ---------------------------------------------------------------- what the file says


def test_the_manifest_says_what_was_trained_on(corpus, tmp_path):
    path = tmp_path / MODEL
    model = SkipGram(seed=5, threads=2, **SETTINGS).fit(corpus)
    model.save(path)
    tensors, metadata = map_tensors(path)
    assert json.loads(metadata["manifest"]) == {
        "fastembed": fastembed.__version__,
        "seed": 5,
        "counts_sha256": [tiled_counts(model.count(corpus)).sha256()],
        "epochs": 2,
        "best_epoch": 2,
        "nll": model.history[-1]["nll"],
    }
    parameters = json.loads(metadata["settings"])
    assert parameters.keys() == model.get_params().keys() - {"threads"}
    assert parameters["sample"] == 1e-2
    x = tensors["matrix"] @ tensors["linear"] + tensors["bias"]
    p = np.exp(x - x.max(axis=1, keepdims=True))
    assert model.trainer.forward(3) == pytest.approx(p[3] / p[3].sum(), rel=1e-4)


def test_equal_models_are_equal_files(corpus, tmp_path):
    path = tmp_path / MODEL
    model = SkipGram(threads=1, **SETTINGS).fit(corpus)
    model.save(path)
    SkipGram.load(path, threads=2).save(path.with_name("again"))
    assert path.read_bytes() == path.with_name("again").read_bytes()


# ---------------------------------------------------------------- what is rejected


def test_a_model_that_cannot_be_saved_leaves_no_file(corpus, tmp_path):
    path = tmp_path / MODEL
    with pytest.raises(AttributeError, match="call fit first"):
        SkipGram().save(path)
    model = SkipGram(**SETTINGS).fit(corpus)
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        model.save(path / "model")
    assert not path.exists()


def test_files_of_other_things_are_rejected(tmp_path):
    (tmp_path / "text").write_text("the cat sat\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"text' is not a whole safetensors file: it has another format; Vectors\.load reads several"
    ):
        SkipGram.load(tmp_path / "text")
    path = tmp_path / MODEL
    Vectors(["a"], np.ones((1, 2))).save(path)
    with pytest.raises(ValueError, match=r"holds vectors alone and no model: open it with Vectors\.load"):
        SkipGram.load(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        SkipGram.load(path)
    with pytest.raises(FileNotFoundError):
        SkipGram.load(path.with_name("missing"))
    with pytest.raises(ValueError, match="threads must be from 1 to 4096, got 0"):
        SkipGram.load(path, threads=0)
