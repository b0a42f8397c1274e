"""Hashes of bytes: FNV-1a, spread over the high bits, for text that is read byte by byte; SipHash, which has a key."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t empty_hash() noexcept nogil:
    return <uint64_t>0xCBF29CE484222325


cdef inline uint64_t add_byte(uint64_t h, uint8_t byte) noexcept nogil:
    return (h ^ byte) * <uint64_t>0x100000001B3


cdef inline uint64_t spread(uint64_t h) noexcept nogil:
    h ^= h >> 32
    h *= <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 29)


cdef inline uint64_t hash_of(const uint8_t* token, int64_t length) noexcept nogil:
    cdef uint64_t h = empty_hash()
    cdef int64_t i
    for i in range(length):
        h = add_byte(h, token[i])
    return spread(h)


cdef inline uint64_t new_key() except? 0:
    """Return a key that differs from process to process, by Python's own hash.

    Numbers are mixed with the key before they are spread, so that nobody can choose numbers that collide.
    """
    return <uint64_t><Py_hash_t>hash(b"key of a table")


cdef inline uint64_t rotate(uint64_t x, int bits) noexcept nogil:
    return (x << bits) | (x >> (64 - bits))


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t sip_hash(const uint8_t* token, int64_t length, const uint64_t* key) noexcept nogil:
    """SipHash-1-3, on words in the byte order of the machine."""
    cdef uint64_t[4] v = [
        key[0] ^ <uint64_t>0x736F6D6570736575, key[1] ^ <uint64_t>0x646F72616E646F6D,
        key[0] ^ <uint64_t>0x6C7967656E657261, key[1] ^ <uint64_t>0x7465646279746573,
    ]
    cdef uint64_t word
    cdef int64_t at = 0, rest
    while True:
        rest = min(length - at, <int64_t>8)
        word = 0 if rest == 8 else <uint64_t>length << 56
        memcpy(&word, token + at, rest)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        at += rest
        if rest < 8:
            break
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
