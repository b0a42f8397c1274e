"""Fixtures for the tests of the kernels: adversarial texts."""

import numpy as np
import pytest


def _scan_hashes(digits):
    """The hash by which the scan chooses slots, of tokens that are the rows of bytes (N, length)."""
    h = np.full(len(digits), 0xCBF29CE484222325, np.uint64)
    for column in digits.T:
        h = (h ^ column) * np.uint64(0x100000001B3)
    h ^= h >> np.uint64(32)
    h *= np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


def _colliding_tokens(count):
    """Distinct tokens with slots in one sixteenth of their table, so that each new token collides."""
    mask = 1023
    while 2 * count > mask:
        mask = 2 * mask + 1
    numbers = np.arange(10**6, 10**6 + 20 * count)
    digits = (numbers[:, None] // 10 ** np.arange(6, -1, -1) % 10 + ord("0")).astype(np.uint64)
    chosen = numbers[(_scan_hashes(digits) & np.uint64(mask)) < mask // 16][:count]
    assert len(chosen) == count
    return [str(number).encode() for number in chosen]


@pytest.fixture
def colliding_tokens():
    """Return a function that returns so many different tokens that fall into the same slots."""
    return _colliding_tokens
