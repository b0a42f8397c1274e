"""fastText's binary models: the vectors that fastText and gensim give, files of every kind, and faults."""

import gzip
import re
import struct
import sys
from importlib import metadata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed import Vectors
from fastembed.formats.fasttext import buckets_of, ngrams_of, read_fasttext

WORDS = ["the", "größe", "日本", "</s>", "a", "😀", "the>", "<the", "unbelievably", "\u00a0", "cat", "cats"]
UNSEEN = [
    "unbelievable", "catlike", "größer", "日本語", "x", "<", ">", "", "\U0001d4b3y", "é", "the" * 40, "\x7f\x80\xff",
]  # fmt: skip
SUPERVISED = 3

# One rounding of float32 for each of some dozens of n-grams
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def fasttext():
    try:
        metadata.version("fasttext")  # the original: a package of another name gave other vectors for the same file
    except metadata.PackageNotFoundError:
        pytest.skip("fastText is not installed (pip compiles it)")
    return pytest.importorskip("fasttext")


@pytest.fixture(scope="module")
def gensim_fasttext():
    return pytest.importorskip("gensim.models.fasttext", reason="gensim is not installed")


MODELS = {
    "skipgram": {},
    "cbow": {"kind": 1, "lengths": (1, 4)},
    "no n-grams": {"buckets": 0, "lengths": (0, 0)},
    "buckets without n-grams": {"lengths": (0, 0)},
    "n-grams of one length": {"lengths": (2, 2)},
    "none, since the least length is above the greatest": {"lengths": (5, 4)},
    "n-grams of all lengths": {"lengths": (0, 100)},
    "supervised": {"kind": SUPERVISED, "labels": ["__label__a", "__label__b"], "lengths": (0, 0), "buckets": 0},
    "supervised with n-grams": {"kind": SUPERVISED, "labels": ["__label__a", "__label__b"], "lengths": (2, 4)},
    "supervised of version 11, which had none": {"kind": SUPERVISED, "labels": ["__label__a"], "version": 11},
    "version 11": {"version": 11},
    "a prime number of buckets": {"buckets": 9973, "dim": 3},
}


def assert_same_answers(vectors, words, vector_of):
    """Compare the vectors of all words and of unseen words; words with zero vectors in fastText are unknown."""
    assert list(vectors.tokens) == list(words)
    expected = np.array([vector_of(word) for word in words])
    np.testing.assert_allclose(vectors.matrix, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    for word in UNSEEN:
        expected = vector_of(word)
        assert word not in vectors
        if np.any(expected):
            np.testing.assert_allclose(vectors[word], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
        else:
            with pytest.raises(KeyError, match="is not among the 12 tokens"):
                vectors[word]


@pytest.mark.parametrize("name", MODELS)
def test_vectors_are_those_that_fasttext_gives(tmp_path, fasttext, write_fasttext, name):
    path = tmp_path / "model.bin"
    write_fasttext(path, WORDS, **MODELS[name])
    peer = fasttext.load_model(str(path))
    words, counts = peer.get_words(include_freq=True)
    vectors = Vectors.load(path)
    assert_same_answers(vectors, words, peer.get_word_vector)
    assert vectors.counts.tolist() == counts.tolist()
    for word in (*WORDS, *UNSEEN):
        ngrams = peer.get_subwords(word)[0]
        if word in vectors or ngrams:
            assert [ngram for ngram, _ in vectors.subwords(word)][word in vectors :] == list(
                dict.fromkeys(ngrams[word in vectors :])
            )


@pytest.mark.parametrize("name", ["skipgram", "cbow", "n-grams of one length", "a prime number of buckets"])
def test_vectors_are_those_that_gensim_gives(tmp_path, gensim_fasttext, write_fasttext, name):
    path = tmp_path / "model.bin"
    words = [word for word in WORDS if word != "</s>"] + ["dog"]  # to which gensim gives n-grams, unlike fastText
    write_fasttext(path, words, **MODELS[name])
    peer = gensim_fasttext.load_facebook_vectors(str(path))
    assert_same_answers(Vectors.load(path), words, peer.get_vector)


def test_models_that_gensim_has_saved_are_read(tmp_path, gensim_fasttext):
    sentences = [["the", "cat", "sat"], ["the", "cats", "sat"], ["größe", "und", "größen"]] * 20
    peer = gensim_fasttext.FastText(sentences, vector_size=6, min_count=1, bucket=70, epochs=1, workers=1)
    gensim_fasttext.save_facebook_model(peer, str(tmp_path / "model.bin"))
    vectors = Vectors.load(tmp_path / "model.bin")
    assert list(vectors.tokens) == peer.wv.index_to_key
    for word in (*vectors.tokens, "catty", "größte"):
        np.testing.assert_allclose(vectors[word], peer.wv[word], rtol=0, atol=1e-6)


def by_hand(word, lengths, buckets):
    """The buckets of a word's n-grams, slowly."""
    found = []
    for ngram in ngrams_of(word, *lengths):
        value = 2166136261
        for byte in ngram.encode("utf-8", "surrogatepass"):
            value = (value ^ (byte | (0xFFFFFF00 if byte > 127 else 0))) * 16777619 % 2**32
        found.append(value % buckets)
    return found


@settings(max_examples=100, database=None)
@given(
    st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["</s>", "", "\ud800x"])), max_size=8),
    st.integers(0, 5),
    st.integers(0, 100),
    st.sampled_from([1, 7, 2_000_000, 2**31 - 1]),
)
def test_hashes_of_many_words_are_those_by_hand(words, shortest, longest, buckets):
    ids, sizes = buckets_of(words, shortest, longest, buckets)
    expected = [by_hand(word, (shortest, longest), buckets) for word in words]
    assert sizes.tolist() == [len(each) for each in expected]
    assert ids.tolist() == [i for each in expected for i in each]


def test_a_word_is_the_mean_of_its_row_and_those_of_its_ngrams(tmp_path, write_fasttext):
    words = ["ab", "</s>", *(f"word{i}" for i in range(5000))]  # more than one block
    rows = write_fasttext(tmp_path / "m.bin", words, buckets=7).astype(np.float64)
    table = read_fasttext(tmp_path / "m.bin")
    assert table.tokens == words
    for place, word in ((0, "ab"), (1, "</s>"), (4999, words[4999])):
        buckets = [len(words) + i for i in by_hand(word, (3, 6), 7)]
        np.testing.assert_allclose(table.matrix[place], rows[[place, *buckets]].mean(axis=0), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(table.ngrams["ngrams.matrix"], rows[len(words) :].astype(np.float32))
    assert table.ngrams["ngrams.lengths"].tolist() == [3, 6]


def test_rows_are_mapped_and_a_compressed_file_is_read(tmp_path, write_fasttext):
    for name in ("model.bin", "model.bin.gz"):
        write_fasttext(tmp_path / name, WORDS)
    mapped, read = read_fasttext(tmp_path / "model.bin"), read_fasttext(tmp_path / "model.bin.gz")
    assert isinstance(mapped.ngrams["ngrams.matrix"].base.base, np.memmap)
    np.testing.assert_array_equal(mapped.matrix, read.matrix)
    np.testing.assert_array_equal(mapped.ngrams["ngrams.matrix"], read.ngrams["ngrams.matrix"])
    np.testing.assert_array_equal(
        Vectors.load(tmp_path / "model.bin")["unseen"], Vectors.load(tmp_path / "model.bin.gz")["unseen"]
    )


def test_the_contents_say_which_format_a_bin_file_has(tmp_path, write_fasttext):
    write_fasttext(tmp_path / "model.bin", WORDS)
    Vectors(["a"], np.eye(1)).save(tmp_path / "v.bin")
    assert len(Vectors.load(tmp_path / "model.bin")) == len(WORDS)
    assert len(Vectors.load(tmp_path / "model.bin", "fasttext-binary")) == len(WORDS)
    assert len(Vectors.load(tmp_path / "v.bin")) == 1
    with pytest.raises(ValueError, match=r"model\.bin' is no file of vectors: line 1"):
        Vectors.load(tmp_path / "model.bin", "word2vec-binary")
    with pytest.raises(ValueError, match=r"v\.bin', byte 0: this is not a binary model of fastText"):
        Vectors.load(tmp_path / "v.bin", "fasttext-binary")
    with pytest.raises(ValueError, match="'fasttext-binary' can be read, but not written"):
        Vectors(["a"], np.eye(1)).save(tmp_path / "new.bin", "fasttext-binary")
    assert not (tmp_path / "new.bin").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 13}, "byte 4: .*version 13"),
        ({"quantised": True}, "byte 266: .*quantised"),
        ({"pruned": 3}, "byte 64: .*pruned"),
        ({"lengths": (-1, 3)}, "byte 8: n-grams of -1 to 3"),
        ({"sizes": (12, 13, -1)}, "byte 64: 13 words and -1 labels cannot be 12 entries"),
        ({"words": ["a", "b", "a"]}, "byte 114, word 3 of 3: the token 'a' is at byte 92 too"),
        ({"shape": (2**60, 4)}, r"the input matrix must have the shape \(62, 4\), got \(1152921504606846976, 4\)"),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, write_fasttext, change, message):
    for name in ("model.bin", "model.bin.gz"):
        write_fasttext(tmp_path / name, **{"words": WORDS, **change})
        with pytest.raises(ValueError, match=rf"{re.escape(name)}'.*{message}"):
            Vectors.load(tmp_path / name)


def load_or_reject(path):
    """Load a file, or return None after checking that the ValueError names it."""
    try:
        return Vectors.load(path)
    except ValueError as error:
        message = str(error)
    assert path.name in message
    return None


PIECES = st.sampled_from([b"\x00" * 4, b"\xff" * 4, b"\xff" * 8, b"\x00\x00\x00\x7f", b"\x00\x00\xc0\x7f", b"\x01"])


def test_mutated_files_load_whole_or_are_rejected(tmp_path, write_fasttext):
    path = tmp_path / "model.bin"
    write_fasttext(path, WORDS[:4], dim=3, buckets=5)
    whole = path.read_bytes()

    @settings(max_examples=400, database=None)
    @given(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.one_of(st.binary(max_size=8), PIECES)), max_size=3)
    )
    def mutate(edits):
        data = whole
        for place, cut, put in edits:
            at = int(place * len(data))
            data = data[:at] + put + data[at + cut :]
        path.write_bytes(data)
        if (found := load_or_reject(path)) is not None:
            assert np.isfinite(found.matrix).all()
            assert found.matrix.shape[0] == len(set(found.tokens)) > 0
            try:
                composed = found["unseenly"]
            except (KeyError, ValueError) as error:
                message = str(error)
            else:
                message = "not finite" if np.isnan(composed).any() else "not among"
            assert "not among" in message or "the n-grams are damaged" in message

    mutate()


def test_a_composed_vector_that_is_not_finite_is_rejected(tmp_path, write_fasttext):
    path = tmp_path / "model.bin"
    rows = write_fasttext(path, ["a"], buckets=1, lengths=(4, 4))  # the word itself has no n-gram
    path.write_bytes(path.read_bytes().replace(rows[1].tobytes(), struct.pack("<f", np.nan) * 4))
    vectors = Vectors.load(path)
    with pytest.raises(ValueError, match="the vector composed for 'unseen' is not finite: the n-grams are damaged"):
        vectors["unseen"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space")
def test_promises_allocate_nothing(tmp_path, write_fasttext, rejected_in_little_memory):
    """2,147,483,647 buckets and a matrix of as many rows, of which none are there."""
    write_fasttext(tmp_path / "a.bin", WORDS, buckets=0, lengths=(0, 0))
    data = bytearray((tmp_path / "a.bin").read_bytes())
    struct.pack_into("<i", data, 8 + 4 * 8, 2**31 - 1)
    struct.pack_into("<q", data, 266 + 1, len(WORDS) + 2**31 - 1)
    (tmp_path / "a.bin").write_bytes(data)
    (tmp_path / "a.bin.gz").write_bytes(gzip.compress(bytes(data)))
    for line in rejected_in_little_memory([tmp_path / "a.bin", tmp_path / "a.bin.gz"]):
        assert "the file ends inside the input matrix" in line
