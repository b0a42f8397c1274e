"""Free memory, and limits on the memory used."""

import pytest

from fastembed._base import memory
from fastembed._base.memory import check_memory_limit, free_memory


def test_half_of_the_free_memory_is_the_default_limit(monkeypatch):
    assert 1 << 20 < free_memory() < 1 << 50
    assert check_memory_limit(5 << 20) == 5 << 20
    monkeypatch.setattr(memory, "free_memory", lambda: 10 << 20)
    assert check_memory_limit(None) == 5 << 20


def test_a_limit_with_a_unit_is_refused_with_a_number_as_an_example():
    with pytest.raises(TypeError, match=r"memory_limit \(bytes, such as 200_000_000\) must be an integer, got '200M'"):
        check_memory_limit("200M")
