"""The bits of floating-point numbers as integers, and back."""

from libc.stdint cimport int32_t, int64_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline float fastembed_float_of(int32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
    static inline double fastembed_double_of(int64_t bits) { double x; memcpy(&x, &bits, 8); return x; }
    static inline int32_t fastembed_bits32(float x) { int32_t bits; memcpy(&bits, &x, 4); return bits; }
    static inline int64_t fastembed_bits64(double x) { int64_t bits; memcpy(&bits, &x, 8); return bits; }
    """
    float float_of "fastembed_float_of" (int32_t bits) noexcept nogil
    double double_of "fastembed_double_of" (int64_t bits) noexcept nogil
    int32_t bits32 "fastembed_bits32" (float x) noexcept nogil
    int64_t bits64 "fastembed_bits64" (double x) noexcept nogil
