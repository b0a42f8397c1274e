"""The types that every kernel shares."""

from libc.stdint cimport int32_t, uint16_t

ctypedef fused real:
    float
    double


cdef extern from *:
    """
    typedef float *__restrict fastembed_float_alone;
    typedef double *__restrict fastembed_double_alone;
    """
    ctypedef float* float_alone "fastembed_float_alone"
    ctypedef double* double_alone "fastembed_double_alone"

# A pointer to memory that overlaps with no other argument. Loops over it vectorise without a check at run time. Callers
# pass a real*.
ctypedef fused real_alone:
    float_alone
    double_alone

# The number of a row in a matrix, or in a part of it
ctypedef fused row_id:
    uint16_t
    int32_t
