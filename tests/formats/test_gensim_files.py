"""gensim reads our files, and we read gensim's."""

import numpy as np
import pytest

from fastembed import Vectors


@pytest.fixture(scope="module")
def keyedvectors():
    return pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed").KeyedVectors


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # gensim's
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("path", ["v.txt", "v.bin", "v.vec", "v.glove"])
def test_gensim_reads_ours_and_we_read_gensims(tmp_path, keyedvectors, path, packed, tokens, assert_same_bits):
    options = {"binary": path == "v.bin", "no_header": path == "v.glove"}
    ours, theirs = str(tmp_path / f"ours-{path}{packed}"), str(tmp_path / f"theirs-{path}{packed}")
    matrix = np.random.default_rng(0).normal(size=(len(tokens), 5)).astype(np.float32)
    Vectors(tokens, matrix).save(ours)
    peer = keyedvectors.load_word2vec_format(ours, **options)
    assert peer.index_to_key == tokens
    assert_same_bits(peer.vectors, matrix)
    peer.save_word2vec_format(theirs, binary=options["binary"], write_header=not options["no_header"])
    found = Vectors.load(theirs)
    assert list(found.tokens) == tokens
    assert_same_bits(found.matrix, matrix)
