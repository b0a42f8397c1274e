"""`SkipGram` by scikit-learn's conventions, with and without it."""

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, SkipGram

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


def test_set_params_sets_all_or_nothing():
    model = SkipGram(dim=7)
    assert model.set_params(window=(1, 2), seed=3) is model
    assert (model.dim, model.window, model.seed) == (7, (1, 2), 3)
    before = model.get_params()
    with pytest.raises(ValueError, match="no parameter 'size'"):
        model.set_params(dim=9, size=8)
    assert model.get_params() == before
    with pytest.raises(TypeError, match="'workers'"):
        SkipGram(workers=2)
    assert model.set_params() is model


def test_arguments_that_go_with_counts_are_rejected_with_a_text(on_ranks):
    counts = SkipGram(min_count=1).count(["a b"])
    fitted = SkipGram(dim=2, min_count=1).fit(["a b"])
    for call in (SkipGram(min_count=1).fit, fitted.partial_fit):
        with pytest.raises(ValueError, match="validation_counts need counts; for a text, early_stopping=True holds"):
            call(["a b"], validation_counts=counts)
    for error in on_ranks(2, lambda comm: SkipGram(min_count=1).fit(["a b"], comm=comm)):
        assert isinstance(error, ValueError)
        assert "comm needs counts, got a text: count it first" in str(error)


def test_counts_without_tokens_are_rejected():
    with pytest.raises(TypeError, match=r"a sparse matrix has no tokens: .* Counts.from_scipy"):
        SkipGram().fit(sparse.csr_array(np.eye(2)))
    with pytest.raises(ValueError, match="these counts have no tokens: count with"):
        SkipGram().fit(Counts.from_scipy(sparse.csr_array([[1]])))


def test_before_a_fit_nothing_has_been_learned():
    learned = [name for name, member in vars(SkipGram).items() if isinstance(member, property) and name[0] != "_"]
    assert len(learned) == 12
    model = SkipGram(dim=2, min_count=1)
    for name in learned:
        with pytest.raises(AttributeError, match="this SkipGram has not been fitted yet: call fit first"):
            getattr(model, name)
    model.fit(["a b", "b c"])
    assert all(hasattr(model, name) for name in learned)


def test_words_are_dropped_or_kept_by_lists(tmp_path):
    corpus = ["the cat sat", "the dog sat on the mat"]
    model = SkipGram(dim=2, min_count=1, epochs=1, drop=["the", "of"], keep_only={"the", "cat", "sat", "dog"}).fit(
        corpus
    )
    assert sorted(model.vectors.tokens) == ["cat", "dog", "sat"]
    model.save(tmp_path / "m.safetensors")
    loaded = SkipGram.load(tmp_path / "m.safetensors")
    assert (loaded.drop, loaded.keep_only) == (("of", "the"), ("cat", "dog", "sat", "the"))
    grown = loaded.partial_fit(["the red cat sat", "a dog and the dog"], grow_vocabulary=True)
    assert sorted(grown.vectors.tokens) == ["cat", "dog", "sat"]
    english = SkipGram(dim=2, min_count=1, epochs=1, drop="english").fit(corpus)
    assert sorted(english.vectors.tokens) == ["cat", "dog", "mat", "sat"]
    english.save(tmp_path / "m.safetensors")
    assert SkipGram.load(tmp_path / "m.safetensors").drop == "english"
