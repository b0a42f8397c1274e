"""Free memory, and limits on the memory used."""

from fastembed._base import memory
from fastembed._base.memory import check_memory_limit, free_memory


def test_half_of_the_free_memory_is_the_default_limit(monkeypatch):
    assert 1 << 20 < free_memory() < 1 << 50
    assert check_memory_limit(5 << 20) == 5 << 20
    monkeypatch.setattr(memory, "free_memory", lambda: 10 << 20)
    assert check_memory_limit(None) == 5 << 20
