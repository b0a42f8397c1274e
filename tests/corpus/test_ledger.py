"""The ledger of a corpus."""

from fastembed.corpus import Ledger


def test_ledgers_are_summed_and_summarized():
    one = Ledger(10, 2, 1, 9, 6, {"rare": 3})
    both = one + Ledger(20, 3, 0, 8, 5, {"rare": 2, "many": 1})
    assert both == Ledger(30, 5, 1, 17, 11, {"rare": 5, "many": 1})
    assert both.summary() == "read 17 tokens in 5 lines (1 empty) (30 bytes); used 11; dropped 6 (5 rare, 1 many)"
    assert one.dropped == {"rare": 3}
