"""Checkpoints of `SkipGram`: the same bits after an interruption, counts that are kept, and texts that have changed."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, SkipGram
from fastembed.corpus import DocumentCorpus, FileCorpus, Reading
from fastembed.skipgram import training
from fastembed.trainer.blocks import BlockSteps

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 4, "threads": 1}


class Stop(Exception):
    """The exception that interrupts a fit in these tests, like a Ctrl-C."""


@pytest.fixture
def path(tmp_path):
    """A file for a checkpoint, as text."""
    return str(tmp_path / "checkpoint")


@pytest.fixture
def text(tmp_path, corpus):
    """The corpus as a file."""
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(" ".join(line) for line in corpus), encoding="utf-8")
    return file


@pytest.fixture
def interrupted_in(monkeypatch):
    """Let a call be interrupted after the block of an epoch; return whether it was."""

    def interrupted(epoch, call):
        run = BlockSteps.epoch

        def stop(self, number, *arguments):
            def after_block():
                if number == epoch:
                    raise Stop

            return run(self, number, *arguments[:-1], after_block)

        with monkeypatch.context() as patch:
            patch.setattr(BlockSteps, "epoch", stop)
            try:
                call()
            except Stop:
                return True
        return False

    return interrupted


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("form", ["file", "limited", "lists", "documents"])
def test_a_fit_goes_on_to_the_same_bits_and_counts_nothing_twice(
    corpus, text, path, interrupted_in, monkeypatch, set_constant, early_stopping, form, assert_same
):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 10)
    documents = DocumentCorpus([" ".join(line) for line in corpus])
    source = {"file": text, "limited": text, "lists": corpus, "documents": documents}[form]
    limit = {"checkpoint": path, "memory_limit": 9 * 10**9 if form == "limited" else None}
    settings = SETTINGS | ({"early_stopping": True, "validation_fraction": 0.3} if early_stopping else {})
    expected = SkipGram(**settings).fit(source)
    for epoch in (1, 3):
        assert interrupted_in(epoch, lambda: SkipGram(**settings).fit(source, **limit))
        assert Path(f"{path}.held-out").is_dir() == early_stopping
    with monkeypatch.context() as patch:
        patch.setattr(Counts, "from_corpus", lambda *_, **__: pytest.fail("the text was counted again"))
        patch.setattr(training, "svd_start", lambda *_: pytest.fail("training began again"))
        found = SkipGram(**settings | {"threads": 3}).fit(source, **limit)
    assert_same(found, expected)


def test_a_fit_of_subwords_goes_on_to_the_same_bits(text, path, interrupted_in, assert_same):
    settings = SETTINGS | {"subwords": (1, 3), "early_stopping": True, "validation_fraction": 0.3}
    expected = SkipGram(**settings).fit(text)
    for epoch in (1, 3):
        assert interrupted_in(epoch, lambda: SkipGram(**settings).fit(text, checkpoint=path))
    with pytest.raises(ValueError, match="is that of another fit, with subwords "):
        SkipGram(**settings | {"subwords": (1, 4)}).fit(text, checkpoint=path)
    found = SkipGram(**settings | {"threads": 3}).fit(text, checkpoint=path)
    assert_same(found, expected)
    assert_array_equal(found.vectors["w"], expected.vectors["w"])
    again = pickle.loads(pickle.dumps(expected))
    expected.partial_fit(text, grow_vocabulary=True)
    assert interrupted_in(2, lambda: again.partial_fit(text, grow_vocabulary=True, checkpoint=f"{path}2"))
    assert_same(again.partial_fit(text, grow_vocabulary=True, checkpoint=f"{path}2"), expected)


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("grow", [False, True])
def test_partial_fit_goes_on_to_the_same_bits(corpus, path, interrupted_in, replayed, grow, assert_same):
    more = [[*line[:5], "new", "words"] for line in corpus[:30]]
    base = SkipGram(**SETTINGS).fit(corpus)
    options = {"grow_vocabulary": grow, "replay": base.count(corpus) if replayed else None}
    if replayed:
        options["replay"] = SkipGram(**SETTINGS).count(corpus)
    expected, interrupted, again = (pickle.loads(pickle.dumps(base)) for _ in range(3))
    expected.partial_fit(more, **options)
    assert interrupted_in(2, lambda: interrupted.partial_fit(more, checkpoint=path, **options))
    assert_array_equal(interrupted.vectors.matrix, base.vectors.matrix)
    assert_same(again.partial_fit(more, checkpoint=path, **options), expected)
    with pytest.raises(ValueError, match="with model "):
        again.partial_fit(more, checkpoint=path, **options)  # from where the first call has ended


@pytest.mark.parametrize("store", [False, True])
def test_counts_that_are_given_are_not_kept(corpus, path, tmp_path, interrupted_in, store, assert_same):
    """In memory or in a store."""
    counts = SkipGram(**SETTINGS).count(corpus)
    expected = SkipGram(**SETTINGS).fit(counts)
    if store:
        counts.store(tmp_path / "store")
        counts = Counts.open(tmp_path / "store")
    before = set(tmp_path.iterdir())
    assert interrupted_in(2, lambda: SkipGram(**SETTINGS).fit(counts, checkpoint=path))
    assert [file.name for file in set(tmp_path.iterdir()) - before] == ["checkpoint"]
    assert_same(SkipGram(**SETTINGS).fit(counts, checkpoint=path), expected)
    more = expected.partial_fit(counts)
    base = SkipGram(**SETTINGS).fit(counts)
    assert interrupted_in(2, lambda: base.partial_fit(counts, checkpoint=f"{path}2"))
    assert_same(base.partial_fit(counts, checkpoint=f"{path}2"), more)
    other = SkipGram(**SETTINGS).count(corpus[1:])
    with pytest.raises(ValueError, match="with counts '"):
        SkipGram(**SETTINGS).fit(other, checkpoint=path)


def test_files_go_when_the_model_is_saved_unless_they_are_kept(corpus, path, tmp_path):
    for keep in (False, True):
        model = SkipGram(**SETTINGS, early_stopping=True)

        def save(record, model):
            model.save(tmp_path / "epoch.safetensors")

        model.fit(corpus, checkpoint=path, keep_checkpoint=keep, on_epoch_end=save)
        files = {"checkpoint", "checkpoint.counts", "checkpoint.held-out"}
        assert files < {file.name for file in tmp_path.iterdir()}
        pickle.loads(pickle.dumps(model)).save(tmp_path / "copy.safetensors")
        assert files < {file.name for file in tmp_path.iterdir()}
        model.save(tmp_path / "model.safetensors")
        assert bool(files & {file.name for file in tmp_path.iterdir()}) == keep


def test_a_text_that_has_changed_is_named(text, path, interrupted_in):
    assert interrupted_in(2, lambda: SkipGram(**SETTINGS).fit(text, checkpoint=path))
    before = text.stat()
    os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    with pytest.raises(ValueError, match=r"corpus.txt' has changed since '.*checkpoint.counts' .* changed was"):
        SkipGram(**SETTINGS).fit(text, checkpoint=path)
    os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = text.with_name("other.txt")
    other.write_bytes(text.read_bytes())
    with pytest.raises(ValueError, match=r"was counted from other files: '.*corpus.txt' instead of '.*other.txt'"):
        SkipGram(**SETTINGS).fit(other, checkpoint=path)
    with pytest.raises(ValueError, match=r"the text is read in another way than when .* was counted: reading"):
        SkipGram(**SETTINGS).fit(FileCorpus(text, reading=Reading(lowercase=True)), checkpoint=path)
    with pytest.raises(ValueError, match="was counted with window 2 instead of 3"):
        SkipGram(**SETTINGS | {"window": 3}).fit(text, checkpoint=path)
    with text.open("a", encoding="utf-8") as file:
        file.write(" w01")
    with pytest.raises(ValueError, match=f"bytes was {before.st_size} and is {before.st_size + 4}; remove it to count"):
        SkipGram(**SETTINGS).fit(text, checkpoint=path)
    shutil.rmtree(f"{path}.counts")  # counted again, it turns out to be another text
    with pytest.raises(ValueError, match="with counts '"):
        SkipGram(**SETTINGS).fit(text, checkpoint=path)


A = [["abc", "bcd", "abe"], ["bcd", "abe", "bca"]] * 5
B = [["abc", "abcd", "abe"], ["abe", "abcd", "abc"]] * 4


def test_files_that_no_fit_has_kept_are_neither_replaced_nor_removed(path, tmp_path):
    model = SkipGram(**SETTINGS | {"early_stopping": True})
    model.count(A).store(f"{path}.held-out")
    with pytest.raises(ValueError, match="held-out' does not say what it was counted from"):
        model.fit(A, checkpoint=path)
    corpus = Path(f"{path}.counts")
    corpus.write_text("abc bcd abe\n" * 9, encoding="utf-8")
    with pytest.raises(NotADirectoryError, match="is a file: a store is a folder"):
        model.fit(corpus, checkpoint=path)
    counts = SkipGram(**SETTINGS).count(A)
    counts.save(corpus)
    SkipGram(**SETTINGS).fit(Counts.load(corpus), checkpoint=path).save(tmp_path / "m.safetensors")
    assert corpus.exists()
    assert Counts.open(f"{path}.held-out").nnz == counts.nnz
    assert not Path(path).exists()
    corpus.unlink()
    stored = counts.store(corpus)
    SkipGram(**SETTINGS).fit(stored, checkpoint=path).save(tmp_path / "m.safetensors")
    assert stored.to_scipy().nnz == counts.nnz


def test_counts_held_out_that_are_missing_or_of_another_fit_are_named(path):
    model = SkipGram(**SETTINGS | {"early_stopping": True, "validation_fraction": 0.3})
    model.fit(A, checkpoint=path, keep_checkpoint=True)
    held_out = Path(f"{path}.held-out")
    shutil.rmtree(held_out)
    with pytest.raises(FileNotFoundError, match=r"held-out', the counts held out, is missing: remove '.*\.counts'"):
        model.fit(A, checkpoint=path)
    model.fit(B, checkpoint=f"{path}2", keep_checkpoint=True)
    Path(f"{path}2.held-out").rename(held_out)
    with pytest.raises(ValueError, match="was not counted together with"):
        model.fit(A, checkpoint=path)


def test_counts_beside_a_checkpoint_that_were_not_finished_are_counted_again(text, path):
    limit = {"checkpoint": path, "keep_checkpoint": True}
    whole = SkipGram(**SETTINGS).fit(text)
    Path(f"{path}.counts").mkdir()
    (Path(f"{path}.counts") / "group-00000-0123456789abcdef.tiles").write_bytes(b"of a process that was killed")
    model = SkipGram(**SETTINGS).fit(text, **limit)
    assert_array_equal(model.vectors.matrix, whole.vectors.matrix)
    files = {file.name for file in Path(f"{path}.counts").iterdir()}
    assert "group-00000-0123456789abcdef.tiles" not in files
    text.write_text(text.read_text(encoding="utf-8") + "\nmore", encoding="utf-8")
    with pytest.raises(ValueError, match="has changed since"):
        SkipGram(**SETTINGS).fit(text, **limit)
    (Path(f"{path}.counts") / "novel.txt").write_text("a", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"holds other files, such as 'novel\.txt'"):
        SkipGram(**SETTINGS).fit(text, **limit)
