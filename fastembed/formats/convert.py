"""Objects of other libraries: gensim's KeyedVectors and pandas' DataFrame."""

from typing import Any

import numpy as np

from fastembed._base.extras import require
from fastembed.formats.table import Table, check_table, encode_tokens


def to_gensim(table: Table) -> Any:
    """Return a gensim.models.KeyedVectors; the counts, if known, are its attribute "count".

    Parameters
    ----------
    table : Table

    Raises
    ------
    ImportError
        Without gensim.
    """
    keyedvectors = require("gensim.models.keyedvectors", "gensim")
    vectors = keyedvectors.KeyedVectors(table.matrix.shape[1], dtype=table.matrix.dtype)
    vectors.add_vectors(list(table.tokens), table.matrix)
    if table.counts is not None:
        for token, count in zip(table.tokens, table.counts.tolist(), strict=True):
            vectors.set_vecattr(token, "count", count)
    return vectors


def to_pandas(table: Table) -> Any:
    """Return a pandas.DataFrame: the tokens are its index, and each dimension is a column.

    Parameters
    ----------
    table : Table

    Raises
    ------
    ImportError
        Without pandas.
    ValueError
        If a token has no UTF-8 form.
    """
    pandas = require("pandas", "pandas")
    encode_tokens(table.tokens)  # refuses what has no UTF-8 form
    # Before pandas 3 a frame of a read-only array would be read-only, too
    return pandas.DataFrame(table.matrix, index=pandas.Index(table.tokens, name="token"), copy=True)


def from_pandas(frame: Any) -> Table:
    """Return the vectors of a pandas.DataFrame: its index holds the tokens, its columns are the dimensions.

    Parameters
    ----------
    frame : pandas.DataFrame

    Raises
    ------
    TypeError, ValueError
        If it is none, the index does not hold different strings, or a column is not float32 or float64, or not finite.
    """
    if not hasattr(frame, "to_numpy") or not hasattr(frame, "columns"):
        raise TypeError(f"a pandas.DataFrame expected, got {type(frame).__name__}")
    matrix = np.array(frame.to_numpy(), order="C")  # the frame's own memory may change
    matrix.flags.writeable = False
    return check_table(Table(list(frame.index), matrix))
