"""`SkipGramOptions`: which parameters are accepted, and how many words are contexts."""

import pytest

from fastembed import Classifier, Recommender, SkipGram


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("dim", "x", TypeError, "dim must be an integer, got 'x'"),
        ("max_size", 0, ValueError, "max_size must be at least 1, got 0"),
        ("max_contexts", 0, ValueError, "max_contexts, if it is a number, must be at least 1, got 0"),
        ("weighting", ["flat"], ValueError, r"weighting must be one of .*, got \['flat'\]"),
        ("sample", "1e-3", TypeError, "sample, if not None, must be a number, got '1e-3'"),
        ("early_stopping", 1, TypeError, "early_stopping must be True or False, got 1"),
        ("validation_fraction", 0, ValueError, "validation_fraction must be finite and above 0 and at most 0.5, got 0"),
        ("n_iter_no_change", 0, ValueError, "n_iter_no_change must be at least 1, got 0"),
        ("baskets", "windows", ValueError, "baskets, if not None, must be one of flat, share, got 'windows'"),
        ("drop", "the", TypeError, "drop must be a list of tokens, 'english' or None, got 'the'"),
        ("keep_only", [], ValueError, "keep_only must hold at least one token, got an empty list"),
        ("keep_only", [1], TypeError, "keep_only must hold strings, got 1"),
    ],
)
def test_parameters_are_checked_before_anything_is_read(tmp_path, name, value, error, message):
    model, missing = SkipGram().set_params(**{name: value}), tmp_path / "missing"
    for call in (model.fit, model.partial_fit, model.count, model.fit_transform):
        with pytest.raises(error, match=message):
            call(missing)


@pytest.mark.parametrize("kind", [SkipGram, Classifier, Recommender])
def test_data_are_no_parameter(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} takes parameters by name; pass data to fit, got "):
        kind([["a", "b"]], dim=5)


def test_an_unknown_parameter_is_named_with_the_parameter_that_it_is_here():
    with pytest.raises(TypeError, match="SkipGram has no parameter 'vector_size': it is dim here"):
        SkipGram(vector_size=100)
    for name in ("negative", "bucket"):
        with pytest.raises(TypeError, match=rf"SkipGram has no parameter '{name}'$"):
            SkipGram(**{name: 5})
    for kind, name, here in (
        (SkipGram, "epoch", "epochs"),
        (Classifier, "minCount", "min_count"),
        (Classifier, "wordNgrams", "ngrams"),
        (Classifier, "lr", "learning_rate"),
        (Classifier, "random_state", "seed"),
        (SkipGram, "size", "dim"),
        (SkipGram, "min_n", "subwords"),
        (SkipGram, "words", "reading"),
        (Classifier, "minn", "chars"),
        (Recommender, "factors", "dim"),
        (Recommender, "iterations", "epochs"),
    ):
        for call, error in ((kind, TypeError), (kind().set_params, ValueError)):
            with pytest.raises(error, match=f"^{kind.__name__} has no parameter '{name}': it is {here} here$"):
                call(**{name: 3})


@pytest.mark.parametrize(
    ("words", "contexts"), [(1, 1), (16_384, 16_384), (20_000, 16_384), (40_000, 20_000), (1_000_000, 24_576)]
)
def test_the_number_of_contexts_depends_on_the_size_of_the_vocabulary(words, contexts):
    assert SkipGram()._options().contexts(words) == contexts
    assert SkipGram(max_contexts=None)._options().contexts(words) == words
    assert SkipGram(max_contexts=30_000)._options().contexts(words) == min(words, 30_000)
