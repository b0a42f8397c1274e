"""Phrases: counts of neighbouring tokens, and phrases joined in a text. tokens.pyx includes this file.

The twins are `neighbors` and `join_phrases` of ``tests/twins.py``.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from array import array

from fastembed._kernels.bytes_table cimport FIRST_SLOTS, BytesTable, id_of, length_of, scan_hash_of, start_of
from fastembed._kernels.hashing cimport hash_of, new_key, spread
from fastembed._kernels.primitives cimport prefetch
from fastembed._kernels.token_scan cimport Scan, next_token, scan_of

cdef enum:
    COUNT_BITS = 40     # bits of the count in Pair.tail
    PAIRS_AHEAD = 16    # pairs between the prefetch of a slot and the search


# ---------------------------------------------------------------- neighbours

cdef struct Pair:
    # Two tokens, the common tokens between them, and how often they occur
    int32_t first       # id + 1; 0 in a free slot
    int32_t second      # id
    uint64_t tail       # (between << COUNT_BITS) + times


cdef inline uint64_t pair_hash(Pair pair, uint64_t key) noexcept nogil:
    cdef uint64_t h = (<uint64_t>pair.first << 32) ^ <uint64_t>pair.second ^ key
    return spread(h * <uint64_t>0xD6E8FEB86659FD93 ^ (pair.tail >> COUNT_BITS))


cdef class NeighborTable:
    """The counts of tokens, and of pairs of neighbours, in a text.

    Neighbours are two tokens of a line that are not *common*, with at most two common tokens between them. The number
    `between` names these: 0 is none, 1 + i the common token i, and 1 + i + (c + 1)(1 + j) the common tokens i and j of
    c. One thread may add at a time.

    Parameters
    ----------
    common : list of bytes
        All different; fewer than 4,095.
    """

    cdef readonly TokenTable tokens     # common tokens first
    cdef Pair* pairs
    cdef uint64_t mask
    cdef uint64_t key
    cdef int64_t size
    cdef int32_t common

    def __cinit__(self, list common):
        self.tokens = TokenTable()
        for token in common:
            self.tokens.insert(token)
        self.common = <int32_t>self.tokens.table.size
        self.pairs = <Pair*>PyMem_RawCalloc(FIRST_SLOTS, sizeof(Pair))
        self.mask, self.key = FIRST_SLOTS - 1, new_key()
        if self.pairs == NULL:
            raise MemoryError("no memory for a table of neighbours")

    def __dealloc__(self):
        PyMem_RawFree(self.pairs)

    def __len__(self):
        return self.size

    cdef inline uint64_t find(self, Pair pair) noexcept nogil:
        """Return the slot of a pair, or the free slot where it belongs."""
        cdef uint64_t place = pair_hash(pair, self.key) & self.mask
        cdef Pair* at = &self.pairs[place]
        while at.first and (
            at.first != pair.first
            or at.second != pair.second
            or at.tail >> COUNT_BITS != pair.tail >> COUNT_BITS
        ):
            place = (place + 1) & self.mask
            at = &self.pairs[place]
        return place

    cdef int grow(self) except -1 nogil:
        cdef uint64_t mask = self.mask * 2 + 1, old, place
        cdef Pair* pairs = <Pair*>PyMem_RawCalloc(mask + 1, sizeof(Pair))
        if pairs == NULL:
            with gil:
                raise MemoryError(f"no memory for more than {self.size:,} pairs of neighbours")
        for old in range(self.mask + 1):
            if self.pairs[old].first:
                place = pair_hash(self.pairs[old], self.key) & mask
                while pairs[place].first:
                    place = (place + 1) & mask
                pairs[place] = self.pairs[old]
        PyMem_RawFree(self.pairs)
        self.pairs = pairs
        self.mask = mask
        return 0

    cdef inline int add(self, Pair pair) except -1 nogil:
        """Add the occurrences of a pair to its slot."""
        cdef uint64_t place = self.find(pair)
        if self.pairs[place].first:
            self.pairs[place].tail += pair.tail & ((<uint64_t>1 << COUNT_BITS) - 1)
            return 0
        if <uint64_t>self.size * 3 > self.mask * 2:
            self.grow()
            place = self.find(pair)
        self.pairs[place] = pair
        self.size += 1
        return 0

    def count(self, const uint8_t[::1] text, bint inside) -> tuple[int, int, int]:
        """Count the tokens and the neighbours of a text; arguments and results are as in `TokenTable.count`."""
        cdef Scan scan = scan_of(text, inside, NULL)
        cdef TokenTable tokens = self.tokens
        cdef Pair pair
        cdef Pair[PAIRS_AHEAD] waiting
        cdef int64_t line = 0, pairs = 0, k, id
        cdef int between = 0            # number of common tokens since pair.first
        pair.first = pair.second = 0
        pair.tail = 1
        with nogil:
            while next_token(&scan):
                id = tokens.add(scan.token, scan.length, scan.hash, 1)
                if scan.lines != line:
                    line, pair.first = scan.lines, 0
                if id >= self.common:
                    if pair.first:
                        pair.second = <int32_t>id
                        prefetch(&self.pairs[pair_hash(pair, self.key) & self.mask])
                        k = pairs % PAIRS_AHEAD
                        if pairs >= PAIRS_AHEAD:
                            self.add(waiting[k])
                        waiting[k] = pair
                        pairs += 1
                    pair.first, pair.tail, between = <int32_t>id + 1, 1, 0
                elif between == 0:
                    pair.tail += <uint64_t>(id + 1) << COUNT_BITS
                    between = 1
                elif between == 1:
                    pair.tail += <uint64_t>((id + 1) * (self.common + 1)) << COUNT_BITS
                    between = 2
                else:
                    pair.first = 0
            for k in range(min(pairs, PAIRS_AHEAD)):
                self.add(waiting[k])
        return scan.tokens, scan.lines, scan.empty_lines

    def merge(self, NeighborTable other not None):
        """Add the counts of another table with the same common tokens."""
        cdef const BytesTable* source = &other.tokens.table
        cdef BytesTable* target = &self.tokens.table
        cdef int64_t id
        cdef uint64_t place
        cdef Pair pair
        cdef int32_t[::1] ids = array("i", bytes(source.size * sizeof(int32_t)))
        self.tokens.merge(other.tokens)
        with nogil:
            for id in range(source.size):
                ids[id] = <int32_t>id_of(
                    target, source.text + start_of(source, id), length_of(source, id), scan_hash_of(source, id),
                )
            # Grow first: the other's pairs come in the order of their hashes, and would cluster in a smaller table
            while self.mask < other.mask:
                self.grow()
            for place in range(other.mask + 1):
                pair = other.pairs[place]
                if pair.first:
                    pair.first, pair.second = ids[pair.first - 1] + 1, ids[pair.second]
                    self.add(pair)

    def frequent(self, int64_t least) -> list:
        """Return (first, second, between, times) of the pairs with at least `least` occurrences, in any order.

        Tokens are ids of the table `tokens`.
        """
        cdef uint64_t place, times
        cdef Pair pair
        pairs = []
        for place in range(self.mask + 1):
            pair = self.pairs[place]
            times = pair.tail & ((<uint64_t>1 << COUNT_BITS) - 1)
            if pair.first and <int64_t>times >= least:
                pairs.append((pair.first - 1, pair.second, pair.tail >> COUNT_BITS, times))
        return pairs


# ---------------------------------------------------------------- joining

cdef struct Edge:
    uint64_t step       # (node << 32) + token
    int32_t node        # the next node; 0 in a free slot


cdef inline uint64_t step_of(int32_t node, int64_t token) noexcept nogil:
    return (<uint64_t>node << 32) + <uint64_t>token


cdef class PhraseTable:
    """Phrases as a tree whose edges are tokens: each way from the root to an end node is a phrase.

    One thread may insert at a time; any number of threads may call :meth:`join` while none inserts.
    """

    cdef TokenTable tokens
    cdef Edge* edges
    cdef uint64_t mask, key
    cdef int64_t size           # number of nodes; node 0 is the root
    cdef int64_t capacity       # capacity of ends
    cdef uint8_t* ends          # per node: whether a phrase ends there

    def __cinit__(self):
        self.tokens = TokenTable()
        self.edges = <Edge*>PyMem_RawCalloc(FIRST_SLOTS, sizeof(Edge))
        self.ends = <uint8_t*>PyMem_RawCalloc(FIRST_SLOTS, 1)
        self.mask, self.key = FIRST_SLOTS - 1, new_key()
        self.size, self.capacity = 1, FIRST_SLOTS
        if self.edges == NULL or self.ends == NULL:
            raise MemoryError("no memory for a table of phrases")

    def __dealloc__(self):
        PyMem_RawFree(self.edges)
        PyMem_RawFree(self.ends)

    cdef inline uint64_t find(self, uint64_t step) noexcept nogil:
        """Return the slot of an edge, or the free slot where it belongs."""
        cdef uint64_t place = spread((step ^ self.key) * <uint64_t>0xD6E8FEB86659FD93) & self.mask
        while self.edges[place].node and self.edges[place].step != step:
            place = (place + 1) & self.mask
        return place

    cdef int grow(self) except -1:
        cdef Edge* old = self.edges
        cdef uint64_t mask = self.mask, number
        cdef Edge* edges = <Edge*>PyMem_RawCalloc(2 * mask + 2, sizeof(Edge))
        cdef void* ends = PyMem_RawRealloc(self.ends, 2 * self.capacity)
        if ends != NULL:
            self.ends = <uint8_t*>ends
        if edges == NULL or ends == NULL:
            PyMem_RawFree(edges)
            raise MemoryError(f"no memory for more than {self.size:,} parts of phrases")
        self.capacity *= 2
        self.edges, self.mask = edges, 2 * mask + 1
        for number in range(mask + 1):
            if old[number].node:
                self.edges[self.find(old[number].step)] = old[number]
        PyMem_RawFree(old)
        return 0

    def insert(self, list words) -> None:
        """Add a phrase, given as its words in bytes.

        Raises
        ------
        ValueError
            If a word is empty.
        """
        cdef int32_t node = 0
        cdef int64_t token
        cdef uint64_t place
        cdef const uint8_t[::1] word
        for item in words:
            word = item
            if not word.shape[0]:
                raise ValueError("a phrase must not hold an empty word")
            token = self.tokens.add(&word[0], word.shape[0], hash_of(&word[0], word.shape[0]), 0)
            if self.size * 2 > <int64_t>self.mask:
                self.grow()
            place = self.find(step_of(node, token))
            if not self.edges[place].node:
                self.edges[place].step = step_of(node, token)
                self.edges[place].node = <int32_t>self.size
                self.ends[self.size] = False
                self.size += 1
            node = self.edges[place].node
        self.ends[node] = True

    cdef inline int32_t follow(self, int32_t node, Scan* scan) noexcept nogil:
        """Return the node to which the last token of a scan leads, or 0."""
        cdef int64_t token = id_of(&self.tokens.table, scan.token, scan.length, scan.hash)
        return self.edges[self.find(step_of(node, token))].node if token >= 0 else 0

    def join(self, const uint8_t[::1] text, uint8_t glue) -> bytes:
        """Return a text in which the white space between the words of each phrase is one byte, `glue`.

        If several phrases begin at a token, the longest is joined; the search continues behind it. A phrase does not
        cross the end of a line.
        """
        cdef Scan scan = scan_of(text, False, NULL), ahead, after
        cdef const uint8_t* copied = scan.at        # the text before it is in the result
        cdef uint8_t* joined = <uint8_t*>PyMem_RawMalloc(text.shape[0] + 1)
        cdef uint8_t* at = joined
        cdef int32_t node
        if not text.shape[0]:
            PyMem_RawFree(joined)
            return b""
        if joined == NULL:
            raise MemoryError(f"no memory for a text of {text.shape[0]:,} bytes")
        try:
            with nogil:
                while next_token(&scan):
                    node = self.follow(0, &scan)
                    ahead = scan
                    after = scan
                    while node and next_token(&ahead) and ahead.lines == scan.lines:
                        node = self.follow(node, &ahead)
                        if self.ends[node]:
                            after = ahead
                    if after.at == scan.at:
                        continue
                    memcpy(at, copied, scan.at - copied)
                    at += scan.at - copied
                    while scan.at < after.at:
                        next_token(&scan)
                        at[0] = glue
                        memcpy(at + 1, scan.token, scan.length)
                        at += 1 + scan.length
                    copied = scan.at
                memcpy(at, copied, scan.end - copied)
                at += scan.end - copied
            return joined[:at - joined]
        finally:
            PyMem_RawFree(joined)
