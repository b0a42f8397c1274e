"""A corpus as ids."""

import numpy as np

from fastembed import vocabulary as encoding


def test_short_sequences_are_joined(monkeypatch):
    monkeypatch.setattr(encoding, "BATCH_IDS", 4)
    sequences = [np.array(ids, np.int32) for ids in ([1, 2], [3], [], [4, 5, 6, 7], [8])]
    joined = [(batch.tolist(), tokens) for batch, tokens in encoding._joined(sequences)]
    assert joined == [([1, 2, -1, 3, -1], 3), ([-1, 4, 5, 6, 7, -1], 4), ([8, -1], 1)]
