"""The floating-point mode of a thread (rounding, flushing of subnormals): set the default mode, restore the old one.

A thread inherits the mode of the thread that starts it, and other libraries change it. The mode is set only if it
differs. Exception flags are ignored.
"""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #define FASTEMBED_MXCSR
    static inline unsigned fastembed_mxcsr(void) {
        unsigned now;
        __asm__ __volatile__("stmxcsr %0" : "=m"(now) : : "memory");
        return now;
    }
    static inline void fastembed_set_mxcsr(unsigned mode) {
        __asm__ __volatile__("ldmxcsr %0" : : "m"(mode) : "memory");
    }
    #elif defined(_M_X64)
    #include <xmmintrin.h>
    #define FASTEMBED_MXCSR
    #define fastembed_mxcsr() _mm_getcsr()
    #define fastembed_set_mxcsr(mode) _mm_setcsr(mode)
    #endif
    #if defined(FASTEMBED_MXCSR)
    typedef unsigned fastembed_mode;
    #define FASTEMBED_DEFAULT 0x1F80u  /* to nearest, subnormals kept, no exception raised */
    #define FASTEMBED_FLAGS 0x3Fu
    static inline fastembed_mode fastembed_enter(void) {
        unsigned now = fastembed_mxcsr();
        if ((now & ~FASTEMBED_FLAGS) != FASTEMBED_DEFAULT) fastembed_set_mxcsr(FASTEMBED_DEFAULT);
        return now;
    }
    static inline void fastembed_leave(fastembed_mode mode) {
        if ((mode & ~FASTEMBED_FLAGS) != FASTEMBED_DEFAULT) fastembed_set_mxcsr(mode);
    }
    #elif defined(__aarch64__) && defined(__GNUC__)
    typedef unsigned long long fastembed_mode;
    static inline fastembed_mode fastembed_enter(void) {
        fastembed_mode now, normal = 0;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(now) : : "memory");
        if (now) __asm__ __volatile__("msr fpcr, %0" : : "r"(normal) : "memory");
        return now;
    }
    static inline void fastembed_leave(fastembed_mode mode) {
        if (mode) __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory");
    }
    #else
    #include <fenv.h>
    typedef int fastembed_mode;
    static inline fastembed_mode fastembed_enter(void) {
        int now = fegetround();
        fesetround(FE_TONEAREST);
        return now;
    }
    static inline void fastembed_leave(fastembed_mode mode) { fesetround(mode); }
    #endif
    """
    ctypedef unsigned long long Mode "fastembed_mode"
    Mode enter_default_mode "fastembed_enter" () noexcept nogil
    void leave_default_mode "fastembed_leave" (Mode mode) noexcept nogil
