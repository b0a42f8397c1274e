"""The types that every kernel shares."""

ctypedef fused real:
    float
    double
