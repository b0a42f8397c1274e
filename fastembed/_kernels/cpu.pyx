"""The x86-64 level of the CPU and the operating system, the sizes of data caches, the floating-point mode."""

from fastembed._kernels.float_mode cimport Mode, enter_default_mode, leave_default_mode
from fastembed._kernels.primitives cimport CACHE_LINE as LINE

CACHE_LINE = LINE  # bytes

cdef extern from *:
    """
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    static int fastembed_x86_level(void) {
        /* These built-ins read CPUID, and XGETBV for the registers that the operating system saves. */
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


cdef extern from *:
    """
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    #include <cpuid.h>
    static inline void fastembed_cpuid(unsigned leaf, unsigned subleaf, unsigned *r) {
        __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
    }
    #define FASTEMBED_HAS_CPUID
    #elif defined(_M_X64)
    static inline void fastembed_cpuid(unsigned leaf, unsigned subleaf, unsigned *r) {
        __cpuidex((int *)r, (int)leaf, (int)subleaf);
    }
    #define FASTEMBED_HAS_CPUID
    #endif

    static long long fastembed_data_cache_bytes(int level) {
    #ifdef FASTEMBED_HAS_CPUID
        unsigned r[4], highest, vendor_highest, leaf, k;
        fastembed_cpuid(0, 0, r);
        highest = r[0];
        if (highest >= 7) {
            fastembed_cpuid(7, 0, r);
            if (r[3] >> 15 & 1) return 0;     /* cores of two kinds, with different caches */
        }
        fastembed_cpuid(0x80000000u, 0, r);
        vendor_highest = r[0];
        leaf = 0;
        if (highest >= 4) {
            fastembed_cpuid(4, 0, r);
            if (r[0] & 31) leaf = 4;          /* Intel's; zero elsewhere */
        }
        if (!leaf && vendor_highest >= 0x8000001Du && vendor_highest < 0x80010000u) leaf = 0x8000001Du;  /* AMD's */
        for (k = 0; leaf && k < 16; k++) {    /* one cache per subleaf: its type (0: no more), level and dimensions */
            fastembed_cpuid(leaf, k, r);
            if (!(r[0] & 31)) break;
            if ((r[0] & 31) != 2 && (int)(r[0] >> 5 & 7) == level)      /* data or unified, not instructions */
                return (long long)((r[1] >> 22) + 1) * ((r[1] >> 12 & 1023) + 1) * ((r[1] & 4095) + 1)
                       * ((long long)r[2] + 1);
        }
    #endif
        (void)level;
        return 0;
    }
    """
    long long fastembed_data_cache_bytes(int level) noexcept nogil


def x86_level() -> int:
    """Return 1 to 4, the x86-64 micro-architecture level of this CPU, or 0 on another architecture."""
    return fastembed_x86_level()


def data_cache_bytes(int level) -> int:
    """Return the bytes of the data cache of a level by CPUID; 0 if unknown, or if cores differ."""
    return fastembed_data_cache_bytes(level)


cdef class DefaultFloatMode:
    """A `with` block in which this thread rounds to nearest and keeps subnormals; then it restores the old mode."""

    cdef Mode before

    def __enter__(self):
        self.before = enter_default_mode()

    def __exit__(self, *_):
        leave_default_mode(self.before)
