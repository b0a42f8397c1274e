"""Training: callbacks, the state after an exception, early stopping, training on more text, quality figures."""

import copy
import re
from dataclasses import asdict

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastembed import Counts, SkipGram, Vectors, Vocabulary
from fastembed.corpus import LineSplit

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None}
LEARNED = (
    "vocabulary", "ledger", "windows_", "max_contexts_", "counts_sha256_", "trainer", "centre_", "history", "vectors",
    "baskets_",
)  # fmt: skip


def state(model):
    """All that a fit learns."""
    return {name: getattr(model, name) for name in LEARNED}


def raising(error, epoch):
    """A callback that raises at the end of an epoch."""

    def callback(record):
        if record["epoch"] == epoch:
            raise error

    return callback


def test_a_callback_sees_the_model_after_each_epoch(corpus):
    records, matrices = [], []

    def look(record):
        assert model.history[-1] == record
        assert isinstance(model.vectors, Vectors)
        assert_array_equal(model.vectors.matrix, model.trainer.embedding)
        assert model.perplexity(corpus) > 1
        assert model.vectors.most_similar("w03", topn=1)
        records.append(record)
        matrices.append(model.vectors.matrix)

    model = SkipGram(epochs=3, **SETTINGS)
    assert model.fit(corpus, on_epoch_end=look) is model
    assert records == model.history
    assert_array_equal(matrices[-1], model.vectors.matrix)
    assert (matrices[0] != matrices[1]).any()
    plain = SkipGram(epochs=3, **SETTINGS).fit(corpus)
    assert_array_equal(plain.vectors.matrix, model.vectors.matrix)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_fit_that_fails_leaves_a_fitted_model_as_it_was(corpus, error):
    model = SkipGram(epochs=2, **SETTINGS).fit(corpus)
    before, matrix = state(model), model.vectors.matrix.copy()
    with pytest.raises(error):
        model.fit(corpus[:20], on_epoch_end=raising(error, 1))
    assert all(getattr(model, name) is value for name, value in before.items())
    assert len(model.history) == 2
    assert_array_equal(model.vectors.matrix, matrix)
    assert_array_equal(model.trainer.embedding, matrix)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_first_fit_that_fails_keeps_what_was_learned(corpus, error):
    model = SkipGram(epochs=3, **SETTINGS)
    with pytest.raises(error):
        model.fit(corpus, on_epoch_end=raising(error, 3))
    assert len(model.history) == 2
    stopped = SkipGram(epochs=3, **SETTINGS).fit(corpus, on_epoch_end=lambda record: record["epoch"] == 2)
    assert_array_equal(model.vectors.matrix, stopped.vectors.matrix)
    assert model.perplexity(corpus) == stopped.perplexity(corpus)


def test_early_stopping_returns_to_the_best_epoch():
    rng = np.random.default_rng(5)
    noise = [[f"w{w:02d}" for w in line] for line in rng.integers(30, size=(60, 8))]
    kept = []
    model = SkipGram(epochs=30, early_stopping=True, validation_fraction=0.4, n_iter_no_change=3, **SETTINGS)
    model.fit(noise, on_epoch_end=lambda _: kept.append(model.vectors.matrix))
    nlls = [record["validation_nll"] for record in model.history]
    best = int(np.argmin(nlls))
    assert len(nlls) == best + 4 < 30
    assert_array_equal(model.vectors.matrix, kept[best])
    held_out = Counts.from_corpus(
        noise, model.vocabulary, lines=LineSplit(0.4, 0, True), window=2, weighting="harmonic", directed=True
    )
    assert model.trainer.nll(held_out) == pytest.approx(nlls[best], rel=1e-6)
    assert model.best_epoch_ == best + 1
    assert [record["epoch"] for record in model.history if record["kept"]] == [best + 1]
    twice = SkipGram(**model.get_params()).fit(noise)
    assert_array_equal(twice.vectors.matrix, model.vectors.matrix)


@pytest.mark.parametrize("baskets", [None, "share"])
def test_the_ledger_counts_lines_held_out_as_held_out(corpus, baskets):
    options = {"early_stopping": True, "validation_fraction": 0.3, "min_count": 40, "baskets": baskets}
    model = SkipGram(**SETTINGS | options | ({"window": 12} if baskets else {})).fit(corpus)
    split = LineSplit(0.3, 0, held_out=True)
    known = Counts.from_corpus(corpus, model.vocabulary, lines=split).ledger
    ledger = model.ledger
    assert ledger.dropped["held out"] == known.tokens_used > 0
    assert ledger.dropped["below min_count=40"] > 0
    assert ledger.tokens_read == ledger.tokens_used + sum(ledger.dropped.values()) == sum(map(len, corpus))
    assert re.search(r"dropped [\d,]+ \(.*below min_count=40, [\d,]+ held out\)$", ledger.summary())
    more = model.partial_fit(corpus).ledger
    assert more.dropped["held out"] == known.tokens_used
    assert "held out" not in SkipGram(**SETTINGS).fit(corpus).ledger.dropped


def test_early_stopping_on_counts_needs_validation_counts(corpus):
    model = SkipGram(early_stopping=True, **SETTINGS)
    counts = model.count(corpus)
    with pytest.raises(ValueError, match="early_stopping needs validation_counts: counts have"):
        model.fit(counts)
    with pytest.raises(ValueError, match="validation_counts must have shape"):
        model.fit(counts, validation_counts=Counts.from_scipy(sparse.csr_array([[1]])))
    turned = Vocabulary(counts.vocabulary.tokens[::-1], counts.vocabulary.counts[::-1])
    how = asdict(counts.windows)
    with pytest.raises(ValueError, match="validation_counts must have the tokens of counts: count both with one Vocab"):
        model.fit(counts, validation_counts=Counts.from_corpus(corpus, turned, **how))
    with pytest.raises(ValueError, match=r"validation_counts must be counted like counts, by Windows.*, got Windows"):
        model.fit(counts, validation_counts=Counts.from_corpus(corpus, counts.vocabulary, **how | {"window": 1}))
    assert not hasattr(model, "trainer")
    model.fit(counts, validation_counts=counts)
    assert "validation_nll" in model.history[0]


def test_a_first_partial_fit_is_a_fit(corpus):
    first, fitted = SkipGram(**SETTINGS).partial_fit(corpus), SkipGram(**SETTINGS).fit(corpus)
    assert_array_equal(first.vectors.matrix, fitted.vectors.matrix)


def test_partial_fit_trains_on_the_new_text_alone(corpus):
    """It is `Trainer.fit_counts` on the new counts with a warm start and half the rates, on a copy of the trainer."""
    settings = SETTINGS | {"sample": 1e-2, "max_contexts": 20}
    model = SkipGram(epochs=2, **settings).fit(corpus[:60])
    old, vectors, history = model.trainer, model.vectors.matrix.copy(), list(model.history)
    windows = model.windows_
    counts = Counts.from_corpus(corpus[60:], model.vocabulary, **asdict(windows))
    trainer = old.grown(old.embedding[:0])
    expected = trainer.fit_counts(counts, epochs=2, warm_start=True, learning_rate=0.35, linear_learning_rate=0.5)
    assert model.partial_fit(corpus[60:]) is model
    assert_array_equal(model.trainer.embedding, trainer.embedding)
    assert_array_equal(model.trainer.linear, trainer.linear)
    assert_array_equal(model.vectors.matrix, trainer.embedding)
    assert_array_equal(old.embedding, vectors)
    assert model.history[:2] == history
    assert [record["nll"] for record in model.history[2:]] == [record["nll"] for record in expected]
    assert (model.windows_, model.max_contexts_) == (windows, 20)
    assert model.ledger.lines == 20


@pytest.mark.parametrize("grow", [False, True])
def test_replayed_counts_are_trained_on_together_with_the_new_ones(corpus, grow):
    """It is `Trainer.fit_counts` on the sum of the counts with a warm start, also for a vocabulary that grows."""
    model = SkipGram(epochs=2, **SETTINGS | {"sample": 1e-2, "max_contexts": 20})
    counts = model.count(corpus[:60])
    old = model.fit(counts).trainer
    new = [[{"w05": "new"}.get(word, word) for word in line] for line in corpus[60:]]
    alone, together = copy.copy(model), copy.copy(model)
    alone.partial_fit(new, grow_vocabulary=grow)
    together.partial_fit(new, grow_vocabulary=grow, replay=counts)
    assert together.vocabulary.tokens == alone.vocabulary.tokens
    assert together.perplexity(corpus[:60]) < alone.perplexity(corpus[:60])
    if not grow:
        both = counts.to_scipy() + Counts.from_corpus(new, model.vocabulary, **asdict(model.windows_)).to_scipy()
        trainer = old.grown(old.embedding[:0])
        trainer.fit_counts(both, epochs=2, warm_start=True)
        assert_array_equal(together.trainer.embedding, trainer.embedding)
        by_counts = copy.copy(model)
        by_counts.partial_fit(Counts.from_corpus(new, model.vocabulary, **asdict(model.windows_)), replay=counts)
        assert_array_equal(by_counts.trainer.embedding, trainer.embedding)


def test_counts_to_replay_must_be_those_of_the_model(corpus):
    model = SkipGram(**SETTINGS)
    counts = model.count(corpus)
    with pytest.raises(ValueError, match="nothing to replay: this SkipGram has not been fitted yet"):
        model.partial_fit(corpus, replay=counts)
    model.fit(counts)
    with pytest.raises(TypeError, match="replay must be Counts, got list"):
        model.partial_fit(corpus, replay=[])
    other = SkipGram(**SETTINGS | {"window": 1}).count(corpus)
    for partial_fit, new in ((model.partial_fit, corpus), (model.partial_fit, counts)):
        with pytest.raises(ValueError, match="replay must be counted like the counts of the model, by"):
            partial_fit(new, replay=other)


def test_partial_fit_grows_the_vocabulary(corpus):
    """New words get rows after the old ones, near words with the same neighbours; ids stay the same."""
    model = SkipGram(epochs=3, **SETTINGS).fit(corpus)
    tokens, shape = model.vocabulary.tokens, model.trainer.linear.shape
    known = model.vectors.matrix.copy()
    new = [[{"w05": "new"}.get(word, word) for word in line] + ["once"] * (i == 0) for i, line in enumerate(corpus)]
    seen = []
    model.min_count = 2
    model.partial_fit(new, grow_vocabulary=True, on_epoch_end=lambda _: seen.append(model.vectors))
    assert model.vocabulary.tokens == (*tokens, "new")
    assert model.vectors.tokens == model.vocabulary.tokens
    assert model.vocabulary["w07"] == tokens.index("w07")
    assert model.trainer.linear.shape == shape
    assert model.max_contexts_ == 30
    assert_array_equal(model.vectors["w05"], known[tokens.index("w05")])  # not in the new text
    assert {"w04", "w05", "w06"} & {token for token, _ in model.vectors.most_similar("new", topn=3)}
    assert len(seen[0]) == 31
    assert model.perplexity(new) < model.perplexity(corpus[::-1]) * 2
    again = model.partial_fit(new[:9], grow_vocabulary=True)
    assert again.vocabulary.appended == 1
    few = copy.deepcopy(model).set_params(min_count=99).partial_fit(new[:9], grow_vocabulary=True)  # no word is added
    assert_array_equal(few.vectors.matrix, model.partial_fit(new[:9]).vectors.matrix)


@pytest.mark.filterwarnings("ignore:the model knows few")
@pytest.mark.parametrize("grow", [False, True])
def test_a_partial_fit_that_fails_leaves_the_model_as_it_was(corpus, grow):
    model = SkipGram(epochs=2, **SETTINGS).fit(corpus)
    before, matrix = state(model), model.vectors.matrix.copy()
    for text, error in ((corpus, KeyboardInterrupt), ([["no", "word"]], ValueError)):
        if grow and error is ValueError:
            continue
        with pytest.raises(error):
            model.partial_fit(text, grow_vocabulary=grow, on_epoch_end=raising(KeyboardInterrupt, 1))
        assert all(getattr(model, name) is value for name, value in before.items())
        assert len(model.history) == 2
        assert_array_equal(model.trainer.embedding, matrix)


@pytest.mark.parametrize(("name", "value"), [("dim", 3), ("subwords", True)])
def test_a_model_does_not_go_on_with_parameters_of_another_shape(corpus, name, value):
    model = SkipGram(epochs=1, **SETTINGS).fit(corpus)
    before = state(model)
    with pytest.raises(ValueError, match=f"{name}="):
        model.set_params(**{name: value}).partial_fit(corpus)
    assert all(value is before[name] for name, value in state(model).items())


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", 3), ("weighting", "flat"), ("sample", None), ("directed", False), ("baskets", "flat")],
)
def test_partial_fit_of_a_text_refuses_other_windows(name, value):
    documents = ["a b c d e", "b c d a e"]
    model = SkipGram(dim=2, min_count=1, epochs=1, threads=1).fit(documents)
    model.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"^{name}={value!r} is set, but the model has {name}="):
        model.partial_fit(documents)
    other = SkipGram(dim=2, min_count=1, epochs=1, threads=1, **{name: value}).fit(documents)
    other.partial_fit(documents)
    SkipGram(dim=2, epochs=1, threads=1).fit(other.count(documents)).partial_fit(documents)  # with the defaults


def test_partial_fit_needs_a_text(corpus):
    vocabulary = Vocabulary.from_corpus(corpus, 1)
    pairs = Counts.from_baskets(corpus, vocabulary) + Counts.from_scipy(
        sparse.coo_array(([1], ([0], [1])), shape=(30, 30))
    )
    model = SkipGram(**SETTINGS | {"window": 12}).fit(pairs)
    for call in (model.partial_fit, model.perplexity):
        with pytest.raises(ValueError, match="fitted to counts of pairs: it takes Counts"):
            call(corpus)
    with pytest.raises(TypeError, match="grow_vocabulary must be True or False, got 'yes'"):
        model.partial_fit(corpus, grow_vocabulary="yes")


def test_a_callback_cannot_fit_its_own_model():
    """It would mix two vocabularies. It may fit another one."""
    corpus = [["a", "b"], ["b", "c"]]
    model = SkipGram(**SETTINGS)
    for name in ("fit", "partial_fit"):
        with pytest.raises(RuntimeError, match="this SkipGram is in a fit"):
            model.fit(corpus, on_epoch_end=lambda _, name=name: getattr(model, name)(corpus))
    model.fit(corpus, on_epoch_end=lambda _: SkipGram(**SETTINGS).fit(corpus) and None)
