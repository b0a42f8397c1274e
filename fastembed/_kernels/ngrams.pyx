"""N-grams -> ids: an exact dictionary of runs of units, such as the characters of a word or the words of a document.

A unit is a run of bytes, a document a run of units. An n-gram is known by its bytes, and two that differ have different
ids: nothing is left to a hash. Slots are found by SipHash and linear probing; a slot holds the high half of the hash,
so that the bytes of different n-grams are compared once in 2^32 times. The key of the hash differs from process to
process; ids do not depend on it. The twin is `ngrams` of :mod:`fastembed.reference`.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastembed._kernels.hashing cimport sip_hash

cdef enum:
    FIRST_SLOTS = 1024


cdef struct Slot:
    uint32_t tag    # the high half of the hash
    int32_t id      # + 1; 0 in a free slot


cdef struct Entry:
    int64_t end         # where its bytes end; they begin where those of the entry before end
    int64_t last        # the document counted last, from 1
    int64_t documents   # in how many it occurred


cdef class NgramTable:
    """Different n-grams, numbered in the order of their first occurrence, and in how many documents each occurred.

    One thread may add at a time; any number of threads may call :meth:`find` while none adds.
    """

    cdef Slot* slots
    cdef uint64_t mask
    cdef uint8_t* text      # the n-grams end to end
    cdef Entry* entries
    cdef int64_t size       # number of n-grams
    cdef int64_t capacity   # of entries
    cdef int64_t text_capacity
    cdef int64_t seen       # documents counted so far
    cdef uint64_t[2] key

    def __cinit__(self):
        # Python's own hash of bytes has a key, which differs from process to process
        self.key[0], self.key[1] = <uint64_t><Py_hash_t>hash(b"ngrams 0"), <uint64_t><Py_hash_t>hash(b"ngrams 1")
        self.slots = <Slot*>PyMem_RawCalloc(FIRST_SLOTS, sizeof(Slot))
        self.mask = FIRST_SLOTS - 1
        if self.slots == NULL:
            raise MemoryError("no memory for a table of n-grams")

    def __dealloc__(self):
        PyMem_RawFree(self.slots)
        PyMem_RawFree(self.text)
        PyMem_RawFree(self.entries)

    def __len__(self):
        return self.size

    @property
    def text_bytes(self) -> int:
        """The bytes of all n-grams together."""
        return self.start(self.size)

    cdef inline int64_t start(self, int64_t id) noexcept nogil:
        return self.entries[id - 1].end if id else 0

    cdef inline uint64_t place_of(self, const uint8_t* ngram, int64_t length, uint64_t h) noexcept nogil:
        """The slot of an n-gram, or the free slot where it belongs."""
        cdef uint64_t place = h & self.mask
        cdef uint32_t tag = <uint32_t>(h >> 32)
        cdef int64_t id, start
        while self.slots[place].id:
            if self.slots[place].tag == tag:
                id = self.slots[place].id - 1
                start = self.start(id)
                if self.entries[id].end - start == length and memcmp(self.text + start, ngram, length) == 0:
                    break
            place = (place + 1) & self.mask
        return place

    cdef int widen(self) noexcept nogil:
        """Put all n-grams into twice as many slots; -1 without memory, and then nothing has changed."""
        cdef uint64_t mask = self.mask * 2 + 1, h, place
        cdef int64_t id, start
        cdef Slot* slots = <Slot*>PyMem_RawCalloc(mask + 1, sizeof(Slot))
        if slots == NULL:
            return -1
        for id in range(self.size):
            start = self.start(id)
            h = sip_hash(self.text + start, self.entries[id].end - start, self.key)
            place = h & mask
            while slots[place].id:
                place = (place + 1) & mask
            slots[place].id, slots[place].tag = <int32_t>(id + 1), <uint32_t>(h >> 32)
        PyMem_RawFree(self.slots)
        self.slots, self.mask = slots, mask
        return 0

    cdef int reserve(self, int64_t length) noexcept nogil:
        """Make sure that one more n-gram of this length fits; -1 without memory, and then nothing has changed."""
        cdef void* grown
        cdef int64_t used = self.start(self.size), capacity
        if self.size == self.capacity:
            capacity = self.capacity + (self.capacity >> 1) + 512
            grown = PyMem_RawRealloc(self.entries, capacity * sizeof(Entry))
            if grown == NULL:
                return -1
            self.entries, self.capacity = <Entry*>grown, capacity
        if used + length > self.text_capacity:
            capacity = self.text_capacity + (self.text_capacity >> 1) + length + 4096
            grown = PyMem_RawRealloc(self.text, capacity)
            if grown == NULL:
                return -1
            self.text, self.text_capacity = <uint8_t*>grown, capacity
        if <uint64_t>self.size * 2 > self.mask:
            return self.widen()
        return 0

    cdef int64_t add(self, const uint8_t* ngram, int64_t length) noexcept nogil:
        """The id of an n-gram, which is added if it is new; -1 without memory, or if 2^31 - 2 are held already."""
        cdef uint64_t h = sip_hash(ngram, length, self.key)
        cdef uint64_t place = self.place_of(ngram, length, h)
        cdef int64_t start
        if self.slots[place].id:
            return self.slots[place].id - 1
        if self.size == INT32_MAX - 1 or self.reserve(length) < 0:
            return -1
        place = self.place_of(ngram, length, h)
        start = self.start(self.size)
        memcpy(self.text + start, ngram, length)
        self.entries[self.size].end = start + length
        self.entries[self.size].last = self.entries[self.size].documents = 0
        self.slots[place].tag, self.slots[place].id = <uint32_t>(h >> 32), <int32_t>(self.size + 1)
        self.size += 1
        return self.size - 1

    def count(
        self, const uint8_t[::1] text, const int64_t[::1] units, const int64_t[::1] documents,
        int64_t shortest, int64_t longest, int32_t[::1] ids,
    ) -> None:
        """Number the n-grams of documents, and count in how many documents each occurs.

        Parameters
        ----------
        text : uint8 (n,)
        units : int64 (U + 1,)
            Where each unit begins in the text, and where the last one ends.
        documents : int64 (N + 1,)
            The first unit of each document, and U.
        shortest, longest : int
            Numbers of units, 1 <= shortest <= longest.
        ids : int32 (sum over the documents and n of max(units - n + 1, 0),), written
            The id of each n-gram: document by document, by where they begin and then by their number of units.

        Raises
        ------
        MemoryError
            If the table cannot grow.
        """
        cdef int64_t d, first, n, last, written = 0, id = 0
        with nogil:
            for d in range(documents.shape[0] - 1):
                self.seen += 1
                last = documents[d + 1]
                for first in range(documents[d], last):
                    for n in range(shortest, min(longest, last - first) + 1):
                        id = self.add(&text[units[first]], units[first + n] - units[first])
                        if id < 0:
                            break
                        if self.entries[id].last != self.seen:
                            self.entries[id].last = self.seen
                            self.entries[id].documents += 1
                        ids[written] = <int32_t>id
                        written += 1
                    if id < 0:
                        break
                if id < 0:
                    break
        if id < 0:
            raise MemoryError(f"no memory for more than {self.size:,} n-grams")

    def find(
        self, const uint8_t[::1] text, const int64_t[::1] units, const int64_t[::1] documents,
        int64_t shortest, int64_t longest, int32_t[::1] ids,
    ) -> None:
        """Write the ids of the n-grams of documents, and -1 for those that the table does not have.

        Parameters
        ----------
        text, units, documents, shortest, longest, ids
            As for :meth:`count`.
        """
        cdef int64_t d, first, n, last, length, written = 0
        cdef uint64_t h
        cdef const uint8_t* ngram
        with nogil:
            for d in range(documents.shape[0] - 1):
                last = documents[d + 1]
                for first in range(documents[d], last):
                    for n in range(shortest, min(longest, last - first) + 1):
                        ngram, length = &text[units[first]], units[first + n] - units[first]
                        h = sip_hash(ngram, length, self.key)
                        ids[written] = self.slots[self.place_of(ngram, length, h)].id - 1
                        written += 1

    def fill(self, const uint8_t[::1] text, const int64_t[::1] offsets) -> None:
        """Add n-grams in their order, all of them different and new: their bytes end to end, and G + 1 offsets into it.

        Raises
        ------
        MemoryError
            If the table cannot grow.
        """
        cdef int64_t k
        cdef int failed = 0
        cdef const uint8_t* first = &text[0] if text.shape[0] else NULL
        with nogil:
            for k in range(offsets.shape[0] - 1):
                if self.add(first + offsets[k], offsets[k + 1] - offsets[k]) < 0:
                    failed = 1
                    break
        if failed:
            raise MemoryError(f"no memory for more than {self.size:,} n-grams")

    def take(self, uint8_t[::1] text, int64_t[::1] offsets, int64_t[::1] documents) -> None:
        """Write all n-grams as :meth:`fill` takes them, and in how many documents each was counted.

        Parameters
        ----------
        text : uint8 (text_bytes,), written
        offsets : int64 (G + 1,), written
        documents : int64 (G,), written
        """
        cdef int64_t id
        with nogil:
            if text.shape[0]:
                memcpy(&text[0], self.text, text.shape[0])
            offsets[0] = 0
            for id in range(self.size):
                offsets[id + 1] = self.entries[id].end
                documents[id] = self.entries[id].documents
