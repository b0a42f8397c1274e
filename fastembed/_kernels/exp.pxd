"""exp(x) for x <= 0, written so that a plain loop over it vectorises.

x = n ln2 + r with an integer n and |r| <= ln2 / 2, so exp(x) = 2^n exp(r). exp(r) = 1 + r + r^2 q(r), where the
polynomial q minimises the largest relative error on the interval: degree 3 in float, error 1.05e-7; degree 9 in double,
error 4e-18. exp(0) is exactly 1.

n ln2 is subtracted in two parts. The high part has so few bits that its product with n is exact. The clamp between the
two changes no value, since |r| < 0.35. It keeps the compiler from adding the two parts first, which -fassociative-math
allows and which costs five bits.

Below the cut-off 2^n is not a normal number, and the result is 0, also for -inf. NaN gives NaN, through r; n is a
number even then, since C does not define the conversion of NaN to an integer. The result is right for x > 0, too, up to
the largest exponent, but no kernel relies on it.
"""

from libc.math cimport rint, rintf
from libc.stdint cimport int32_t, int64_t

from fastembed._kernels.bits cimport double_of, float_of
from fastembed._kernels.types cimport real


cdef inline real exp_nonpositive(real x) noexcept nogil:
    cdef real cut, t, n, r, q
    if real is float:
        cut = -87.33654
        t = x if x > cut else cut
        n = rintf(t * <float>1.4426950408889634)
        r = x - n * <float>0.693359375
        r = <real>1 if r > <real>1 else r
        r = r + n * <float>2.1219444005469057e-4
        q = <float>0.041890553065376714 + r * <float>0.0083124797135021191
        q = <float>0.16667116300999057 + r * q
        q = <float>0.49999228796159335 + r * q
        t = (<real>1 + r + r * r * q) * float_of((<int32_t>n + 127) << 23)
    else:
        cut = -708.3964185322641
        t = x if x > cut else cut
        n = rint(t * 1.4426950408889634)
        r = x - n * 0.693147180369123816490
        r = <real>1 if r > <real>1 else r
        r = r - n * 1.90821492927058770002e-10
        q = 2.763038157137872086e-7 + r * 2.4999989443177926772e-8
        q = 2.7557587282453295804e-6 + r * q
        q = 2.4801492753957545989e-5 + r * q
        q = 1.9841269504806578491e-4 + r * q
        q = 1.3888888943931791678e-3 + r * q
        q = 8.3333333334955222618e-3 + r * q
        q = 4.1666666666529151221e-2 + r * q
        q = 0.16666666666666410193 + r * q
        q = 0.50000000000000107257 + r * q
        t = (<real>1 + r + r * r * q) * double_of(<int64_t>(<int32_t>n + 1023) << 52)
    return <real>0 if x < cut else t
