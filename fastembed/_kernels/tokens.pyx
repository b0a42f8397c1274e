"""Text -> tokens -> ids: the hash table of tokens, and the loops over UTF-8 text that feed it.

A token is a run of bytes other than ASCII white space (space, \\t, \\n, \\v, \\f, \\r); a line ends at \\n. Both the
hash (FNV-1a, then a multiplication that spreads it over the high bits) and the end of a token come from one look at
each byte. Slots are found by linear probing; a slot holds the high half of the hash, so that another token's bytes are
compared once in 2^32 times.

No Python object is made for a token. The memory belongs to the table; every allocation is checked.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    FIRST_SLOTS = 1024

cdef struct Slot:
    uint32_t tag
    int32_t id      # + 1; 0: free

cdef extern from *:
    """
    static const unsigned char fastembed_space[256] = {
        [' '] = 1, ['\\t'] = 1, ['\\n'] = 1, ['\\v'] = 1, ['\\f'] = 1, ['\\r'] = 1};
    """
    const uint8_t* SPACE "fastembed_space"


cdef inline uint64_t spread(uint64_t h) noexcept nogil:
    h ^= h >> 32
    h *= <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 29)


cdef uint64_t hashed(const uint8_t* token, int64_t length) noexcept nogil:
    cdef uint64_t h = <uint64_t>0xCBF29CE484222325
    cdef int64_t i
    for i in range(length):
        h = (h ^ token[i]) * <uint64_t>0x100000001B3
    return spread(h)


cdef class TokenTable:
    """Different tokens, numbered in the order in which they came, and how often each occurred.

    One thread may add at a time; any number may call :meth:`encode` while none adds.
    """

    cdef Slot* slots
    cdef uint64_t mask
    cdef uint8_t* text          # the tokens end to end
    cdef int64_t* ends          # where each token ends in it; ends[-1] of the first is 0
    cdef int64_t* counts
    cdef int64_t size, room, text_room

    def __cinit__(self):
        self.slots = <Slot*>PyMem_RawCalloc(FIRST_SLOTS, sizeof(Slot))
        self.mask = FIRST_SLOTS - 1
        if self.slots == NULL:
            raise MemoryError("no memory for a table of tokens")

    def __dealloc__(self):
        PyMem_RawFree(self.slots)
        PyMem_RawFree(self.text)
        PyMem_RawFree(self.ends)
        PyMem_RawFree(self.counts)

    def __len__(self):
        return self.size

    cdef inline int64_t start(self, int64_t id) noexcept nogil:
        return self.ends[id - 1] if id else 0

    cdef inline int64_t find(self, const uint8_t* token, int64_t length, uint64_t h) noexcept nogil:
        """The slot of a token, or the free slot where it belongs."""
        cdef uint64_t place = h & self.mask
        cdef uint32_t tag = <uint32_t>(h >> 32)
        cdef int64_t id, start
        while self.slots[place].id:
            if self.slots[place].tag == tag:
                id = self.slots[place].id - 1
                start = self.start(id)
                if self.ends[id] - start == length and memcmp(self.text + start, token, length) == 0:
                    break
            place = (place + 1) & self.mask
        return place

    cdef int grow_slots(self) noexcept nogil:
        cdef uint64_t mask = self.mask * 2 + 1, old, place, h
        cdef int64_t id
        cdef Slot* slots = <Slot*>PyMem_RawCalloc(mask + 1, sizeof(Slot))
        if slots == NULL:
            return -1
        for old in range(self.mask + 1):
            if self.slots[old].id:
                id = self.slots[old].id - 1
                h = hashed(self.text + self.start(id), self.ends[id] - self.start(id))
                place = h & mask
                while slots[place].id:
                    place = (place + 1) & mask
                slots[place] = self.slots[old]
        PyMem_RawFree(self.slots)
        self.slots = slots
        self.mask = mask
        return 0

    cdef int reserve(self, int64_t length) noexcept nogil:
        """Make room for one more token of this length; -1 without memory, and then nothing has changed."""
        cdef void* grown
        cdef int64_t used = self.start(self.size), room
        if self.size == self.room:
            room = 2 * self.room + 512
            grown = PyMem_RawRealloc(self.ends, room * sizeof(int64_t))
            if grown == NULL:
                return -1
            self.ends = <int64_t*>grown
            grown = PyMem_RawRealloc(self.counts, room * sizeof(int64_t))
            if grown == NULL:
                return -1
            self.counts = <int64_t*>grown
            self.room = room
        if used + length >= self.text_room:  # so that even a token without a byte has an address
            room = 2 * self.text_room + length + 4096
            grown = PyMem_RawRealloc(self.text, room)
            if grown == NULL:
                return -1
            self.text = <uint8_t*>grown
            self.text_room = room
        return 0

    cdef int add(self, const uint8_t* token, int64_t length, uint64_t h, int64_t times) noexcept nogil:
        """Count a token; -1 without memory or if there are 2^31 - 1 tokens."""
        cdef int64_t place = self.find(token, length, h), start
        if self.slots[place].id:
            self.counts[self.slots[place].id - 1] += times
            return 0
        if self.size == INT32_MAX - 1 or self.reserve(length) < 0:
            return -1
        if <uint64_t>self.size * 2 > self.mask:
            if self.grow_slots() < 0:
                return -1
            place = self.find(token, length, h)
        start = self.start(self.size)
        memcpy(self.text + start, token, length)
        self.ends[self.size] = start + length
        self.counts[self.size] = times
        self.size += 1
        self.slots[place].tag = <uint32_t>(h >> 32)
        self.slots[place].id = <int32_t>self.size
        return 0

    def insert(self, const uint8_t[::1] token, int64_t times=0):
        """Add one token, whatever bytes it has.

        Raises
        ------
        MemoryError
            As all methods that add.
        """
        cdef const uint8_t* first = &token[0] if token.shape[0] else <const uint8_t*>b""
        if self.add(first, token.shape[0], hashed(first, token.shape[0]), times) < 0:
            raise_full(self.size)

    def merge(self, TokenTable other not None):
        """Add the tokens and counts of another table."""
        cdef int64_t id = 0, start, length
        cdef int failed = 0
        with nogil:
            while id < other.size and not failed:
                start = other.start(id)
                length = other.ends[id] - start
                failed = self.add(other.text + start, length, hashed(other.text + start, length), other.counts[id])
                id += 1
        if failed:
            raise_full(self.size)

    def count(self, const uint8_t[::1] text, bint open_line) -> tuple[int, int, int]:
        """Count the tokens of a text.

        Parameters
        ----------
        text : uint8 (n,)
            Valid UTF-8, whole tokens.
        open_line : bool
            Whether the line that the text begins in has had tokens before it.

        Returns
        -------
        tokens, lines, empty_lines : int
            Lines that end in this text; those of them without a token.
        """
        cdef int64_t n = text.shape[0], i = 0, first, tokens = 0, lines = 0, empty = 0
        cdef bint full = open_line
        cdef int failed = 0
        cdef uint64_t h
        cdef const uint8_t* t = &text[0] if n else NULL
        with nogil:
            while i < n and not failed:
                if SPACE[t[i]]:
                    if t[i] == 10:
                        lines += 1
                        empty += not full
                        full = False
                    i += 1
                    continue
                first = i
                h = <uint64_t>0xCBF29CE484222325
                while i < n and not SPACE[t[i]]:
                    h = (h ^ t[i]) * <uint64_t>0x100000001B3
                    i += 1
                failed = self.add(t + first, i - first, spread(h), 1)
                tokens += 1
                full = True
        if failed:
            raise_full(self.size)
        return tokens, lines, empty

    def encode(self, const uint8_t[::1] text, bint open_line, int32_t[::1] ids) -> tuple[int, int, int, int]:
        """Write the number of each token of a text that is in the table, and -1 at the end of each line.

        Parameters
        ----------
        text, open_line
            As for :meth:`count`.
        ids : int32 (at least n,), written

        Returns
        -------
        written, tokens, lines, empty_lines : int
        """
        cdef int64_t n = text.shape[0], i = 0, first, tokens = 0, lines = 0, empty = 0, written = 0
        cdef bint full = open_line
        cdef uint64_t h
        cdef int32_t id
        cdef const uint8_t* t = &text[0] if n else NULL
        if ids.shape[0] < n:
            raise ValueError(f"ids must have room for {n} ids, got {ids.shape[0]}")
        with nogil:
            while i < n:
                if SPACE[t[i]]:
                    if t[i] == 10:
                        lines += 1
                        empty += not full
                        full = False
                        ids[written] = -1
                        written += 1
                    i += 1
                    continue
                first = i
                h = <uint64_t>0xCBF29CE484222325
                while i < n and not SPACE[t[i]]:
                    h = (h ^ t[i]) * <uint64_t>0x100000001B3
                    i += 1
                id = self.slots[self.find(t + first, i - first, spread(h))].id
                if id:
                    ids[written] = id - 1
                    written += 1
                tokens += 1
                full = True
        return written, tokens, lines, empty

    def frequent(self, int64_t least) -> tuple[list, list]:
        """Return (tokens as bytes, counts) of the tokens that occurred at least so often."""
        cdef int64_t id
        tokens, counts = [], []
        for id in range(self.size):
            if self.counts[id] >= least:
                tokens.append(self.text[self.start(id):self.ends[id]])
                counts.append(self.counts[id])
        return tokens, counts


cdef raise_full(int64_t size):
    raise MemoryError(f"no memory for more than {size:,} different tokens")


def valid_utf8(const uint8_t[::1] text) -> bool:
    """Return whether a text is well-formed UTF-8 (The Unicode Standard, table 3-7)."""
    cdef int64_t n = text.shape[0]
    cdef const uint8_t* t = &text[0] if n else NULL
    cdef bint valid
    with nogil:
        valid = well_formed(t, n)
    return valid


cdef bint well_formed(const uint8_t* t, int64_t n) noexcept nogil:
    cdef int64_t i = 0, k, length
    cdef uint64_t eight
    cdef uint8_t lead, low, high
    while i < n:
        if i + 8 <= n:
            memcpy(&eight, t + i, 8)
            if not eight & <uint64_t>0x8080808080808080:
                i += 8
                continue
        lead = t[i]
        if lead < 0x80:
            i += 1
            continue
        length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        # no overlong forms, no surrogates, nothing above U+10FFFF
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if lead < 0xC2 or lead > 0xF4 or i + length > n or t[i + 1] < low or t[i + 1] > high:
            return False
        for k in range(2, length):
            if t[i + k] & 0xC0 != 0x80:
                return False
        i += length
    return True
