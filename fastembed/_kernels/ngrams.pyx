"""N-grams -> ids: an exact dictionary of runs of units, such as the characters of a word or the words of a document.

A unit is a run of bytes, a document a run of units. N-grams are equal if their bytes are. SipHash hashes them.
The twin is `ngrams` of ``tests/twins.py``.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from fastembed._kernels.bytes_table cimport BytesTable, find_or_add, free_table, id_of, make_table, start_of


cdef struct Occurrences:
    int64_t last        # number of the last document with the n-gram, from 1
    int64_t documents   # number of documents with the n-gram


cdef class NgramTable:
    """Distinct n-grams, numbered in the order of first occurrence, and their document frequencies.

    One thread may add at a time; any number of threads may call :meth:`find` while none adds.
    """

    cdef BytesTable table   # the value of an n-gram is its Occurrences
    cdef int64_t seen       # documents counted so far

    def __cinit__(self):
        make_table(&self.table, sizeof(Occurrences), True, b"ngrams")

    def __dealloc__(self):
        free_table(&self.table)

    def __len__(self):
        return self.table.size

    @property
    def text_bytes(self) -> int:
        """The total bytes of all n-grams."""
        return start_of(&self.table, self.table.size)

    cdef inline Occurrences* occurrences(self, int64_t id) noexcept nogil:
        return <Occurrences*>self.table.values + id

    cdef inline int64_t add(self, const uint8_t* ngram, int64_t length) except -1 nogil:
        """Return the id of an n-gram; add it if it is new."""
        return find_or_add(&self.table, ngram, length, 0)

    def count(
        self, const uint8_t[::1] text, const int64_t[::1] units, const int64_t[::1] documents,
        int64_t shortest, int64_t longest, int32_t[::1] ids,
    ) -> None:
        """Number the n-grams of documents, and count the documents with each n-gram.

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
            The id of each n-gram: by document, then by its first unit, then by its number of units.
        """
        cdef int64_t d, first, n, last, written = 0, id
        with nogil:
            for d in range(documents.shape[0] - 1):
                self.seen += 1
                last = documents[d + 1]
                for first in range(documents[d], last):
                    for n in range(shortest, min(longest, last - first) + 1):
                        id = self.add(&text[units[first]], units[first + n] - units[first])
                        if self.occurrences(id).last != self.seen:
                            self.occurrences(id).last = self.seen
                            self.occurrences(id).documents += 1
                        ids[written] = <int32_t>id
                        written += 1

    def find(
        self, const uint8_t[::1] text, const int64_t[::1] units, const int64_t[::1] documents,
        int64_t shortest, int64_t longest, int32_t[::1] ids,
    ) -> None:
        """Write the ids of the n-grams of documents, and -1 for n-grams that are not in the table.

        Parameters
        ----------
        text, units, documents, shortest, longest, ids
            As for :meth:`count`.
        """
        cdef int64_t d, first, n, last, written = 0
        with nogil:
            for d in range(documents.shape[0] - 1):
                last = documents[d + 1]
                for first in range(documents[d], last):
                    for n in range(shortest, min(longest, last - first) + 1):
                        ids[written] = <int32_t>id_of(
                            &self.table, &text[units[first]], units[first + n] - units[first], 0,
                        )
                        written += 1

    def fill(self, const uint8_t[::1] text, const int64_t[::1] offsets) -> None:
        """Add G n-grams, all different and new, given as their bytes end to end and G + 1 offsets."""
        cdef int64_t k
        cdef const uint8_t* first = &text[0] if text.shape[0] else NULL
        with nogil:
            for k in range(offsets.shape[0] - 1):
                self.add(first + offsets[k], offsets[k + 1] - offsets[k])

    def take(self, uint8_t[::1] text, int64_t[::1] offsets, int64_t[::1] documents) -> None:
        """Write all n-grams as :meth:`fill` takes them, and the number of documents with each.

        Parameters
        ----------
        text : uint8 (text_bytes,), written
        offsets : int64 (G + 1,), written
        documents : int64 (G,), written
        """
        cdef int64_t id
        with nogil:
            if text.shape[0]:
                memcpy(&text[0], self.table.text, text.shape[0])
            offsets[0] = 0
            for id in range(self.table.size):
                offsets[id + 1] = self.table.ends[id]
                documents[id] = self.occurrences(id).documents
