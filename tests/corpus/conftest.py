"""Fixtures for the tests of corpora."""

import pytest

from fastembed.corpus import Ledger
from fastembed.corpus.corpus import as_corpus


@pytest.fixture(scope="session")
def read():
    """Return the sequences of a corpus, and the ledger."""

    def read_all(source, progress=None):
        ledger = Ledger()
        return list(as_corpus(source).sequences(ledger, progress)), ledger

    return read_all
