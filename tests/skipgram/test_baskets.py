"""Models of baskets and of pairs: fitted in one step, continued, and measured on other baskets and pairs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import LineSplit

SETTINGS = {"dim": 4, "min_count": 1}


@pytest.mark.parametrize("weighting", ["flat", "share"])
def test_a_fit_to_baskets_is_one_to_their_counts(corpus, weighting):
    vocabulary = Vocabulary.from_corpus(corpus, 1)
    counts = Counts.from_baskets(corpus, vocabulary, weighting=weighting, max_contexts=20)
    model = SkipGram(baskets=weighting, max_contexts=20, **SETTINGS)
    assert_array_equal(model.count(corpus).to_scipy().data, counts.to_scipy().data)
    expected = SkipGram(**SETTINGS).fit(counts)
    assert_array_equal(model.fit(corpus).vectors.matrix, expected.vectors.matrix)
    for each in (model, expected):
        assert (each.windows_, each.baskets_, each.max_contexts_) == (None, weighting, 20)
        assert each.perplexity(corpus) == each.perplexity(counts) == pytest.approx(np.exp(each.trainer.nll(counts)))


def test_partial_fit_counts_new_baskets_in_the_same_way(corpus):
    model = SkipGram(baskets="share", epochs=2, **SETTINGS).fit(corpus[:60])
    twin = SkipGram(epochs=2, **SETTINGS).fit(model.count(corpus[:60]))
    model.partial_fit(corpus[60:])
    twin.partial_fit(Counts.from_baskets(corpus[60:], twin.vocabulary, weighting="share"))
    assert_array_equal(model.vectors.matrix, twin.vectors.matrix)
    assert len(model.history) == len(twin.history) == 4
    assert model.baskets_ == twin.baskets_ == "share"
    grown = model.partial_fit([["new", *basket] for basket in corpus[:5]], grow_vocabulary=True)
    assert grown.vocabulary.tokens[30:] == ("new",)


def test_baskets_can_be_held_out(corpus):
    model = SkipGram(baskets="flat", early_stopping=True, validation_fraction=0.3, **SETTINGS).fit(corpus)
    held_out = Counts.from_baskets(corpus, model.vocabulary, lines=LineSplit(0.3, 0, held_out=True))
    lowest = min(record["validation_nll"] for record in model.history)
    assert np.log(model.perplexity(held_out)) == pytest.approx(lowest, rel=1e-5)


def test_counts_of_windows_on_both_sides_are_aligned_side_by_side(corpus):
    model = SkipGram(window=2, sample=None, max_contexts=12, **SETTINGS).fit(corpus)
    vocabulary = Vocabulary(sorted(model.vocabulary.tokens)[:25], np.arange(25)[::-1])
    counts = Counts.from_corpus(corpus, vocabulary, window=2, weighting="harmonic", directed=True)
    known = [[token for token in line if token in vocabulary] for line in corpus]
    assert model.perplexity(counts) == pytest.approx(model.perplexity(known), rel=1e-6)


@pytest.fixture(scope="module")
def edges():
    """Edges of a ring of twelve nodes, whose names are integers."""
    return [(k, (k + 1) % 12) for k in range(12)] + [(k, (k + 2) % 12) for k in range(12)]


def test_pairs_are_fitted_in_one_line_and_continued_by_more_pairs(edges):
    """The rows of the new counts, which have another order, are found by their tokens."""
    model = SkipGram(**SETTINGS).fit(Counts.from_pairs(*zip(*edges, strict=True), symmetric=True))
    assert {name for name, _ in model.predict_output(["5"], topn=4)} == {"3", "4", "6", "7"}
    again = Counts.from_pairs(*zip(*edges[::-1], (12, 0), (12, 1), strict=True), symmetric=True)
    assert again.vocabulary.tokens != model.vocabulary.tokens
    one = model.perplexity(Counts.from_pairs([5], [6]))
    both = model.perplexity(Counts.from_pairs([5, 5], [6, 4]))
    p = dict(model.predict_output(5, topn=12))
    assert both**2 / one**2 == pytest.approx(p[6] / p[4], rel=1e-5)
    same = model.perplexity(again)  # the pairs of 12 are dropped
    model.partial_fit(again, grow_vocabulary=True)
    assert model.perplexity(again) < same
    assert model.vocabulary.tokens[12:] == ("12",)
    assert model.windows_ is model.baskets_ is None


def test_counts_that_were_counted_otherwise_are_rejected(corpus):
    model = SkipGram(window=2, sample=None, **SETTINGS).fit(corpus)
    baskets = Counts.from_baskets(corpus, model.vocabulary)
    with pytest.raises(ValueError, match=r"counts must be counted like .*Windows.*, got baskets with .*'flat'$"):
        model.perplexity(baskets)
    other = SkipGram(window=3, sample=None, **SETTINGS).count(corpus)
    before = model.vectors
    for call in (model.perplexity, model.partial_fit):
        with pytest.raises(ValueError, match=r"by .*window=\(2, 2\).*, got .*window=\(3, 3\)"):
            call(other)
    with pytest.raises(ValueError, match="counts have no tokens, by which the model would know them"):
        model.partial_fit(Counts.from_scipy(sparse.csr_array([[1]])))
    with pytest.raises(TypeError, match="validation_counts must be Counts, got ndarray"):
        model.partial_fit(model.count(corpus), validation_counts=np.eye(2))
    assert model.vectors is before


def test_counts_without_a_known_pair_are_rejected(edges):
    model = SkipGram(**SETTINGS).fit(Counts.from_pairs(*zip(*edges, strict=True)))
    with pytest.raises(ValueError, match="none of the pairs of these counts is of tokens and contexts that the model"):
        model.perplexity(Counts.from_pairs(["x"], ["y"]))


@pytest.mark.parametrize("weighting", ["flat", "share"])
def test_the_likelihood_rises_from_epoch_to_epoch(weighting):
    """In small sets, too, whose pairs are close to chance, so that the start is close to the optimum."""
    rng, items = np.random.default_rng(0), np.arange(120)
    liked = [(1 + 2 * (items % 4 == kind)) / np.sqrt(items + 1) for kind in range(4)]
    sizes = rng.integers(20, 40, 400)
    baskets = [rng.choice(items, n, False, liked[k % 4] / liked[k % 4].sum()).tolist() for k, n in enumerate(sizes)]
    model = SkipGram(baskets=weighting)
    counts = model.count(baskets)
    shares = counts.to_scipy().sum(axis=0) / counts.total
    unigram = -(shares @ np.log(shares))
    losses = [record["nll"] for record in model.fit(counts).history]
    assert losses == sorted(losses, reverse=True)
    assert np.log(model.perplexity(counts)) < losses[-1]
    assert np.log(SkipGram(baskets=weighting, epochs=1).fit(counts).perplexity(counts)) < min(losses[0], unigram)
