"""Composed words: compared with values by hand and with gensim, in every query, in files and in pickles."""

import copy
import pickle

import numpy as np
import pytest

from fastembed import Vectors
from fastembed.formats.fasttext import ngrams_of
from fastembed.vectors.subwords import BucketComposer, NgramDictionary
from fastembed.vectors.vectors import composing_vectors

TOKENS = ["king", "queen", "man", "woman", "cabbage"]
NGRAMS = ("<ki", "kin", "ing", "ng>", "<qu", "een", "man", "<man>", "wom")
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}


def a_dictionary(dtype, **options):
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((len(NGRAMS), 6)).astype(dtype)
    return NgramDictionary(NGRAMS, rows, rng.standard_normal(6) / 8, **options)


def some_buckets(dtype):
    return BucketComposer(np.random.default_rng(2).standard_normal((11, 6)).astype(dtype), 3, 6)


COMPOSERS = {
    "dictionary": a_dictionary,
    "dictionary of one length": lambda dtype: a_dictionary(dtype, lengths=(3, 3)),
    "dictionary with weights of words": lambda dtype: a_dictionary(
        dtype, word_weights=np.linspace(0.5, 1, 5, dtype=np.float32)
    ),
    "buckets": some_buckets,
}


@pytest.fixture(params=sorted(TOLERANCE))
def dtype(request):
    return request.param


@pytest.fixture(params=COMPOSERS)
def composer(request, dtype):
    return COMPOSERS[request.param](dtype)


@pytest.fixture
def vectors(composer):
    matrix = np.random.default_rng(0).standard_normal((len(TOKENS), 6)).astype(composer.rows.dtype)
    return composing_vectors(Vectors, TOKENS, matrix, np.arange(5), composer)


def compose(composer, word):
    """Return the vector of a word; None if none of its n-grams is known."""
    vectors, known = composer.compose_all([word])
    return vectors[0] if known[0] else None


def test_ngrams_are_all_runs_of_characters_of_these_lengths():
    assert ngrams_of("日é", 1, 4) == ["<日", "<日é", "<日é>", "日", "日é", "日é>", "é", "é>"]
    assert ngrams_of("", 2, 9) == ["<>"]
    assert ngrams_of("a<>", 1, 1) == ["a", "<", ">"]
    assert ngrams_of("", 1, 1) == ngrams_of("a", 5, 9) == ngrams_of("abc", 3, 2) == []


def test_a_dictionary_composes_the_sum_of_known_ngrams_by_hand(dtype):
    composer = a_dictionary(dtype)
    ids = [NGRAMS.index(ngram) for ngram in ("<ki", "kin", "ing", "ing", "ng>")]  # of "kinging": it has "ing" twice
    rows = composer.rows.astype(np.float64)
    expected = 5**-0.5 * rows[ids].sum(axis=0) - composer.centre
    found = compose(composer, "kinging")
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * 10)
    assert compose(composer, "xyz") is compose(composer, "") is None


def test_many_words_are_composed_as_each_alone(composer):
    words = ["kingly", "xyz", "", "manly", "kinging"] * 1000 + ["queenly"]
    vectors, known = composer.compose_all(words)
    assert vectors.shape == (len(words), 6)
    for word, vector, has in zip(words[-6:], vectors[-6:], known[-6:], strict=True):
        alone = compose(composer, word)
        assert has == (alone is not None)
        np.testing.assert_array_equal(vector, 0 if alone is None else alone)
    np.testing.assert_array_equal(vectors[:5], vectors[-6:-1])


@pytest.mark.parametrize("word", ["kingly", "manmankinging", "kin"])
def test_parts_sum_to_the_vector(composer, dtype, word):
    parts = composer.parts(word)
    assert [ngram for ngram, _ in parts] == [n for n in ngrams_of(word, 3, 6) if n in dict(parts)]
    total = sum(part for _, part in parts)
    np.testing.assert_allclose(total, compose(composer, word), rtol=0, atol=10 * TOLERANCE[dtype])


def test_an_unknown_word_is_composed_but_is_no_token(vectors, composer):
    np.testing.assert_array_equal(vectors["kingly"], compose(composer, "kingly"))
    assert not vectors["kingly"].flags.writeable
    assert "kingly" not in vectors
    assert len(vectors) == len(list(vectors)) == len(vectors.matrix) == 5
    np.testing.assert_array_equal(
        vectors[["queen", "kingly", "man", "kingly"]],
        np.stack([vectors.matrix[1], vectors["kingly"], vectors.matrix[2], vectors["kingly"]]),
    )
    assert vectors[[]].shape == (0, 6)


def test_a_word_without_known_ngrams_is_unknown(dtype):
    vectors = composing_vectors(Vectors, TOKENS, np.eye(5, 6, dtype=dtype), None, a_dictionary(dtype))
    for query in (
        lambda: vectors["mqn"],
        lambda: vectors.most_similar("mqn"),
        lambda: vectors.nearest(["kingly", "mqn"]),
        lambda: vectors.similarity("king", "mqn"),
        lambda: vectors.subwords("mqn"),
    ):
        with pytest.raises(KeyError, match=r"'mqn' is not among the 5 tokens.*'man'"):
            query()
    with pytest.raises(KeyError, match="'kingly' is not among the 5 tokens"):
        vectors.subset(["kingly"])
    with pytest.raises(KeyError, match="'kingly' is not among the 5 tokens"):
        vectors.most_similar("king", restrict=["kingly"])
    with pytest.raises(TypeError, match="a token is a str"):
        vectors[["king", None]]


def test_every_query_takes_composed_words_as_if_they_were_tokens(vectors, dtype):
    """Compare with vectors that have the same words as tokens; these are excluded from the results."""
    words = ["kingly", "manly"]
    known = Vectors([*TOKENS, *words], np.concatenate([vectors.matrix, vectors[words]]))

    def close(found, expected):
        assert [token for token, _ in found] == [token for token, _ in expected]
        np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=0, atol=TOLERANCE[dtype])

    among = {"restrict": 5}
    close(vectors.most_similar("kingly"), known.most_similar("kingly", **among))
    weighted = [("kingly", 2.0), "queen"], ["manly"]
    close(vectors.most_similar(*weighted), known.most_similar(*weighted, **among))
    for method in ("3CosAdd", "3CosMul"):
        question = "kingly", "queen", "manly"
        close(vectors.analogy(*question, method=method), known.analogy(*question, method=method, **among))
    ids, cosines = vectors.nearest(["kingly", "queen", "manly"], topn=4)
    expected_ids, expected_cosines = known.nearest(["kingly", "queen", "manly"], topn=4, **among)
    assert ids.tolist() == expected_ids.tolist()
    np.testing.assert_array_equal(cosines, expected_cosines)
    assert vectors.nearest("kingly", topn=2)[0].shape == (2,)
    assert vectors.similarity("kingly", "queen") == known.similarity("kingly", "queen")
    assert vectors.similarity("kingly", "kingly") == 1.0
    assert vectors.distance("kingly", "manly") == known.distance("kingly", "manly")
    assert vectors.doesnt_match(["kingly", "queen", "manly"]) == known.doesnt_match(["kingly", "queen", "manly"])


def test_shares_are_those_of_the_parts_and_sum_to_one(vectors, composer):
    for word in ("king", "kingly", "manman", "cabbage"):
        if word == "cabbage" and "dictionary" in str(type(composer)).lower():
            assert vectors.subwords(word) == [("cabbage", 1.0)]  # none of its n-grams is known
            continue
        found = vectors.subwords(word)
        assert sum(share for _, share in found) == pytest.approx(1.0, abs=1e-6)
        ngrams = list(dict.fromkeys(ngram for ngram, _ in composer.parts(word)))
        assert [ngram for ngram, _ in found] == [word] * (word in vectors) + ngrams
        vector = vectors[word].astype(np.float64)
        last = sum(
            part
            for ngram, part in composer.parts(word, vectors.tokens.index(word) if word in vectors else None)
            if ngram == ngrams[-1]
        )
        assert found[-1][1] == pytest.approx(vector @ last / (vector @ vector), abs=1e-6)


def test_n_grams_weigh_in_a_token_what_its_weight_says():
    weights = np.array([1.0, 0.5], np.float32)
    composer = NgramDictionary(("<ma",), np.array([[2.0, 0.0]]), np.zeros(2), word_weights=weights)
    vectors = composing_vectors(Vectors, ["mat", "man"], np.array([[4.0, 0.0], [2.0, 0.0]]), None, composer)
    assert vectors.subwords("mat") == [("mat", 0.5), ("<ma", 0.5)]
    assert vectors.subwords("man") == vectors.subset(["man"]).subwords("man") == [("man", 0.5), ("<ma", 0.5)]
    assert vectors.subwords("map") == [("<ma", 1.0)]
    assert Vectors(["zero"], np.zeros((1, 2))).subwords("zero") == [("zero", 0.0)]


def same(found, expected):
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)
    np.testing.assert_array_equal(found["kingly"], expected["kingly"])
    assert found.subwords("king") == expected.subwords("king")


def test_ngrams_survive_files_pickles_and_copies(vectors, tmp_path):
    vectors.save(tmp_path / "v.safetensors")
    loaded = Vectors.load(tmp_path / "v.safetensors")
    assert isinstance(loaded._composer.rows.base, np.memmap)
    for again in (
        loaded,
        *(pickle.loads(pickle.dumps(vectors, protocol)) for protocol in range(2, 6)),
        copy.copy(vectors),
        copy.deepcopy(loaded),
        vectors.subset(["queen", "king"]).subset(["king", "queen"]),
        vectors.subset(5),
    ):
        np.testing.assert_array_equal(again["kingly"], vectors["kingly"])
        assert again._composer.rows.dtype == vectors.matrix.dtype
    same(loaded, vectors)
    same(pickle.loads(pickle.dumps(loaded)), vectors)
    assert not pickle.loads(pickle.dumps(vectors))._composer.rows.flags.writeable


@pytest.fixture(scope="module")
def gensim_fasttext():
    return pytest.importorskip("gensim.models.fasttext", reason="gensim is not installed")


WORDS = ["kingly", "größe", "x", "日本語", "manlike"]


def test_gensims_object_composes_the_same_vectors_and_gives_them_back(gensim_fasttext, dtype, tmp_path):
    matrix = np.random.default_rng(0).standard_normal((len(TOKENS), 6)).astype(dtype)
    vectors = composing_vectors(Vectors, TOKENS, matrix, np.arange(1, 6), some_buckets(dtype))
    peer = vectors.to_gensim()
    assert isinstance(peer, gensim_fasttext.FastTextKeyedVectors)
    assert peer.get_vecattr("man", "count") == 3
    peer.save(str(tmp_path / "kv"))
    for other in (peer, gensim_fasttext.FastTextKeyedVectors.load(str(tmp_path / "kv"))):
        for word in (*TOKENS, *WORDS):
            np.testing.assert_allclose(other[word], vectors[word], rtol=0, atol=5e-6)
    back = Vectors.from_gensim(peer)
    assert back.counts.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(back.matrix, vectors.matrix)
    for word in WORDS:
        np.testing.assert_array_equal(back[word], vectors[word])
