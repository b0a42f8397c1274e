"""How a text was read belongs to the model: other texts are read alike, and another way is warned of."""

import re

import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, SkipGram
from fastembed.corpus import FileCorpus, Reading
from fastembed.evaluation import held_out_items
from fastembed.skipgram.model import read_reading

TEXT = "The King of France met the Queen of Spain.\nThe queen of France, a king of Spain?\n" * 10
SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 2, "threads": 1}
WORDS = Reading(words=True)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def fitted(how, path):
    """Return a model whose text was read as words: by the parameter, by the corpus, from memory, by counts."""
    if how == "parameter":
        return SkipGram(**SETTINGS, reading=WORDS).fit(path)
    if how == "documents":
        return SkipGram(**SETTINGS, reading=WORDS).fit(TEXT.splitlines())
    if how == "counts":
        model = SkipGram(**SETTINGS)
        model.count(FileCorpus(path, reading=Reading(words=True))).save(path.with_suffix(".counts"))
        return model.fit(Counts.open(path.with_suffix(".counts")))
    return SkipGram(**SETTINGS).fit(FileCorpus(path, reading=Reading(words=True)))


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("how", ["parameter", "corpus", "documents", "counts"])
def test_other_texts_are_read_as_the_text_of_the_model(path, how, saved):
    model = fitted(how, path)
    assert model.reading_ == WORDS
    if saved:
        model.save(path.with_suffix(".safetensors"))
        assert read_reading(path.with_suffix(".safetensors")) == WORDS
        model, parameter = SkipGram.load(path.with_suffix(".safetensors")), model.reading
        assert (model.reading, model.reading_) == (parameter, WORDS)
    assert_array_equal(model.transform(["The King, OF Spain."]), model.transform([["the", "king", "of", "spain"]]))
    lines = [line.split() for line in TEXT.lower().replace(".", "").replace(",", "").replace("?", "").splitlines()]
    assert model.perplexity(path) == model.perplexity(TEXT.splitlines()) == model.perplexity(lines)
    assert model.predict_output("King,") == model.predict_output("king")
    assert model.predict_outputs([["King", "QUEEN"]]) == model.predict_outputs([["king", "queen"]])
    other = fitted(how, path)
    assert_array_equal(model.partial_fit(path).vectors.matrix, other.partial_fit(lines).vectors.matrix)
    assert model.reading_ == WORDS


def test_another_reading_is_warned_of_and_followed(path):
    model = SkipGram(**SETTINGS).fit(FileCorpus(path, reading=Reading(words=True)))
    message = r"read by Reading\(lowercase=True\), but that of the model was read by Reading\(words=True\)"
    lower = FileCorpus(path, reading=Reading(lowercase=True))
    for call in (model.perplexity, model.transform, lambda text: held_out_items(model, text), model.partial_fit):
        with pytest.warns(UserWarning, match=message):
            call(lower)
    model.set_params(reading=Reading(lowercase=True))
    with pytest.warns(UserWarning, match=message):
        found = model.transform(["king, OF"])
    assert_array_equal(found[0], model.vectors["of"])
    model.set_params(reading=Reading(words=True, errors="replace")).perplexity(path)  # the tokens are the same
    model.perplexity([["king", "of"]] * 3)


def test_counts_of_a_text_that_was_read_in_another_way_are_warned_of(path):
    model = fitted("parameter", path)
    other = SkipGram(**SETTINGS, reading=Reading(words=True, keep_case=True)).count(path)
    read = (
        r" was read by Reading\(words=True, keep_case=True\), but that of the model was read by Reading\(words=True\)"
    )
    with pytest.warns(UserWarning, match=f"the text of counts{read}") as warned:
        model.perplexity(other)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=f"the text of replay{read}"):
        model.partial_fit(path, replay=other)


def test_a_model_of_a_tokenizer_asks_for_it_after_loading(path):
    tokenizer = re.compile(r"\w+").findall
    model = SkipGram(**SETTINGS).fit(FileCorpus(path, reading=Reading(tokenizer=tokenizer)))
    expected = model.transform(["King of"])
    model.save(path.with_suffix(".safetensors"))
    loaded = SkipGram.load(path.with_suffix(".safetensors"))
    with pytest.raises(ValueError, match=r"lacks the tokenizer Pattern\.findall: pass tokens, or call set_params"):
        loaded.transform(["King of"])
    assert_array_equal(loaded.transform([["King", "of"]]), expected)
    found = loaded.set_params(reading=Reading(tokenizer=tokenizer)).transform(["King of"])
    assert_array_equal(found, expected)
