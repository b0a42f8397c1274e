"""Bytes -> ids: distinct runs of bytes, such as tokens, numbered in the order of first occurrence.

Different runs have different ids, also if their hashes collide. The search for a slot is linear probing. A slot holds
the high half of the hash, so the bytes of different runs are compared once in 2^32 times.

The hash is FNV-1a (`hash_of`), which a scan of text computes, until a long probe sequence shows that the text is made
to cause collisions. From then on, or from the start of a `keyed` table, it is SipHash (Aumasson and Bernstein, 2012)
with a key. Ids do not depend on the hash.

A table owns its memory; if it cannot grow, it raises MemoryError. One thread may add at a time; any number of threads
may search while none adds.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastembed._kernels.hashing cimport hash_of, sip_hash

cdef enum:
    FIRST_SLOTS = 1024
    LONGEST_PROBE = 256  # slots of a search; 10^8 tokens need about 100, unless collisions are deliberate


cdef struct Slot:
    uint32_t tag    # the high half of the hash
    int32_t id      # id + 1; 0 in a free slot


cdef struct BytesTable:
    Slot* slots
    uint64_t mask
    uint8_t* text           # the concatenated runs
    int64_t* ends           # the end of each run in the text
    void* values            # a value per run for the owner of the table, initially zero
    int64_t value_bytes     # bytes per value
    int64_t size            # number of runs
    int64_t capacity        # capacity of ends and values
    int64_t text_capacity
    bint keyed              # whether the slots are those of SipHash
    uint64_t[2] key


cdef inline int make_table(BytesTable* table, int64_t value_bytes, bint keyed, bytes name) except -1:
    """Make an empty table. The key is Python's own hash of the name, which differs from process to process."""
    memset(table, 0, sizeof(BytesTable))
    table.key[0], table.key[1] = <uint64_t><Py_hash_t>hash(name + b" 0"), <uint64_t><Py_hash_t>hash(name + b" 1")
    table.value_bytes, table.keyed, table.mask = value_bytes, keyed, FIRST_SLOTS - 1
    table.slots = <Slot*>PyMem_RawCalloc(FIRST_SLOTS, sizeof(Slot))
    if table.slots == NULL:
        raise MemoryError(f"no memory for a table of {name.decode()}")
    return 0


cdef inline void free_table(BytesTable* table) noexcept nogil:
    PyMem_RawFree(table.slots)
    PyMem_RawFree(table.text)
    PyMem_RawFree(table.ends)
    PyMem_RawFree(table.values)


cdef inline int64_t start_of(const BytesTable* table, int64_t id) noexcept nogil:
    """Return where a run begins in the text."""
    return table.ends[id - 1] if id else 0


cdef inline int64_t length_of(const BytesTable* table, int64_t id) noexcept nogil:
    return table.ends[id] - start_of(table, id)


cdef inline uint64_t scan_hash_of(const BytesTable* table, int64_t id) noexcept nogil:
    return hash_of(table.text + start_of(table, id), length_of(table, id))


cdef inline uint64_t hash_in_use(
    const BytesTable* table, const uint8_t* run, int64_t length, uint64_t h,
) noexcept nogil:
    """Return the hash that chooses the slot of a run with FNV-1a hash h."""
    return sip_hash(run, length, table.key) if table.keyed else h


cdef inline uint64_t slot_of(const BytesTable* table, const uint8_t* run, int64_t length, uint64_t h) noexcept nogil:
    """Return the slot of a run, or the free slot where it belongs, by its hash in use."""
    cdef uint64_t place = h & table.mask
    cdef uint32_t tag = <uint32_t>(h >> 32)
    cdef int64_t id
    while table.slots[place].id:
        if table.slots[place].tag == tag:
            id = table.slots[place].id - 1
            if length_of(table, id) == length and memcmp(table.text + start_of(table, id), run, length) == 0:
                break
        place = (place + 1) & table.mask
    return place


cdef inline int64_t id_of(const BytesTable* table, const uint8_t* run, int64_t length, uint64_t h) noexcept nogil:
    """Return the id of a run with FNV-1a hash h, or -1."""
    return table.slots[slot_of(table, run, length, hash_in_use(table, run, length, h))].id - 1


cdef inline int raise_full(const BytesTable* table) except -1 nogil:
    with gil:
        raise MemoryError(f"no memory for more than {table.size:,} different runs of bytes")


cdef inline int replace_slots(BytesTable* table, uint64_t mask, bint keyed) except -1 nogil:
    """Put all runs into new slots."""
    cdef uint64_t place, h
    cdef int64_t id
    cdef Slot* slots = <Slot*>PyMem_RawCalloc(mask + 1, sizeof(Slot))
    if slots == NULL:
        raise_full(table)
    PyMem_RawFree(table.slots)
    table.slots, table.mask, table.keyed = slots, mask, keyed
    for id in range(table.size):
        if keyed:
            h = sip_hash(table.text + start_of(table, id), length_of(table, id), table.key)
        else:
            h = scan_hash_of(table, id)
        place = h & mask
        while slots[place].id:
            place = (place + 1) & mask
        slots[place].id, slots[place].tag = <int32_t>(id + 1), <uint32_t>(h >> 32)
    return 0


cdef inline int reserve(BytesTable* table, int64_t length) except -1 nogil:
    """Make room for one more run of this length."""
    cdef void* grown
    cdef int64_t used = start_of(table, table.size), capacity
    if table.size == table.capacity:
        capacity = table.capacity + (table.capacity >> 1) + 512
        grown = PyMem_RawRealloc(table.ends, capacity * sizeof(int64_t))
        if grown == NULL:
            raise_full(table)
        table.ends = <int64_t*>grown
        grown = PyMem_RawRealloc(table.values, capacity * table.value_bytes)
        if grown == NULL:
            raise_full(table)
        table.values, table.capacity = grown, capacity
    if used + length >= table.text_capacity:  # one byte more, so that even an empty run has an address
        capacity = table.text_capacity + (table.text_capacity >> 1) + length + 4096
        grown = PyMem_RawRealloc(table.text, capacity)
        if grown == NULL:
            raise_full(table)
        table.text, table.text_capacity = <uint8_t*>grown, capacity
    if <uint64_t>table.size * 2 > table.mask:
        replace_slots(table, table.mask * 2 + 1, table.keyed)
    return 0


cdef inline int64_t find_or_add(BytesTable* table, const uint8_t* run, int64_t length, uint64_t h) except -1 nogil:
    """Return the id of a run with FNV-1a hash h; add it if it is new. A table has at most 2^31 - 2 runs."""
    cdef uint64_t used = hash_in_use(table, run, length, h)
    cdef uint64_t place = slot_of(table, run, length, used)
    cdef int64_t id = table.size
    if table.slots[place].id:
        return table.slots[place].id - 1
    if id == INT32_MAX - 1:
        raise_full(table)
    reserve(table, length)
    place = slot_of(table, run, length, used)
    if (place - used & table.mask) > LONGEST_PROBE and not table.keyed:
        replace_slots(table, table.mask, True)
        used = hash_in_use(table, run, length, h)
        place = slot_of(table, run, length, used)
    memcpy(table.text + start_of(table, id), run, length)
    table.ends[id] = start_of(table, id) + length
    memset(<char*>table.values + id * table.value_bytes, 0, table.value_bytes)
    table.slots[place].tag, table.slots[place].id = <uint32_t>(used >> 32), <int32_t>(id + 1)
    table.size += 1
    return id
