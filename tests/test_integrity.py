"""What is read from a file is what was written, or an error that names the file: a bit of each kind is flipped."""

import pickle
import random
import re
import shutil

import numpy as np
import pytest

from fastembed import Classifier, Counts, Recommender, SkipGram, Trainer, Vectors, Vocabulary

FLIPS = 60  # of each kind
TEXT = [["the", "größe", "日本", "3", "e", "rest"] * 3, ["a", "b", "the", "c"] * 4] * 5
DOCUMENTS, LABELS = ["red apple", "green apple", "red car", "blue car"] * 3, ["fruit", "fruit", "thing", "thing"] * 3


class Killed(Exception):
    pass


def interrupt(record, *_):
    if record["epoch"] == 2:
        raise Killed


def model(**options):
    return SkipGram(dim=3, min_count=1, epochs=3, seed=0, threads=1, **options)


def arrays(counts):
    matrix, words = counts.to_scipy(), counts.vocabulary
    return (
        matrix.data,
        matrix.indices,
        matrix.indptr,
        words and (words.tokens, words.counts),
        counts.ledger,
    )


def fit_model(folder, **how):
    fitted = model().fit(TEXT, checkpoint=folder / "file", **how)
    return fitted.vectors.matrix, fitted.vocabulary.tokens, fitted.vocabulary.counts, fitted.ledger


def write_checkpoint(folder):
    with pytest.raises(Killed):
        fit_model(folder, on_epoch_end=interrupt)


def write_store(folder):
    Counts.from_corpus(TEXT, Vocabulary.from_corpus(TEXT, min_count=1), window=2, sample=0.1, store=folder / "file")


VECTORS = Vectors(["the", "größe", "日本"], np.arange(12.0).reshape(3, 4), counts=[9, 7, 5])
KINDS = {
    "vectors": (
        lambda folder: VECTORS.save(folder / "file", "safetensors"),
        lambda folder: Vectors.load(folder / "file", "safetensors"),
    ),
    "model": (lambda folder: model().fit(TEXT).save(folder / "file"), lambda folder: SkipGram.load(folder / "file")),
    "model with subwords": (
        lambda folder: model(subwords=True).fit(TEXT).save(folder / "file"),
        lambda folder: SkipGram.load(folder / "file"),
    ),
    "trainer": (
        lambda folder: Trainer.random(3, 2).save(folder / "file"),
        lambda folder: Trainer.load(folder / "file", threads=1),
    ),
    "classifier": (
        lambda folder: (
            Classifier(loss="softmax", dim=4, epochs=2, seed=0, threads=1).fit(DOCUMENTS, LABELS).save(folder / "file")
        ),
        lambda folder: (
            (found := Classifier.load(folder / "file", threads=1)).decision_function(DOCUMENTS).tobytes()
            + pickle.dumps((found.classes_.tolist(), found.history_))
        ),
    ),
    "recommender": (
        lambda folder: Recommender(dim=2, seed=0, threads=1).fit(TEXT).save(folder / "file"),
        lambda folder: Recommender.load(folder / "file", threads=1),
    ),
    "store": (write_store, lambda folder: arrays(Counts.open(folder / "file"))),
    "checkpoint": (write_checkpoint, fit_model),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_bit_is_an_error_that_names_the_file_or_changes_nothing(tmp_path, kind):
    write, read = KINDS[kind]
    rng = random.Random(kind)
    written, folder = tmp_path / "written", tmp_path / "read"
    written.mkdir()
    write(written)
    shutil.copytree(written, folder)
    expected = pickle.dumps(read(folder))
    files = [path.relative_to(written) for path in written.rglob("*") if path.is_file() and path.name != ".lock"]
    for flip in range(FLIPS):
        shutil.rmtree(folder)
        shutil.copytree(written, folder)
        file = files[flip % len(files)]
        data = bytearray((written / file).read_bytes())
        place = rng.randrange(min(len(data), 2000) if flip % 2 else len(data))  # often in the header
        data[place] ^= 1 << rng.randrange(8)
        (folder / file).write_bytes(data)
        try:
            found = pickle.dumps(read(folder))
        except (ValueError, OSError) as error:
            assert str(folder / file.parts[0]) in str(error), (file, place)  # noqa: PT017
        else:
            assert found == expected, (file, place)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "store" not in kind and "checkpoint" not in kind])
def test_a_file_that_ends_too_early_is_an_error_that_names_it(tmp_path, kind):
    write, read = KINDS[kind]
    write(tmp_path)
    data = (tmp_path / "file").read_bytes()
    for size in random.Random(kind).sample(range(1, len(data)), 30):
        (tmp_path / "file").write_bytes(data[:size])
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / "file"))):
            read(tmp_path)
