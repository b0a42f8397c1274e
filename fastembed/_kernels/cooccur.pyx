"""Windows over token ids -> counts."""
