"""Text -> tokens -> ids: the hash table of tokens, and the scan of UTF-8 text that feeds it.

A token is a run of bytes other than ASCII white space (space, \\t, \\n, \\v, \\f, \\r); a line ends at \\n. The scan
reads each byte once: for the end of the token and for its hash (FNV-1a, then a multiplication that spreads it over the
high bits). Slots are found by linear probing; a slot holds the high half of the hash, so that the bytes of different
tokens are compared once in 2^32 times.

A text can be made so that its tokens fall into the same slots. A table that notices it, by a long way to a free slot,
goes on with SipHash (Aumasson and Bernstein, 2012), whose key differs from process to process. Ids do not depend on it.

No Python object is made for a token. A table owns its memory; every allocation is checked.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastembed._kernels.hashing cimport add_byte, empty_hash, hash_of, sip_hash, spread

cdef enum:
    FIRST_SLOTS = 1024
    LONGEST_WAY = 256  # slots from a token's own to a free one; without intent it is about 100 among 10^8 tokens


cdef struct Slot:
    uint32_t tag    # the high half of the hash
    int32_t id      # + 1; 0 in a free slot


cdef extern from *:
    """
    static const unsigned char fastembed_space[256] = {
        [' '] = 1, ['\\t'] = 1, ['\\n'] = 1, ['\\v'] = 1, ['\\f'] = 1, ['\\r'] = 1};
    // What F8 to FE stand for in tokens of lists (corpus/document_blocks.py); the last is a token without characters
    static const int fastembed_spaces_in_tokens[8] = {' ', '\\t', '\\n', '\\v', '\\f', '\\r', -1, 0xFF};
    """
    const uint8_t* SPACE "fastembed_space"
    const int* SPACES_IN_TOKENS "fastembed_spaces_in_tokens"


# ---------------------------------------------------------------- the scan

cdef struct Scan:
    # The rest of a text, the token found last, and counts of what was read
    const uint8_t* at
    const uint8_t* end
    const uint8_t* token
    int64_t length
    uint64_t hash
    int32_t* ids                        # NULL, or where the next id is written: -1 by the scan where a line ends
    bint open_line                      # whether the line at `at` has had tokens
    int64_t tokens, lines, empty_lines  # lines that ended


cdef inline Scan scan_of(const uint8_t[::1] text, bint open_line, int32_t* ids) noexcept nogil:
    """A scan at the start of a text; `open_line` says whether the line in which it begins has had tokens before."""
    cdef const uint8_t* first = &text[0] if text.shape[0] else NULL
    cdef Scan scan
    scan.at, scan.end = first, first + text.shape[0]
    scan.ids, scan.open_line = ids, open_line
    scan.tokens = scan.lines = scan.empty_lines = 0
    return scan


cdef inline bint next_token(Scan* scan) noexcept nogil:
    """Go to the next token; return whether there is one."""
    cdef const uint8_t* at = scan.at
    cdef uint64_t h = empty_hash()
    while at < scan.end and SPACE[at[0]]:
        if at[0] == 10:
            scan.lines += 1
            scan.empty_lines += not scan.open_line
            scan.open_line = False
            if scan.ids != NULL:
                scan.ids[0] = -1
                scan.ids += 1
        at += 1
    scan.token = at
    while at < scan.end and not SPACE[at[0]]:
        h = add_byte(h, at[0])
        at += 1
    scan.at = at
    if at == scan.token:
        return False
    scan.length = at - scan.token
    scan.hash = spread(h)
    scan.tokens += 1
    scan.open_line = True
    return True


# ---------------------------------------------------------------- the table

cdef class TokenTable:
    """Different tokens, numbered in the order of their first occurrence, and how often each occurred.

    One thread may add at a time; any number of threads may call :meth:`encode` while none adds.
    """

    cdef Slot* slots
    cdef uint64_t mask
    cdef uint8_t* text          # the tokens end to end
    cdef int64_t* ends          # where each token ends in it; ends[-1] of the first is 0
    cdef int64_t* counts
    cdef int64_t size           # number of tokens
    cdef int64_t capacity       # of ends and counts
    cdef int64_t text_capacity
    cdef readonly bint keyed    # whether the slots are those of SipHash
    cdef uint64_t[2] key

    def __cinit__(self):
        # Python's own hash of bytes has a key, which differs from process to process
        self.key[0], self.key[1] = <uint64_t><Py_hash_t>hash(b"tokens 0"), <uint64_t><Py_hash_t>hash(b"tokens 1")
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

    cdef inline uint64_t hash_in_use(self, const uint8_t* token, int64_t length, uint64_t h) noexcept nogil:
        """The hash that chooses the slot of a token whose hash by the scan is h."""
        return sip_hash(token, length, self.key) if self.keyed else h

    cdef inline int64_t find(self, const uint8_t* token, int64_t length, uint64_t h) noexcept nogil:
        """The slot of a token, or the free slot where it belongs, by the hash in use."""
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

    cdef int replace_slots(self, uint64_t mask) noexcept nogil:
        """Put all tokens into new slots, by the hash in use; -1 without memory, and then nothing has changed."""
        cdef uint64_t old, place, h
        cdef int64_t id
        cdef Slot* slots = <Slot*>PyMem_RawCalloc(mask + 1, sizeof(Slot))
        if slots == NULL:
            return -1
        for old in range(self.mask + 1):
            if self.slots[old].id:
                id = self.slots[old].id - 1
                if self.keyed:
                    h = sip_hash(self.text + self.start(id), self.ends[id] - self.start(id), self.key)
                else:
                    h = hash_of(self.text + self.start(id), self.ends[id] - self.start(id))
                place = h & mask
                while slots[place].id:
                    place = (place + 1) & mask
                slots[place].id, slots[place].tag = self.slots[old].id, <uint32_t>(h >> 32)
        PyMem_RawFree(self.slots)
        self.slots = slots
        self.mask = mask
        return 0

    cdef int reserve(self, int64_t length) noexcept nogil:
        """Make sure that one more token of this length fits; -1 without memory, and then no token has changed."""
        cdef void* grown
        cdef int64_t used = self.start(self.size), capacity
        if self.size == self.capacity:
            capacity = 2 * self.capacity + 512
            grown = PyMem_RawRealloc(self.ends, capacity * sizeof(int64_t))
            if grown == NULL:
                return -1
            self.ends = <int64_t*>grown
            grown = PyMem_RawRealloc(self.counts, capacity * sizeof(int64_t))
            if grown == NULL:
                return -1
            self.counts = <int64_t*>grown
            self.capacity = capacity
        if used + length >= self.text_capacity:  # one byte more, so that even a token without a byte has an address
            capacity = 2 * self.text_capacity + length + 4096
            grown = PyMem_RawRealloc(self.text, capacity)
            if grown == NULL:
                return -1
            self.text = <uint8_t*>grown
            self.text_capacity = capacity
        return 0

    cdef int add(self, const uint8_t* token, int64_t length, uint64_t h, int64_t times) noexcept nogil:
        """Count a token; -1 without memory, or if it is new and the table has 2^31 - 2 tokens."""
        cdef uint64_t scanned = h
        cdef int64_t place, start
        h = self.hash_in_use(token, length, scanned)
        place = self.find(token, length, h)
        if self.slots[place].id:
            self.counts[self.slots[place].id - 1] += times
            return 0
        if self.size == INT32_MAX - 1 or self.reserve(length) < 0:
            return -1
        if <uint64_t>self.size * 2 > self.mask:
            if self.replace_slots(self.mask * 2 + 1) < 0:
                return -1
            place = self.find(token, length, h)
        if (place - h & self.mask) > LONGEST_WAY and not self.keyed:
            self.keyed = True
            if self.replace_slots(self.mask) < 0:
                self.keyed = False
                return -1
            h = self.hash_in_use(token, length, scanned)
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
            If the table cannot grow. All methods that add tokens raise it.
        """
        cdef const uint8_t* first = &token[0] if token.shape[0] else <const uint8_t*>b""
        if self.add(first, token.shape[0], hash_of(first, token.shape[0]), times) < 0:
            raise_full(self.size)

    def fill(self, tokens):
        """Add each of some tokens, in order, given as bytes."""
        cdef const uint8_t* first
        cdef bytes token
        for token in tokens:
            first = token
            if self.add(first, len(token), hash_of(first, len(token)), 0) < 0:
                raise_full(self.size)

    def sort_into_parts(self, int32_t[::1] ids, int64_t[::1] starts):
        """Sort the ids by the parts of the table: tokens are in one part of P, a power of two, by their hashes alone.

        Parameters
        ----------
        ids : int32 (number of tokens,), written
        starts : int64 (P + 1,), written
            The ids of part k are ``ids[starts[k]:starts[k + 1]]``.
        """
        cdef int64_t id, part, place = 0, size, parts = starts.shape[0] - 1
        with nogil:
            starts[:] = 0
            for id in range(self.size):
                starts[self.part_of(id, parts)] += 1
            for part in range(parts):
                size = starts[part]
                starts[part] = place
                place += size
            for id in range(self.size):
                part = self.part_of(id, parts)
                ids[starts[part]] = <int32_t>id
                starts[part] += 1
            # Each start has moved to that of the next part
            for part in range(parts, 0, -1):
                starts[part] = starts[part - 1]
            starts[0] = 0

    cdef inline int64_t part_of(self, int64_t id, int64_t parts) noexcept nogil:
        # By the high bits of the hash: the low ones choose the slot
        return (hash_of(self.text + self.start(id), self.ends[id] - self.start(id)) >> 32) & (parts - 1)

    def merge(self, TokenTable other not None, const int32_t[::1] ids=None):
        """Add the tokens and counts of another table: those with these ids, or all."""
        cdef int64_t i = 0, id, start, length, n = other.size if ids is None else ids.shape[0]
        cdef int failed = 0
        with nogil:
            while i < n and not failed:
                id = i if ids is None else ids[i]
                start = other.start(id)
                length = other.ends[id] - start
                failed = self.add(other.text + start, length, hash_of(other.text + start, length), other.counts[id])
                i += 1
        if failed:
            raise_full(self.size)

    def count(self, const uint8_t[::1] text, bint open_line) -> tuple[int, int, int]:
        """Count the tokens of a text.

        Parameters
        ----------
        text : uint8 (n,)
            Valid UTF-8 that does not begin or end inside a token.
        open_line : bool
            Whether the line in which the text begins has had tokens before it.

        Returns
        -------
        tokens, lines, empty_lines : int
            Number of tokens; of lines that end in this text; of those among them without a token.
        """
        cdef Scan scan = scan_of(text, open_line, NULL)
        cdef int failed = 0
        with nogil:
            while not failed and next_token(&scan):
                failed = self.add(scan.token, scan.length, scan.hash, 1)
        if failed:
            raise_full(self.size)
        return scan.tokens, scan.lines, scan.empty_lines

    def number(self, const uint8_t[::1] text, bint open_line, int32_t[::1] ids) -> tuple[int, int, int, int]:
        """Count the tokens of a text, as :meth:`count`, and write the ids of all, as :meth:`encode`."""
        cdef int32_t* first = &ids[0] if ids.shape[0] else NULL
        cdef Scan scan = scan_of(text, open_line, first)
        cdef int32_t id
        cdef uint64_t h
        cdef int failed = 0
        if ids.shape[0] < text.shape[0]:
            raise ValueError(
                f"ids must hold at least {text.shape[0]} elements, one per byte of the text; got {ids.shape[0]}"
            )
        with nogil:
            while not failed and next_token(&scan):
                h = self.hash_in_use(scan.token, scan.length, scan.hash)
                id = self.slots[self.find(scan.token, scan.length, h)].id - 1
                if id >= 0:
                    self.counts[id] += 1
                else:
                    failed = self.add(scan.token, scan.length, scan.hash, 1)
                    id = <int32_t>(self.size - 1)
                scan.ids[0] = id
                scan.ids += 1
        if failed:
            raise_full(self.size)
        return scan.ids - first, scan.tokens, scan.lines, scan.empty_lines

    def encode(self, const uint8_t[::1] text, bint open_line, int32_t[::1] ids) -> tuple[int, int, int, int]:
        """Write the ids of the tokens of a text that are in the table, and -1 at the end of each line.

        Parameters
        ----------
        text, open_line
            As for :meth:`count`.
        ids : int32 (at least n,), written

        Returns
        -------
        written, tokens, lines, empty_lines : int
            Elements of `ids` written; the others as for :meth:`count`.

        Raises
        ------
        ValueError
            If `ids` is shorter than the text.
        """
        cdef int32_t* first = &ids[0] if ids.shape[0] else NULL
        cdef Scan scan = scan_of(text, open_line, first)
        cdef int32_t id
        cdef uint64_t h
        if ids.shape[0] < text.shape[0]:
            raise ValueError(
                f"ids must hold at least {text.shape[0]} elements, one per byte of the text; got {ids.shape[0]}"
            )
        with nogil:
            while next_token(&scan):
                h = self.hash_in_use(scan.token, scan.length, scan.hash)
                id = self.slots[self.find(scan.token, scan.length, h)].id
                if id:
                    scan.ids[0] = id - 1
                    scan.ids += 1
        return scan.ids - first, scan.tokens, scan.lines, scan.empty_lines

    def frequent(self, int64_t least) -> tuple[list, list]:
        """Return (tokens as bytes, counts) of the tokens that occurred at least `least` times, in the order of ids."""
        cdef int64_t id
        tokens, counts = [], []
        for id in range(self.size):
            if self.counts[id] >= least:
                tokens.append(self.text[self.start(id):self.ends[id]])
                counts.append(self.counts[id])
        return tokens, counts


# ---------------------------------------------------------------- the ranking

cdef struct Ranked:
    int64_t count
    const uint8_t* token
    int64_t length


cdef inline int place_of(uint8_t byte) noexcept nogil:
    """The place of a byte in the order of code points: those above F7 stand for white space, or for no character."""
    return byte if byte < 0xF8 else SPACES_IN_TOKENS[byte - 0xF8]


cdef inline bint before(const Ranked* a, const Ranked* b) noexcept nogil:
    """Whether a has the higher count or, with equal counts, comes first in the order of code points."""
    cdef int64_t i
    if a.count != b.count:
        return a.count > b.count
    for i in range(min(a.length, b.length)):
        if a.token[i] != b.token[i]:
            return place_of(a.token[i]) < place_of(b.token[i])
    return a.length < b.length


cdef inline bint is_escaped(const Ranked* a) noexcept nogil:
    cdef int64_t i
    for i in range(a.length):
        if a.token[i] >= 0xF8:
            return True
    return False


cdef class Ranking:
    """The tokens of several tables, all different, that occurred at least `least` times, by decreasing count.

    First they are in the order of the tables; those of table k are from ``bounds[k]`` to ``bounds[k + 1] - 1``.
    :meth:`sort` brings a run of them into the order of counts, :meth:`merge` makes one run of two; threads may do so
    with different runs at once. The tables must not change meanwhile.
    """

    cdef readonly list bounds
    cdef readonly int64_t total  # the sum of the counts
    cdef int64_t size
    cdef tuple tables
    cdef Ranked* items
    cdef Ranked* buffer

    def __cinit__(self, tables, int64_t least):
        cdef TokenTable table
        cdef int64_t id, n = 0
        self.tables, self.bounds = tuple(tables), [0]
        for table in self.tables:
            with nogil:
                for id in range(table.size):
                    n += table.counts[id] >= least
            self.bounds.append(n)
        self.items = <Ranked*>PyMem_RawMalloc((n + 1) * sizeof(Ranked))
        self.buffer = <Ranked*>PyMem_RawMalloc((n + 1) * sizeof(Ranked))
        if self.items == NULL or self.buffer == NULL:
            raise MemoryError(f"no memory for a ranking of {n:,} tokens")
        self.size, n = n, 0
        for table in self.tables:
            with nogil:
                for id in range(table.size):
                    if table.counts[id] >= least:
                        self.items[n].count = table.counts[id]
                        self.items[n].token = table.text + table.start(id)
                        self.items[n].length = table.ends[id] - table.start(id)
                        self.total += table.counts[id]
                        n += 1

    def __dealloc__(self):
        PyMem_RawFree(self.items)
        PyMem_RawFree(self.buffer)

    def __len__(self):
        return self.size

    def sort(self, int64_t first, int64_t last):
        """Sort the run first to last - 1."""
        cdef int64_t width = 1, at
        with nogil:
            while width < last - first:
                at = first
                while at + width < last:
                    self.merge_runs(at, at + width, min(at + 2 * width, last))
                    at += 2 * width
                width *= 2

    def merge(self, int64_t first, int64_t middle, int64_t last):
        """Merge the sorted runs first to middle - 1 and middle to last - 1."""
        with nogil:
            self.merge_runs(first, middle, last)

    cdef void merge_runs(self, int64_t first, int64_t middle, int64_t last) noexcept nogil:
        cdef int64_t i = first, j = middle, n
        if first == middle or middle == last or before(&self.items[middle - 1], &self.items[middle]):
            return
        for n in range(first, last):
            if j == last or (i < middle and before(&self.items[i], &self.items[j])):
                self.buffer[n] = self.items[i]
                i += 1
            else:
                self.buffer[n] = self.items[j]
                j += 1
        memcpy(&self.items[first], &self.buffer[first], (last - first) * sizeof(Ranked))

    def take(self, int64_t[::1] counts, decode) -> list[str]:
        """Return the first n tokens; `counts` (n,) is written. `decode` is called for bytes that are not UTF-8.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        cdef int64_t n, length
        cdef const char* text
        cdef list tokens = []
        if counts.shape[0] > self.size:
            raise ValueError(f"a ranking of {self.size} tokens has no {counts.shape[0]} first ones")
        for n in range(counts.shape[0]):
            counts[n] = self.items[n].count
            text, length = <const char*>self.items[n].token, self.items[n].length
            if is_escaped(&self.items[n]):
                tokens.append(decode(text[:length]))
            else:
                tokens.append(PyUnicode_DecodeUTF8(text, length, "surrogatepass"))
        return tokens


cdef raise_full(int64_t size):
    raise MemoryError(f"no memory for more than {size:,} different tokens")


# ---------------------------------------------------------------- UTF-8

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


include "phrases.pxi"
