"""Text -> tokens -> ids: the table of tokens, their ranking by count, and the check of UTF-8.

token_scan.pxd says what a token is. Counting makes no Python object per token. The twins are `count_tokens`, `encode`,
`ranking` and `valid_utf8` of ``tests/twins.py``.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from fastembed._kernels.bytes_table cimport (
    BytesTable, find_or_add, free_table, hash_in_use, length_of, make_table, scan_hash_of, slot_of, start_of,
)
from fastembed._kernels.hashing cimport hash_of
from fastembed._kernels.primitives cimport prefetch
from fastembed._kernels.token_scan cimport Scan, next_token, scan_of


cdef extern from *:
    """
    // What the bytes F8 to FE mean in tokens of lists (corpus/reading.py); FE is a token without characters
    static const int fastembed_spaces_in_tokens[8] = {' ', '\\t', '\\n', '\\v', '\\f', '\\r', -1, 0xFF};
    """
    const int* SPACES_IN_TOKENS "fastembed_spaces_in_tokens"


# ---------------------------------------------------------------- deferred writing of ids

cdef enum:
    TOKENS_AHEAD = 16  # tokens between the prefetch of a slot and the search


cdef struct Sought:
    # A token whose slot is being prefetched
    const uint8_t* token
    int64_t length
    uint64_t hash   # by the hash in use
    int64_t lines   # lines that end before the token


cdef struct Written:
    int32_t* at     # where the next id is written
    int64_t lines   # ends of lines that are written
    bint gaps       # whether a token without an id is written as -2


cdef inline void write_ends(int64_t lines, Written* out) noexcept nogil:
    while out.lines < lines:
        out.at[0] = -1
        out.at += 1
        out.lines += 1


# ---------------------------------------------------------------- the table

cdef class TokenTable:
    """Distinct tokens, numbered in the order of first occurrence, and their counts.

    One thread may add at a time; any number of threads may call :meth:`encode` while none adds.
    """

    cdef BytesTable table   # the value of a token is its count

    def __cinit__(self):
        make_table(&self.table, sizeof(int64_t), False, b"tokens")

    def __dealloc__(self):
        free_table(&self.table)

    def __len__(self):
        return self.table.size

    @property
    def keyed(self) -> bool:
        """Whether the table hashes tokens by SipHash."""
        return self.table.keyed

    cdef inline int64_t* counts(self) noexcept nogil:
        return <int64_t*>self.table.values

    cdef inline int64_t add(self, const uint8_t* token, int64_t length, uint64_t h, int64_t times) except -1 nogil:
        """Count a token with FNV-1a hash h; return its id."""
        cdef int64_t id = find_or_add(&self.table, token, length, h)
        self.counts()[id] += times
        return id

    def insert(self, const uint8_t[::1] token, int64_t times=0):
        """Add one token, of any bytes."""
        cdef const uint8_t* first = &token[0] if token.shape[0] else <const uint8_t*>b""
        self.add(first, token.shape[0], hash_of(first, token.shape[0]), times)

    def fill(self, tokens):
        """Add tokens, given as bytes, in their order."""
        cdef const uint8_t* first
        cdef bytes token
        for token in tokens:
            first = token
            self.add(first, len(token), hash_of(first, len(token)), 0)

    def sort_into_buckets(self, int32_t[::1] ids, int64_t[::1] starts):
        """Sort the ids by buckets: the hash of a token selects one of B buckets, a power of two.

        Parameters
        ----------
        ids : int32 (number of tokens,), written
        starts : int64 (B + 1,), written
            The ids of bucket k are ``ids[starts[k]:starts[k + 1]]``.
        """
        cdef int64_t id, bucket, place = 0, size, buckets = starts.shape[0] - 1
        with nogil:
            starts[:] = 0
            for id in range(self.table.size):
                starts[self.bucket_of(id, buckets)] += 1
            for bucket in range(buckets):
                size = starts[bucket]
                starts[bucket] = place
                place += size
            for id in range(self.table.size):
                bucket = self.bucket_of(id, buckets)
                ids[starts[bucket]] = <int32_t>id
                starts[bucket] += 1
            # Each start is now the start of the next bucket
            for bucket in range(buckets, 0, -1):
                starts[bucket] = starts[bucket - 1]
            starts[0] = 0

    cdef inline int64_t bucket_of(self, int64_t id, int64_t buckets) noexcept nogil:
        # By high bits of the hash, since low bits choose the slot
        return (scan_hash_of(&self.table, id) >> 32) & (buckets - 1)

    def merge(self, TokenTable other not None, const int32_t[::1] ids=None):
        """Add the tokens with some ids, or all tokens, of another table, and their counts."""
        cdef const BytesTable* table = &other.table
        cdef int64_t i, id
        with nogil:
            for i in range(table.size if ids is None else ids.shape[0]):
                id = i if ids is None else ids[i]
                self.add(
                    table.text + start_of(table, id), length_of(table, id), scan_hash_of(table, id), other.counts()[id],
                )

    def count(self, const uint8_t[::1] text, bint inside) -> tuple[int, int, int]:
        """Count the tokens of a text.

        Parameters
        ----------
        text : uint8 (n,)
            Valid UTF-8 that does not begin or end inside a token.
        inside : bool
            Whether the text continues a line that is not empty.

        Returns
        -------
        tokens, lines, empty_lines : int
            Numbers of tokens, of lines that end in this text, and of empty lines among these.
        """
        cdef Scan scan = scan_of(text, inside, NULL)
        with nogil:
            while next_token(&scan):
                self.add(scan.token, scan.length, scan.hash, 1)
        return scan.tokens, scan.lines, scan.empty_lines

    def number(self, const uint8_t[::1] text, bint inside, int32_t[::1] ids) -> tuple[int, int, int, int]:
        """Count the tokens of a text, as :meth:`count`, and write their ids, as :meth:`encode`."""
        cdef int32_t* first = &ids[0] if ids.shape[0] else NULL
        cdef Scan scan = scan_of(text, inside, first)
        with nogil:
            while next_token(&scan):
                scan.ids[0] = <int32_t>self.add(scan.token, scan.length, scan.hash, 1)
                scan.ids += 1
        return scan.ids - first, scan.tokens, scan.lines, scan.empty_lines

    cdef inline void write_id(self, const Sought* sought, Written* out) noexcept nogil:
        """Write the ends of lines before a token, then its id, if it is in the table."""
        cdef int32_t id = self.table.slots[slot_of(&self.table, sought.token, sought.length, sought.hash)].id
        write_ends(sought.lines, out)
        if id or out.gaps:
            out.at[0] = id - 1 if id else -2
            out.at += 1

    def encode(
        self, const uint8_t[::1] text, bint inside, int32_t[::1] ids, bint gaps=False,
    ) -> tuple[int, int, int, int]:
        """Write the ids of a text's tokens that are in the table, and -1 at the end of each line.

        Parameters
        ----------
        text, inside
            As for :meth:`count`.
        ids : int32 (at least n,), written
        gaps : bool
            Whether a token that is not in the table is written as -2, or left out.

        Returns
        -------
        written, tokens, lines, empty_lines : int
            Elements of `ids` written; the others as for :meth:`count`.
        """
        cdef Scan scan = scan_of(text, inside, NULL)
        cdef int32_t* first = &ids[0] if ids.shape[0] else NULL
        cdef Written out = Written(first, 0, gaps)
        cdef Sought[TOKENS_AHEAD] waiting
        cdef Sought* sought
        cdef int64_t n
        with nogil:
            while next_token(&scan):
                sought = &waiting[scan.tokens % TOKENS_AHEAD]
                if scan.tokens > TOKENS_AHEAD:
                    self.write_id(sought, &out)
                sought.token, sought.length, sought.lines = scan.token, scan.length, scan.lines
                sought.hash = hash_in_use(&self.table, scan.token, scan.length, scan.hash)
                prefetch(self.table.slots + (sought.hash & self.table.mask))
            for n in range(max(scan.tokens - TOKENS_AHEAD, 0) + 1, scan.tokens + 1):
                self.write_id(&waiting[n % TOKENS_AHEAD], &out)
            write_ends(scan.lines, &out)
        return out.at - first, scan.tokens, scan.lines, scan.empty_lines

    def frequent(self, int64_t least) -> tuple[list, list]:
        """Return (tokens as bytes, counts) of the tokens with a count of at least `least`, in the order of ids."""
        cdef int64_t id
        tokens, counts = [], []
        for id in range(self.table.size):
            if self.counts()[id] >= least:
                tokens.append(self.table.text[start_of(&self.table, id):self.table.ends[id]])
                counts.append(self.counts()[id])
        return tokens, counts


# ---------------------------------------------------------------- the ranking

cdef struct Ranked:
    int64_t count
    const uint8_t* token
    int64_t length


cdef inline int sort_key(uint8_t byte) noexcept nogil:
    """Return a byte's key in the order of code points; a byte above F7 stands for white space, or for no character."""
    return byte if byte < 0xF8 else SPACES_IN_TOKENS[byte - 0xF8]


cdef inline bint before(const Ranked* a, const Ranked* b) noexcept nogil:
    """Return whether a has the higher count or, with equal counts, is first in the order of code points."""
    cdef int64_t i
    if a.count != b.count:
        return a.count > b.count
    for i in range(min(a.length, b.length)):
        if a.token[i] != b.token[i]:
            return sort_key(a.token[i]) < sort_key(b.token[i])
    return a.length < b.length


cdef inline bint is_escaped(const Ranked* a) noexcept nogil:
    cdef int64_t i
    for i in range(a.length):
        if a.token[i] >= 0xF8:
            return True
    return False


cdef class Ranking:
    """The tokens of several tables that occur at least `least` times, to be sorted by decreasing count.

    No two tables share a token. At first, table k has tokens ``bounds[k]`` to ``bounds[k + 1] - 1``. :meth:`sort` sorts
    a run of tokens, :meth:`merge` makes one sorted run of two. Threads may work on different runs at once. The tables
    must not change meanwhile.
    """

    cdef readonly list bounds
    cdef readonly int64_t total  # the sum of the counts
    cdef int64_t size
    cdef tuple tables
    cdef Ranked* items
    cdef Ranked* buffer

    def __cinit__(self, tables, int64_t least):
        cdef TokenTable tokens
        cdef int64_t id, n = 0
        self.tables, self.bounds = tuple(tables), [0]
        for tokens in self.tables:
            with nogil:
                for id in range(tokens.table.size):
                    n += tokens.counts()[id] >= least
            self.bounds.append(n)
        self.items = <Ranked*>PyMem_RawMalloc((n + 1) * sizeof(Ranked))
        self.buffer = <Ranked*>PyMem_RawMalloc((n + 1) * sizeof(Ranked))
        if self.items == NULL or self.buffer == NULL:
            raise MemoryError(f"no memory for a ranking of {n:,} tokens")
        self.size, n = n, 0
        for tokens in self.tables:
            with nogil:
                for id in range(tokens.table.size):
                    if tokens.counts()[id] >= least:
                        self.items[n].count = tokens.counts()[id]
                        self.items[n].token = tokens.table.text + start_of(&tokens.table, id)
                        self.items[n].length = length_of(&tokens.table, id)
                        self.total += tokens.counts()[id]
                        n += 1

    def __dealloc__(self):
        PyMem_RawFree(self.items)
        PyMem_RawFree(self.buffer)

    def __len__(self):
        return self.size

    def sort(self, int64_t first, int64_t last):
        """Sort the run `first` to last - 1."""
        cdef int64_t width = 1, at
        with nogil:
            while width < last - first:
                at = first
                while at + width < last:
                    self.merge_runs(at, at + width, min(at + 2 * width, last))
                    at += 2 * width
                width *= 2

    def merge(self, int64_t first, int64_t middle, int64_t last):
        """Merge the sorted runs `first` to middle - 1 and `middle` to last - 1."""
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
        """Return the first n tokens; `counts` (n,) is written. `decode` decodes a token that is not UTF-8."""
        cdef int64_t n, length
        cdef const char* text
        cdef list tokens = []
        for n in range(counts.shape[0]):
            counts[n] = self.items[n].count
            text, length = <const char*>self.items[n].token, self.items[n].length
            if is_escaped(&self.items[n]):
                tokens.append(decode(text[:length]))
            else:
                tokens.append(PyUnicode_DecodeUTF8(text, length, "surrogatepass"))
        return tokens


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
        # No overlong form, no surrogate, nothing above U+10FFFF
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
