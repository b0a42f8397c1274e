"""From a corpus to its counts: raw documents, lines held out, a text that changes, limits of memory and vocabulary."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Classifier, Counts, Recommender, SkipGram, Vectors, Vocabulary
from fastembed.corpus import FileCorpus, Phrases
from fastembed.skipgram.estimate import Estimate

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}


def test_max_size_keeps_the_most_frequent_words(labelled):
    documents, _ = labelled
    whole = Vocabulary.from_corpus([text.split() for text in documents], 1)
    model = SkipGram(max_size=5, **SETTINGS).fit(documents)
    assert model.vocabulary.tokens == model.vectors.tokens == whole.tokens[:5]
    assert model.count(documents).shape == (5, 10)
    assert model.ledger.dropped["over max_size=5"] == whole.counts[5:].sum()


def test_max_size_holds_when_the_vocabulary_grows():
    model = SkipGram(max_size=7, **SETTINGS).fit(["lamb stew", "salt oven"])
    model.partial_fit(["new1 new2 new1 lamb", "new3 new1 new2 stew", "new4 lamb"], grow_vocabulary=True)
    assert model.vocabulary.tokens[4:] == ("new1", "new2", "new3")
    model.partial_fit(["lamb stew new5"], grow_vocabulary=True)
    model.set_params(max_size=2).partial_fit(["lamb stew new5"], grow_vocabulary=True)
    assert len(model.vocabulary) == 7
    model.set_params(max_size=None).partial_fit(["lamb stew new5"], grow_vocabulary=True)
    assert len(model.vocabulary) == 8
    with pytest.raises(ValueError, match=r"no pair: .*, and one is a context, which an added word is not$"):
        model.partial_fit(["new6 new7 new6"], grow_vocabulary=True)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_text_that_changes_between_its_readings_is_rejected(early_stopping):
    class Growing(list):
        def __iter__(self):
            self.append(["b", "a"])
            return super().__iter__()

    with pytest.raises(ValueError, match="the text changed between its two readings, from"):
        SkipGram(dim=2, min_count=1, epochs=1, early_stopping=early_stopping).fit(Growing([["a", "b"]] * 99))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("baskets", [None, "share"])
def test_a_memory_limit_changes_no_bit_and_leaves_nothing(
    corpus, early_stopping, baskets, tmp_path, monkeypatch, set_constant
):
    """Counts that fit are in memory, others in a store, whether all groups fit into the buffer of an epoch or not."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    set_constant("fastembed.counts.groups.GROUP_ROWS", 5)
    settings = SETTINGS | {"early_stopping": early_stopping, "baskets": baskets, "window": 12 if baskets else 2}
    plain, limited, stored, tight = (SkipGram(**settings) for _ in range(4))
    plain.fit(corpus)
    limited.fit(corpus, memory_limit=9 * 10**9)
    with monkeypatch.context() as patch:
        patch.setattr(Estimate, "in_memory_if_possible", lambda estimate: estimate)
        stored.fit(corpus, memory_limit=9 * 10**9)
        patch.setattr(Estimate, "pmi_limit", 1)  # the start is in a file
        patch.setattr(Estimate, "buffer_limit", 0)
        tight.fit(corpus, memory_limit=9 * 10**9)
    for model in (limited, stored, tight):
        assert_array_equal(model.vectors.matrix, plain.vectors.matrix)
        assert_array_equal(model.trainer.linear, plain.trainer.linear)
        assert (model.ledger, model.counts_sha256_) == (plain.ledger, plain.counts_sha256_)
    plain.partial_fit(corpus)
    limited.partial_fit(corpus, memory_limit=9 * 10**9)
    assert_array_equal(limited.vectors.matrix, plain.vectors.matrix)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_is_too_small_is_an_error_before_reading(corpus, monkeypatch):
    model = SkipGram(**SETTINGS)
    monkeypatch.setattr("fastembed.Vocabulary.from_corpus", None)
    with pytest.raises(MemoryError, match="memory_limit=10 MB"):
        model.fit(corpus, memory_limit=10**7)
    with pytest.raises(ValueError, match=r"^memory_limit \(bytes, .*\) must be at least 1000000, got \d$"):
        model.fit("missing", memory_limit=0)


def test_a_limit_below_what_more_training_takes_is_an_error_before_counting(corpus, monkeypatch):
    model = SkipGram(**SETTINGS).fit(corpus)
    monkeypatch.setattr("fastembed.skipgram.data.counting_memory", lambda *_: 10**9)
    monkeypatch.setattr("fastembed.Counts.from_corpus", None)
    with pytest.raises(MemoryError, match=r"^training .* above memory_limit=30 MB"):
        model.partial_fit(corpus, memory_limit=3 * 10**7)


def test_a_limit_that_the_counts_will_exceed_is_an_error_before_they_are_counted(tmp_path):
    """In a process without other memory."""
    ids = np.random.default_rng(0).integers(3000, size=200_000)
    (tmp_path / "text").write_text(
        "\n".join(" ".join(map(str, line)) for line in ids.reshape(-1, 100)), encoding="utf-8"
    )
    code = (
        "from fastembed import SkipGram\n"
        "class Progress:\n"
        "    def reading(self, done, total): ...\n"
        "    counting = training = epoch = reading\n"
        "SkipGram(dim=4, threads=1).fit('text', memory_limit=130_000_000, progress=Progress())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert "MemoryError: training 3,000 words on 6,000 outputs in 4 dimensions takes at least " in ended.stderr


def test_a_field_holds_the_texts_in_every_call_and_counts_have_none():
    texts = ["lamb stew salt", "salt stew oven"] * 5
    records = [{"id": k, "text": text} for k, text in enumerate(texts)]
    plain, model = SkipGram(**SETTINGS).fit(texts), SkipGram(**SETTINGS).fit(records, field="text")
    counts = model.count(records, field="text")
    assert (counts.to_scipy() != plain.count(texts).to_scipy()).nnz == 0
    assert model.perplexity(records, field="text") == plain.perplexity(texts)
    plain.partial_fit(texts)
    model.partial_fit(records, field="text")
    assert_array_equal(model.transform(records, field="text"), plain.transform(texts))
    for call in (model.fit, model.partial_fit, model.perplexity):
        with pytest.raises(
            TypeError, match=r"^a corpus is a path or documents; Counts.from_graph reads graphs; got <Counts"
        ):
            call(counts, field="text")


def test_names_of_files_in_a_list_are_not_taken_as_texts(tmp_path, monkeypatch):
    names = ["a.txt", "b.txt"]
    assert SkipGram(min_count=1).fit(["a.txt b", "b.txt a.txt"]).transform(names).any()
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).touch()
    model = SkipGram(min_count=1).fit(["a.txt", "a.txt b.txt"])
    readers = (
        SkipGram(min_count=1).fit,
        model.partial_fit,
        model.count,
        model.perplexity,
        Vocabulary.from_corpus,
        lambda texts: Counts.from_corpus(texts, model.vocabulary),
        lambda texts: Counts.from_baskets(texts, model.vocabulary),
        Phrases.from_corpus,
    )
    for read in readers:
        with pytest.raises(TypeError, match=r"is a text: for files pass one str, or \[pathlib.Path\('a.txt'\), ...\]$"):
            read(names)
    assert model.transform(names).any()  # an answer does not depend on files


def test_it_is_an_error_if_no_line_is_held_out():
    """One line: all of it is on one side."""
    for baskets in (None, "flat"):
        model = SkipGram(early_stopping=True, validation_fraction=1e-9, baskets=baskets, **SETTINGS)
        with pytest.raises(ValueError, match=r"^too few lines to hold some out: .* not held out.*; add some, or raise"):
            model.fit([["a", "b", "a"]])


def test_counts_are_no_text_and_no_file(tmp_path):
    """The error names the call for counts."""
    model, store = SkipGram(**SETTINGS), tmp_path / "w.counts"
    model.count(["a b", "b c"]).save(store)
    opened = re.escape(f"{str(store)!r} holds counts: pass Counts.open({str(store)!r}), or --counts {store}")
    for read in (model.fit, Vocabulary.from_corpus, FileCorpus, Classifier().fit, Counts.from_graph, Recommender().fit):
        with pytest.raises(ValueError, match=f"^{opened}$"):
            read(store)
    for load in (Vectors.load, SkipGram.load, Classifier.load):
        with pytest.raises(
            IsADirectoryError, match=r"w.counts' is a folder: of counts, .* SkipGram.fit learns vectors$"
        ):
            load(store)
