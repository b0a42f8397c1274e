"""Checkpoints of `SkipGram.fit`: the same bits after an interruption."""

import pytest

from fastembed import Counts, SkipGram
from fastembed.corpus import DocumentCorpus
from fastembed.skipgram.estimate import Estimate
from fastembed.trainer.blocks import BlockSteps

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 4, "threads": 1}


class Stop(Exception):
    """The exception that interrupts a fit in these tests, like a Ctrl-C."""


@pytest.fixture
def path(tmp_path):
    """A file for a checkpoint."""
    return tmp_path / "checkpoint"


@pytest.fixture
def text(tmp_path, corpus):
    """The corpus as a file."""
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(" ".join(line) for line in corpus), encoding="utf-8")
    return file


@pytest.fixture
def interrupted_in(monkeypatch):
    """Let a call be interrupted at the end of an epoch; return whether it was."""

    def interrupted(epoch, call):
        run = BlockSteps.epoch

        def stop(self, number, rng):
            nll = run(self, number, rng)
            if number == epoch:
                raise Stop
            return nll

        with monkeypatch.context() as patch:
            patch.setattr(BlockSteps, "epoch", stop)
            try:
                call()
            except Stop:
                return True
        return False

    return interrupted


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True, "validation_fraction": 0.3}, {"subwords": (1, 3)}])
@pytest.mark.parametrize("form", ["file", "limited", "lists", "documents"])
def test_a_fit_goes_on_to_the_same_bits(
    corpus, text, path, interrupted_in, set_constant, settings, form, assert_same, monkeypatch
):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 10)
    monkeypatch.setattr(Estimate, "in_memory_if_possible", lambda estimate: estimate)
    documents = DocumentCorpus([" ".join(line) for line in corpus])
    source = {"file": text, "limited": text, "lists": corpus, "documents": documents}[form]
    limit = {"checkpoint": path, "memory_limit": 9 * 10**9 if form == "limited" else None}
    settings = SETTINGS | settings
    expected = SkipGram(**settings).fit(source)
    for done in (2, 3):
        model = SkipGram(**settings)
        assert interrupted_in(done + 1, lambda model=model: model.fit(source, **limit))
        assert [record["epoch"] for record in model.history] == list(range(1, done + 1))
    histories = []
    found = SkipGram(**settings | {"threads": 3})
    found.fit(source, **limit, on_epoch_end=lambda _: histories.append(len(found.history)))
    assert histories == [4]
    assert_same(found, expected)
    again = SkipGram(**settings).fit(source, **limit)
    assert_same(again, expected)
    assert again.history == found.history


def test_counts_go_on_from_memory_or_a_store(corpus, path, tmp_path, interrupted_in, assert_same):
    counts = SkipGram(**SETTINGS).count(corpus)
    expected = SkipGram(**SETTINGS).fit(counts)
    counts.save(tmp_path / "store")
    assert interrupted_in(3, lambda: SkipGram(**SETTINGS).fit(counts, checkpoint=path))
    assert_same(SkipGram(**SETTINGS).fit(Counts.open(tmp_path / "store"), checkpoint=path), expected)


def test_a_text_that_has_changed_is_another_fit(text, path):
    SkipGram(**SETTINGS).fit(text, checkpoint=path)
    with text.open("a", encoding="utf-8") as file:
        file.write(" w01")
    with pytest.raises(ValueError, match="is of a fit with other counts: delete it"):
        SkipGram(**SETTINGS).fit(text, checkpoint=path)


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"seed": 9}, "another seed or start"), ({"dim": 3}, "dim=.* instead of 3"), ({"window": 1}, "other counts")],
)
def test_a_checkpoint_of_other_parameters_names_the_difference(text, path, changed, what):
    SkipGram(**SETTINGS).fit(text, checkpoint=path)
    with pytest.raises(ValueError, match=f"is of a fit with {what}: delete it, or pass another path"):
        SkipGram(**SETTINGS | changed).fit(text, checkpoint=path)
