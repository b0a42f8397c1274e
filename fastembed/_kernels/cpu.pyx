"""The x86-64 level that this CPU and the operating system support."""

cdef extern from *:
    """
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    static int fastembed_x86_level(void) {
        /* These built-ins ask CPUID, and XGETBV for what the operating system saves. */
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")))
            return 1;
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
              && __builtin_cpu_supports("bmi2")))
            return 2;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
              && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
              && __builtin_cpu_supports("avx512vl")))
            return 3;
        return 4;
    }
    #elif defined(_M_X64)
    #include <intrin.h>
    static int fastembed_x86_level(void) {
        int leaf1[4], leaf7[4];
        unsigned long long saved;
        __cpuid(leaf1, 1);
        if (!((leaf1[2] >> 20) & (leaf1[2] >> 23) & 1)) return 1;              /* SSE4.2, POPCNT */
        if (!((leaf1[2] >> 27) & (leaf1[2] >> 12) & 1)) return 2;              /* OSXSAVE, FMA */
        saved = _xgetbv(0);
        __cpuidex(leaf7, 7, 0);
        if ((saved & 0x6) != 0x6 || (leaf7[1] & 0x128) != 0x128) return 2;     /* YMM saved; BMI1, AVX2, BMI2 */
        if ((saved & 0xe6) != 0xe6 || (leaf7[1] & 0xd0030000u) != 0xd0030000u) return 3;
        return 4;                                             /* ZMM saved; AVX-512 F, DQ, CD, BW, VL */
    }
    #else
    static int fastembed_x86_level(void) { return 0; }
    #endif
    """
    int fastembed_x86_level() noexcept nogil


def x86_level() -> int:
    """Return 1 to 4, the x86-64 micro-architecture level of this CPU, or 0 on another architecture."""
    return fastembed_x86_level()
