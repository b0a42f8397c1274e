"""Token ids -> bags of features: word n-grams by an exact table of pairs, and the bag of each document as CSR.

An n-gram is the pair of an (n-1)-gram and the word after it, so that 64 bits identify it exactly: a table holds pairs
of ids and needs no text. The id -1 is the end of a document, and the start of the next: a neighbour of words. -2 is
none.

No Python object is made for a pair. Tables own their memory; every allocation is checked.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.math cimport log, sqrt
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fastembed._kernels.hashing cimport new_key
from fastembed._kernels.primitives cimport CACHE_LINE, prefetch

cdef enum:
    NONE = -2         # no feature
    LINE_PAIRS = 5    # pairs of an index per cache line
    USUAL_PAIRS = 3   # mean number of pairs per line: then one line in five is full
    PAIRS_AHEAD = 16  # pairs between the one whose line is prefetched and the one being searched
    WEIGHTS_AHEAD = 32
    MOST_ARRAYS = 16  # largest number of arrays of `bags`
    FEW_IDS = 40      # that are sorted by comparisons
    BAGS_AHEAD = 8    # bags whose first cache lines are prefetched: 32 ids, 24 weights


cdef inline uint64_t pair_of(int32_t left, int32_t right) noexcept nogil:
    return (<uint64_t><uint32_t>left << 32) | <uint32_t>right


cdef inline bint is_pair(int32_t left, int32_t right) noexcept nogil:
    """Return whether neither is NONE, and one is an id: two ends are an empty document."""
    return left > NONE and right > NONE and (left >= 0 or right >= 0)


cdef inline uint64_t spread(uint64_t h) noexcept nogil:
    """The mixing function of splitmix64 (Steele et al. 2014), a bijection whose bits depend on all bits of h."""
    h = (h ^ (h >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    h = (h ^ (h >> 27)) * <uint64_t>0x94D049BB133111EB
    return h ^ (h >> 31)


# ---------------------------------------------------------------- the search for pairs

cdef struct Line:
    # A cache line of 64 bytes. Pairs are stored from the start; numbers are + 1, and 0 in a free slot
    uint64_t[LINE_PAIRS] pairs
    int32_t[LINE_PAIRS] numbers


cdef class PairIndex:
    """An index of a fixed set of pairs of ids: a search reads one cache line, and rarely a second.

    The hash of a pair selects its line; if that is full, the pair is on the next line that is not. Any number of
    threads may call :meth:`find_all` at the same time.

    Parameters
    ----------
    left, right : int32 (n,)
        The pairs, all different, in the order of their numbers.

    Raises
    ------
    MemoryError
        If there is none for 21 bytes per pair.
    ValueError
        If the arrays are not of one length, below 2^31 - 1, or have a pair twice.
    """

    cdef void* memory
    cdef Line* lines
    cdef uint64_t count  # number of lines
    cdef uint64_t key

    def __cinit__(self, const int32_t[::1] left, const int32_t[::1] right):
        cdef int64_t i, k, n = left.shape[0], twice = -1
        cdef uint64_t[PAIRS_AHEAD] waiting
        if n != right.shape[0] or n >= INT32_MAX:
            raise ValueError(f"left and right must be of one length below 2^31 - 1, got {n} and {right.shape[0]}")
        self.count, self.key = <uint64_t>n // USUAL_PAIRS + 1, new_key()
        self.memory = PyMem_RawCalloc(self.count + 1, sizeof(Line))
        if self.memory == NULL:
            raise MemoryError(f"no memory for an index of {n:,} pairs")
        self.lines = <Line*>((<size_t>self.memory + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
        with nogil:
            for i in range(n + PAIRS_AHEAD):
                k = i % PAIRS_AHEAD
                if i >= PAIRS_AHEAD and not self.put(waiting[k], <int32_t>(i - PAIRS_AHEAD)):
                    twice = i - PAIRS_AHEAD
                    break
                if i < n:
                    waiting[k] = pair_of(left[i], right[i])
                    prefetch(self.lines + self.line_of(waiting[k]))
        if twice >= 0:
            raise ValueError(f"pairs must all be different, got ({left[twice]}, {right[twice]}) twice")

    def __dealloc__(self):
        PyMem_RawFree(self.memory)

    cdef inline uint64_t line_of(self, uint64_t pair) noexcept nogil:
        return (spread(pair ^ self.key) >> 32) * self.count >> 32

    cdef inline uint64_t behind(self, uint64_t at) noexcept nogil:
        return at + 1 if at + 1 < self.count else 0

    cdef inline bint put(self, uint64_t pair, int32_t number) noexcept nogil:
        """Put a pair on the first line with space for it; return whether it was not there before."""
        cdef uint64_t at = self.line_of(pair)
        cdef Line* line
        cdef int k
        while True:
            line = self.lines + at
            for k in range(LINE_PAIRS):
                if not line.numbers[k]:
                    line.pairs[k], line.numbers[k] = pair, number + 1
                    return True
                if line.pairs[k] == pair:
                    return False
            at = self.behind(at)

    cdef inline int32_t find(self, uint64_t pair) noexcept nogil:
        """Return the number of a pair, or NONE."""
        cdef uint64_t at = self.line_of(pair)
        cdef const Line* line
        cdef int32_t number
        cdef int k
        while True:
            line, number = self.lines + at, 0
            for k in range(LINE_PAIRS):  # all of them, since a branch after each would be unpredictable
                number |= line.numbers[k] if line.pairs[k] == pair else 0
            if number or not line.numbers[LINE_PAIRS - 1]:
                return number - 1 if number else NONE
            at = self.behind(at)

    def find_all(self, const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, int32_t[::1] found):
        """Write the number of the pair (left[i], right[i + shift]), or -2, to found[i].

        Parameters
        ----------
        left : int32 (n,)
        right : int32 (n,)
            -2 is in no pair, and -1 in none with itself.
        shift : int
            Not negative.
        found : int32 (n,), written
        """
        cdef Py_ssize_t i, k, n = left.shape[0]
        cdef uint64_t[PAIRS_AHEAD] waiting
        cdef bint[PAIRS_AHEAD] asked
        with nogil:
            for i in range(n + PAIRS_AHEAD):
                k = i % PAIRS_AHEAD
                if i >= PAIRS_AHEAD:
                    found[i - PAIRS_AHEAD] = self.find(waiting[k]) if asked[k] else NONE
                if i < n:
                    asked[k] = i + shift < n and is_pair(left[i], right[i + shift])
                    if asked[k]:
                        waiting[k] = pair_of(left[i], right[i + shift])
                        prefetch(self.lines + self.line_of(waiting[k]))


# ---------------------------------------------------------------- pairs by parts

cdef inline uint64_t part_of(uint64_t pair, int shift) noexcept nogil:
    """Return the high bits of the hash without a key: the order of pairs follows from it."""
    return spread(pair) >> shift if shift < 64 else 0


cdef int shift_of(Py_ssize_t parts) noexcept:
    """Return by how much a hash is shifted to be one of so many parts, a power of two."""
    cdef int shift = 64
    while (<Py_ssize_t>1 << (64 - shift)) < parts:
        shift -= 1
    return shift


def part_sizes(
    const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, Py_ssize_t first, Py_ssize_t last,
    int64_t[::1] sizes,
):
    """Write the number of pairs (left[i], right[i + shift]), as of `find_all`, per part, which their hashes select.

    Parameters
    ----------
    left, right : int32 (n,)
    shift : int
    first, last : int
        Of the places i.
    sizes : int64 (parts,), written
        Of a power of two.
    """
    cdef int high = shift_of(sizes.shape[0])
    cdef Py_ssize_t i
    sizes[:] = 0
    with nogil:
        for i in range(first, min(last, left.shape[0], right.shape[0] - shift)):
            if is_pair(left[i], right[i + shift]):
                sizes[part_of(pair_of(left[i], right[i + shift]), high)] += 1


def part_pairs(
    const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, Py_ssize_t first, Py_ssize_t last,
    int64_t[::1] ends, uint64_t[::1] pairs,
):
    """Append these pairs to their parts, and advance the ends of the parts.

    Parameters
    ----------
    left, right, shift, first, last
        As for `part_sizes`.
    ends : int64 (parts,), written
    pairs : uint64, written
    """
    cdef int high = shift_of(ends.shape[0])
    cdef Py_ssize_t i, part
    cdef uint64_t pair
    with nogil:
        for i in range(first, min(last, left.shape[0], right.shape[0] - shift)):
            if is_pair(left[i], right[i + shift]):
                pair = pair_of(left[i], right[i + shift])
                part = part_of(pair, high)
                pairs[ends[part]] = pair
                ends[part] += 1


def number_pairs(
    uint64_t[::1] pairs, const int64_t[::1] bounds, Py_ssize_t first, Py_ssize_t last,
    int32_t[::1] numbers, int32_t[::1] counts, int64_t[::1] sizes,
):
    """Number the pairs of each part from first to last - 1 in the order of their first occurrence, and count each.

    Parameters
    ----------
    pairs : uint64 (n,), written
        Those of part k are from bounds[k] to bounds[k + 1] - 1; the different ones among them come to stand first.
    bounds : int64 (parts + 1,)
    first, last : int
    numbers : int32 (n,), written
        The number of each pair in its part.
    counts : int32 (n,), written
        How often each of the different ones occurs, at its new place.
    sizes : int64 (parts,), written
        How many there are.

    Raises
    ------
    MemoryError
        Without memory for a table, or if a part has 2^31 - 1 pairs or more.
    """
    cdef Py_ssize_t k, i, begin, largest = 0
    cdef uint64_t mask, place, pair, key = new_key()
    cdef int32_t size, number
    cdef int32_t* slots  # number of a pair + 1; 0 in a free slot
    for k in range(first, last):
        largest = max(largest, bounds[k + 1] - bounds[k])
    slots = <int32_t*>PyMem_RawMalloc((mask_for(largest) + 1) * sizeof(int32_t)) if largest < INT32_MAX else NULL
    if slots == NULL:
        raise MemoryError(f"no memory for a table of {largest:,} pairs")
    with nogil:
        for k in range(first, last):
            begin, size = bounds[k], 0
            mask = mask_for(bounds[k + 1] - begin)
            memset(slots, 0, (mask + 1) * sizeof(int32_t))
            for i in range(begin, bounds[k + 1]):
                pair = pairs[i]
                place = spread(pair ^ key) & mask
                while slots[place] and pairs[begin + slots[place] - 1] != pair:
                    place = (place + 1) & mask
                if not slots[place]:
                    pairs[begin + size], counts[begin + size] = pair, 0
                    size += 1
                    slots[place] = size
                number = slots[place] - 1
                counts[begin + number] += 1
                numbers[i] = number
            sizes[k] = size
    PyMem_RawFree(slots)


cdef inline uint64_t mask_for(Py_ssize_t pairs) noexcept nogil:
    """Return the number of slots for a number of pairs, a power of two, minus 1: at most half of them are used."""
    cdef uint64_t slots = 2
    while slots < 2 * <uint64_t>pairs:
        slots *= 2
    return slots - 1


def put_numbers(
    const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, Py_ssize_t first, Py_ssize_t last,
    const int32_t[::1] numbers, const int64_t[::1] bounds, const int32_t[::1] ranks, int64_t[::1] starts,
    int32_t[::1] found,
):
    """Write the rank of the pair, or -2, at each position from first to last - 1.

    Parameters
    ----------
    left, right, shift, first, last
        As for `part_sizes`.
    numbers, bounds
        As of `number_pairs`.
    ranks : int32 (n,)
        The rank of each of the different pairs, or -2, at its place.
    starts : int64 (parts,), written
        Where the numbers of each part begin; they move on.
    found : int32 (n,), written
    """
    cdef int high = shift_of(starts.shape[0])
    cdef Py_ssize_t i, part, end = min(left.shape[0], right.shape[0] - shift)
    with nogil:
        for i in range(first, min(last, left.shape[0])):
            if i < end and is_pair(left[i], right[i + shift]):
                part = part_of(pair_of(left[i], right[i + shift]), high)
                found[i] = ranks[bounds[part] + numbers[starts[part]]]
                starts[part] += 1
            else:
                found[i] = NONE


# ---------------------------------------------------------------- bags

cdef void sort(int32_t* ids, Py_ssize_t n, int32_t most, int32_t* other) noexcept nogil:
    """Sort ids, of which none is above `most`: by their bytes, the lowest first; few by insertion.

    `other` has space for n, too.
    """
    cdef Py_ssize_t[256] places
    cdef Py_ssize_t i, j, size
    cdef int32_t* sorted = ids
    cdef int32_t id
    cdef int shift = 0
    if n <= FEW_IDS:
        for i in range(1, n):
            id, j = ids[i], i
            while j and ids[j - 1] > id:
                ids[j] = ids[j - 1]
                j -= 1
            ids[j] = id
        return
    while shift < 32 and most >> shift:
        memset(&places[0], 0, sizeof(places))
        for i in range(n):
            places[ids[i] >> shift & 255] += 1
        j = 0
        for i in range(256):
            size, places[i] = places[i], j
            j += size
        for i in range(n):
            j = ids[i] >> shift & 255
            other[places[j]] = ids[i]
            places[j] += 1
        ids, other = other, ids
        shift += 8
    if ids != sorted:
        memcpy(sorted, ids, n * sizeof(int32_t))


def bags(
    features, const int64_t[::1] offsets, const int64_t[::1] starts,
    int64_t[::1] indptr, int32_t[::1] indices, double[::1] data,
) -> int:
    """Write the bag of each document as CSR, with ascending features and their counts; return the number of entries.

    Parameters
    ----------
    features : list of int32 (n,)
        At most 16 arrays over the same n places: the feature of a kind that begins at each, or a negative number.
    offsets : int64 (number of arrays,)
        Added to the features of each array.
    starts : int64 (N + 1,)
        Where each document begins, and the last one ends.
    indptr : int64 (N + 1,), written
    indices : int32, data : float64 (at least n times the number of arrays,), written

    Raises
    ------
    ValueError
        If there are more arrays.
    MemoryError
        Without memory for as many ids as the longest document has.
    """
    cdef Py_ssize_t d, i, size, total = 0, bag, documents = starts.shape[0] - 1, longest = 1
    cdef int32_t most
    cdef int32_t* other
    cdef const int32_t[::1] view
    cdef const int32_t* arrays[MOST_ARRAYS]
    cdef int a, count = len(features) if len(features) <= MOST_ARRAYS else MOST_ARRAYS + 1
    if count > MOST_ARRAYS or offsets.shape[0] < count:
        raise ValueError(f"features must be at most {MOST_ARRAYS} arrays with an offset each, got {len(features)}")
    for a in range(count):
        view = features[a]
        arrays[a] = &view[0] if view.shape[0] else NULL
    for d in range(documents):
        longest = max(longest, starts[d + 1] - starts[d])
    other = <int32_t*>PyMem_RawMalloc(longest * count * sizeof(int32_t))
    if other == NULL:
        raise MemoryError(f"no memory for a document of {longest:,} words")
    with nogil:
        indptr[0] = 0
        for d in range(documents):
            size, most = total, 0
            for a in range(count):
                for i in range(starts[d], starts[d + 1]):
                    if arrays[a][i] >= 0:
                        indices[size] = <int32_t>(arrays[a][i] + offsets[a])
                        most = max(most, indices[size])
                        size += 1
            sort(&indices[0] + total, size - total, most, other)
            bag = total
            for i in range(total, size):
                if bag > total and indices[bag - 1] == indices[i]:
                    data[bag - 1] += 1
                else:
                    indices[bag], data[bag] = indices[i], 1
                    bag += 1
            total = bag
            indptr[d + 1] = total
    PyMem_RawFree(other)
    return total


def unit_rows(
    const int64_t[::1] indptr, const int32_t[::1] indices, double[::1] data, const double[::1] weights,
    bint logarithmic,
):
    """Multiply the counts of a CSR matrix by the weights of their columns, and scale rows to unit length, in place.

    If they are `logarithmic`, a count n becomes 1 + log(n) first.
    """
    cdef Py_ssize_t d, t, documents = indptr.shape[0] - 1
    cdef double squares, scale
    with nogil:
        for d in range(documents):
            squares = 0
            for t in range(indptr[d], indptr[d + 1]):
                if t + WEIGHTS_AHEAD < indptr[documents]:
                    prefetch(&weights[indices[t + WEIGHTS_AHEAD]])
                if logarithmic and data[t] != 1:
                    data[t] = 1 + log(data[t])
                data[t] *= weights[indices[t]]
                squares += data[t] * data[t]
            if squares > 0:
                scale = 1 / sqrt(squares)
                for t in range(indptr[d], indptr[d + 1]):
                    data[t] *= scale


def split_bags(
    const int64_t[::1] indptr, const int32_t[::1] indices, const double[::1] data, const int64_t[::1] order,
    const int32_t[::1] rows, Py_ssize_t first, Py_ssize_t last, const int64_t[::1] starts, int32_t[::1] ids,
    float[::1] weights, float[::1] squares, float[::1] own, int32_t[::1] owners, float[::1] amounts,
):
    """Write the bags of the documents order[first] to order[last - 1] in this order, with rows instead of features.

    Parameters
    ----------
    indptr, indices, data
        The bags (N, F) as CSR.
    order : int64 (n,)
    rows : int32 (F,)
        The row of each feature; -1 of those that occur in one document alone, and need none.
    first, last : int
    starts : int64 (n + 1,)
        Where the entries of each bag begin that have a row.
    ids : int32, weights : float32, written
        The bags of the features that have a row, as CSR.
    squares, own : float32 (n,), written
        The squared lengths of the bags, of all features, and of those without a row.
    owners : int32 (F,), amounts : float32 (F,), written where a feature has no row
        The document of the feature, in the new order, and the weight there.
    """
    cdef Py_ssize_t k, t, place, line, n = order.shape[0]
    cdef int32_t f
    cdef double square, alone
    with nogil:
        for k in range(first, last):
            if k + BAGS_AHEAD < n:
                t = indptr[order[k + BAGS_AHEAD]]
                for line in range(2):
                    prefetch(&indices[0] + t + 16 * line)
                for line in range(3):
                    prefetch(&data[0] + t + 8 * line)
            place, square, alone = starts[k], 0, 0
            for t in range(indptr[order[k]], indptr[order[k] + 1]):
                f = indices[t]
                square += data[t] * data[t]
                if rows[f] >= 0:
                    ids[place], weights[place] = rows[f], <float>data[t]
                    place += 1
                else:
                    alone += data[t] * data[t]
                    owners[f], amounts[f] = <int32_t>k, <float>data[t]
            squares[k], own[k] = <float>square, <float>alone


# ---------------------------------------------------------------- what features say of labels

cdef inline double label_term(double n, double q, double prior) noexcept nogil:
    return (n + prior * q) * log(n / q + prior)


def label_terms(
    const int64_t[::1] indptr, const int32_t[::1] indices, const int64_t[::1] starts, const int32_t[::1] documents,
    const double[::1] amounts, const double[::1] shares, double prior, double[::1] sums,
    const int64_t[::1] places, double[::1] changes, double[::1] counts, int32_t[::1] found,
):
    """Sum t(n) = (n + prior q) log(n / q + prior) over the labels of each feature, or write changes of these sums.

    Parameters
    ----------
    indptr : int64 (N + 1,), indices : int32
        The features of each document.
    starts : int64 (L + 1,), documents : int32, amounts : float64
        The documents with each label, as CSC, and how much of it each has: n is the sum of these with a feature.
    shares : float64 (L,)
        The share q of each label.
    prior : float
    sums : float64 (F,), written
    places : int64 (N,), or empty
        Where `changes` has the features of a document, or -1: then the sums stay, and each of these becomes
        t(n - amount) - t(n), summed over the labels of the document.
    changes : float64, written
    counts : float64 (F,), zeros
        Space for the n of a label; zeros again at the end.
    found : int32 (F + 1,), written
        Space for the features that have it.
    """
    cdef Py_ssize_t label, k, t, size, at
    cdef int32_t f
    cdef double n, q, of_one, of_none
    with nogil:
        for label in range(shares.shape[0]):
            q, size = shares[label], 0
            of_one, of_none = label_term(1, q, prior), prior * q * log(prior)
            for k in range(starts[label], starts[label + 1]):
                for t in range(indptr[documents[k]], indptr[documents[k] + 1]):
                    f = indices[t]
                    found[size] = f
                    size += counts[f] == 0  # an unpredictable branch avoided
                    counts[f] += amounts[k]
            if not places.shape[0]:
                for t in range(size):
                    n = counts[found[t]]
                    sums[found[t]] += (of_one if n == 1 else label_term(n, q, prior)) - of_none
            else:
                for k in range(starts[label], starts[label + 1]):
                    at = places[documents[k]]
                    if at < 0:
                        continue
                    for t in range(indptr[documents[k]], indptr[documents[k] + 1]):
                        n = counts[indices[t]]
                        changes[at] += label_term(max(n - amounts[k], <double>0), q, prior) - label_term(n, q, prior)
                        at += 1
            for t in range(size):
                counts[found[t]] = 0


# ---------------------------------------------------------------- labelled lines

cdef inline bint is_space(uint8_t byte) noexcept nogil:
    return byte == 32 or 9 <= byte <= 13


def separate_labels(const uint8_t[::1] text, const uint8_t[::1] prefix) -> tuple[bytes, bytes]:
    """Split lines into (labels, text): the tokens that begin with a prefix, without it, and the rest.

    Both have as many lines as the text, which ends with a newline. A bare prefix is not a label.
    """
    cdef const uint8_t* begin = &text[0] if text.shape[0] else NULL
    cdef const uint8_t* end = begin + text.shape[0]
    cdef const uint8_t* at = begin
    cdef const uint8_t* line_end
    cdef const uint8_t* token
    cdef const uint8_t* copied  # everything before it has been copied
    cdef Py_ssize_t n = prefix.shape[0]
    cdef bytes labels = PyBytes_FromStringAndSize(NULL, text.shape[0])
    cdef bytes rest = PyBytes_FromStringAndSize(NULL, text.shape[0])
    cdef uint8_t* label = <uint8_t*>PyBytes_AS_STRING(labels)
    cdef uint8_t* other = <uint8_t*>PyBytes_AS_STRING(rest)
    cdef uint8_t* first_label = label
    cdef uint8_t* first_other = other
    if text.shape[0] and text[text.shape[0] - 1] != 10:
        raise ValueError(f"a text of lines must end with a newline, got {bytes(text[-1:])!r}")
    with nogil:
        while at < end:
            line_end, copied = <const uint8_t*>memchr(at, 10, end - at), at
            while True:
                token = <const uint8_t*>memchr(at, prefix[0], line_end - at)
                if token == NULL:
                    break
                at = token + 1
                if token > begin and not is_space(token[-1]):
                    continue
                if line_end - token <= n or memcmp(token, &prefix[0], n) != 0 or is_space(token[n]):
                    continue
                at = token + n
                while at < line_end and not is_space(at[0]):
                    at += 1
                memcpy(other, copied, token - copied)
                other += token - copied
                memcpy(label, token + n, at - token - n)
                label += at - token - n
                label[0] = 32
                label += 1
                copied = at
            at = line_end + 1
            memcpy(other, copied, at - copied)
            other += at - copied
            label[0] = 10
            label += 1
    return labels[:label - first_label], rest[:other - first_other]
