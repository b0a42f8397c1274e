"""Vectors as objects of other libraries: gensim's KeyedVectors and pandas' DataFrame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.optional import require
from fastembed._base.validation import encode_tokens
from fastembed.formats.table import Matrix
from fastembed.vectors.subwords import BucketComposer, Composer, composer_of


def to_gensim(
    tokens: Sequence[str], matrix: Matrix, counts: npt.NDArray[np.int64] | None, composer: Composer | None
) -> Any:
    """Return a gensim.models.KeyedVectors; the counts, if known, are its attribute "count".

    With a `BucketComposer` the result is a FastTextKeyedVectors, which shares the memory of the rows.

    Raises
    ------
    ImportError
        If gensim is not installed.
    """
    if isinstance(composer, BucketComposer):
        vectors = _to_gensim_fasttext(tokens, matrix, composer)
    else:
        keyedvectors = require("gensim.models.keyedvectors", "gensim")
        vectors = keyedvectors.KeyedVectors(matrix.shape[1], dtype=matrix.dtype)
        vectors.add_vectors(list(tokens), matrix)
    if counts is not None:
        for token, count in zip(tokens, counts.tolist(), strict=True):
            vectors.set_vecattr(token, "count", count)
    return vectors


def _to_gensim_fasttext(tokens: Sequence[str], matrix: Matrix, composer: BucketComposer) -> Any:
    """Return a gensim.models.fasttext.FastTextKeyedVectors, which composes the same vectors."""
    fasttext = require("gensim.models.fasttext", "gensim")
    lengths = {"min_n": composer.shortest, "max_n": composer.longest, "bucket": len(composer.rows)}
    vectors = fasttext.FastTextKeyedVectors(matrix.shape[1], **lengths, dtype=matrix.dtype)
    vectors.index_to_key = list(tokens)
    vectors.key_to_index = {token: row for row, token in enumerate(tokens)}
    vectors.vectors = np.array(matrix)
    vectors.vectors_ngrams = composer.rows
    vectors.vectors_vocab = np.empty_like(matrix)  # the words' own rows: the part of the mean that is not from n-grams
    for block, sums, sizes in composer.sums(tokens):
        vectors.vectors_vocab[block] = matrix[block] * (sizes[:, None] + 1).astype(matrix.dtype) - sums
    vectors.recalc_char_ngram_buckets()
    return vectors


def from_gensim(keyed: Any) -> tuple[list[str], Matrix, npt.NDArray[np.int64] | None, Composer | None]:
    """Return the tokens, a copy of the matrix, and the counts, if known, of a gensim.models.KeyedVectors.

    For a FastTextKeyedVectors with n-grams, the last element is the composer of other words.

    Raises
    ------
    TypeError
        If `keyed` is of another type.
    """
    keyed = getattr(keyed, "wv", keyed)  # the vectors of a whole model
    if not hasattr(keyed, "index_to_key") or not hasattr(keyed, "vectors"):
        raise TypeError(f"a gensim.models.KeyedVectors expected, got {type(keyed).__name__}")
    counts = keyed.expandos.get("count")
    counts = None if counts is None else np.array(counts, np.int64)
    matrix = np.array(keyed.vectors)
    composer = None
    if len(buckets := getattr(keyed, "vectors_ngrams", ())) and max(keyed.min_n, 1) <= keyed.max_n:
        tensors = {"ngrams.matrix": np.array(buckets), "ngrams.lengths": np.array([keyed.min_n, keyed.max_n], np.int64)}
        composer = composer_of(tensors, matrix)
    return list(keyed.index_to_key), matrix, counts, composer


def to_pandas(tokens: Sequence[str], matrix: Matrix) -> Any:
    """Return a pandas.DataFrame: the tokens are its index, and each dimension is a column.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If a token has no UTF-8 form.
    """
    pandas = require("pandas", "pandas")
    encode_tokens(tokens)  # raises ValueError for a token without a UTF-8 form
    # Before pandas 3 a frame of a read-only array would be read-only, too
    return pandas.DataFrame(matrix, index=pandas.Index(tokens, name="token"), copy=True)
