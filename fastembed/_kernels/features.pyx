"""Token ids -> bags of features: word n-grams by an exact table of pairs, and the bag of each document in CSR form.

An n-gram is the pair of an (n-1)-gram and the next word, so a table of n-grams holds pairs of ids and no text. The id
-1 stands between two documents, and is a neighbour of the last and of the first word. The id -2 is no feature.

Tests compare with the twins in ``tests/twins.py``, which have the names of the functions; `find_pairs` for `PairIndex`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.math cimport log, sqrt
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fastembed._kernels.hashing cimport new_key
from fastembed._kernels.primitives cimport CACHE_LINE, prefetch

cpdef enum:
    NONE = -2           # no feature

cdef enum:
    LINE_PAIRS = 5      # pairs of an index per cache line
    USUAL_PAIRS = 3     # mean number of pairs per line, with which one line in five is full
    PAIRS_AHEAD = 16    # pairs between the prefetch of a line and the search
    WEIGHTS_AHEAD = 32  # entries between the prefetch of a weight and its use
    MOST_ARRAYS = 16    # of features, in `bags`
    FEW_IDS = 40        # most ids that are sorted by insertion
    BAGS_AHEAD = 8      # bags between a prefetch (32 ids, 24 weights) and its use


cdef inline uint64_t pair_of(int32_t left, int32_t right) noexcept nogil:
    return (<uint64_t><uint32_t>left << 32) | <uint32_t>right


cdef inline bint is_pair(int32_t left, int32_t right) noexcept nogil:
    """Return whether two ids are a pair: neither is NONE, and not both are -1, the ends of an empty document."""
    return left > NONE and right > NONE and (left >= 0 or right >= 0)


cdef inline uint64_t splitmix(uint64_t h) noexcept nogil:
    """Return the mixing function of splitmix64 (Steele et al. 2014), a bijection; each bit depends on all bits of h."""
    h = (h ^ (h >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    h = (h ^ (h >> 27)) * <uint64_t>0x94D049BB133111EB
    return h ^ (h >> 31)


# ---------------------------------------------------------------- the search for pairs

cdef struct Line:
    # A cache line of 64 bytes; pairs fill it from the start
    uint64_t[LINE_PAIRS] pairs
    int32_t[LINE_PAIRS] numbers  # number of the pair + 1; 0 in a free slot


cdef class PairIndex:
    """An index of a fixed set of pairs of ids: a search reads one cache line, rarely a second.

    The hash of a pair selects a line. If the line is full, the pair is on the next line with room. Any number of
    threads may call :meth:`find_all` at once.

    Parameters
    ----------
    left, right : int32 (n,)
        The pairs, all different, in the order of their numbers.

    Raises
    ------
    MemoryError
        Without 21 bytes of memory per pair.
    ValueError
        If the arrays differ in length, have 2^31 - 1 pairs or more, or have a pair twice.
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
        return (splitmix(pair ^ self.key) >> 32) * self.count >> 32

    cdef inline uint64_t next_line(self, uint64_t number) noexcept nogil:
        return number + 1 if number + 1 < self.count else 0

    cdef inline bint put(self, uint64_t pair, int32_t number) noexcept nogil:
        """Put a pair on the first line with a free slot; return whether it is new."""
        cdef uint64_t n = self.line_of(pair)
        cdef Line* line
        cdef int k
        while True:
            line = self.lines + n
            for k in range(LINE_PAIRS):
                if not line.numbers[k]:
                    line.pairs[k], line.numbers[k] = pair, number + 1
                    return True
                if line.pairs[k] == pair:
                    return False
            n = self.next_line(n)

    cdef inline int32_t find(self, uint64_t pair) noexcept nogil:
        """Return the number of a pair, or NONE."""
        cdef uint64_t n = self.line_of(pair)
        cdef const Line* line
        cdef int32_t number
        cdef int k
        while True:
            line, number = self.lines + n, 0
            for k in range(LINE_PAIRS):  # without a branch, which would be unpredictable
                number |= line.numbers[k] if line.pairs[k] == pair else 0
            if number or not line.numbers[LINE_PAIRS - 1]:
                return number - 1 if number else NONE
            n = self.next_line(n)

    def find_all(self, const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, int32_t[::1] numbers):
        """Write the number of the pair (left[i], right[i + shift]), or -2, to numbers[i].

        Parameters
        ----------
        left : int32 (n,)
        right : int32 (n,)
            Two ids are no pair if one is -2, or both are -1.
        shift : int
            Not negative.
        numbers : int32 (n,), written
        """
        cdef Py_ssize_t i, k, n = left.shape[0]
        cdef uint64_t[PAIRS_AHEAD] waiting
        cdef bint[PAIRS_AHEAD] are_pairs
        with nogil:
            for i in range(n + PAIRS_AHEAD):
                k = i % PAIRS_AHEAD
                if i >= PAIRS_AHEAD:
                    numbers[i - PAIRS_AHEAD] = self.find(waiting[k]) if are_pairs[k] else NONE
                if i < n:
                    are_pairs[k] = i + shift < n and is_pair(left[i], right[i + shift])
                    if are_pairs[k]:
                        waiting[k] = pair_of(left[i], right[i + shift])
                        prefetch(self.lines + self.line_of(waiting[k]))


# ---------------------------------------------------------------- pairs by parts
#
# `count_pairs` divides pairs by a hash into parts, so that the table of a part fits into a cache. The hash has no key,
# unlike the hash of `PairIndex`: the order of features of equal counts follows the order of the parts.

cdef inline uint64_t part_of(uint64_t pair, int shift) noexcept nogil:
    """Return the part of a pair: high bits of a hash."""
    return splitmix(pair) >> shift if shift < 64 else 0


cdef int shift_of(Py_ssize_t parts) noexcept:
    """Return the shift of `part_of` for a number of parts, a power of two."""
    cdef int shift = 64
    while (<Py_ssize_t>1 << (64 - shift)) < parts:
        shift -= 1
    return shift


def part_sizes(
    const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, Py_ssize_t first, Py_ssize_t last,
    int64_t[::1] sizes,
):
    """Write the number of pairs (left[i], right[i + shift]) in each part, for i from `first` to last - 1.

    Parameters
    ----------
    left, right, shift
        As for `PairIndex.find_all`.
    first, last : int
    sizes : int64 (parts,), written
        The number of parts is a power of two.
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
    """Append the pairs of `part_sizes` to their parts.

    Parameters
    ----------
    left, right, shift, first, last
        As for `part_sizes`.
    ends : int64 (parts,), increased
        Where the next pair of each part is written.
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
    """Number and count the distinct pairs of parts `first` to last - 1, in the order of their first occurrence.

    Parameters
    ----------
    pairs : uint64 (n,), written
        Part k has the pairs bounds[k] to bounds[k + 1] - 1; its distinct pairs are moved to the front.
    bounds : int64 (parts + 1,)
    first, last : int
    numbers : int32 (n,), written
        The number of each pair in its part.
    counts : int32 (n,), written
        The count of each distinct pair, at its place in the front.
    sizes : int64 (parts,), written
        The number of distinct pairs of each part.

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
                place = splitmix(pair ^ key) & mask
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
    """Return the number of slots for some pairs, minus 1: a power of two, at least twice the number of pairs."""
    cdef uint64_t slots = 2
    while slots < 2 * <uint64_t>pairs:
        slots *= 2
    return slots - 1


def put_numbers(
    const int32_t[::1] left, const int32_t[::1] right, Py_ssize_t shift, Py_ssize_t first, Py_ssize_t last,
    const int32_t[::1] numbers, const int64_t[::1] bounds, const int32_t[::1] ranks, int64_t[::1] starts,
    int32_t[::1] pair_ranks,
):
    """Write the rank of the pair (left[i], right[i + shift]), or -2, for i from `first` to last - 1.

    The rank numbers the pairs of all parts by decreasing count.

    Parameters
    ----------
    left, right, shift, first, last
        As for `part_sizes`.
    numbers, bounds
        As for `number_pairs`.
    ranks : int32 (n,)
        The rank of each distinct pair, or -2, at its place in `number_pairs`.
    starts : int64 (parts,), increased
        The place in `numbers` of each part's next pair.
    pair_ranks : int32 (n,), written
    """
    cdef int high = shift_of(starts.shape[0])
    cdef Py_ssize_t i, part, end = min(left.shape[0], right.shape[0] - shift)
    with nogil:
        for i in range(first, min(last, left.shape[0])):
            if i < end and is_pair(left[i], right[i + shift]):
                part = part_of(pair_of(left[i], right[i + shift]), high)
                pair_ranks[i] = ranks[bounds[part] + numbers[starts[part]]]
                starts[part] += 1
            else:
                pair_ranks[i] = NONE


# ---------------------------------------------------------------- bags

cdef void sort(int32_t* ids, Py_ssize_t n, int32_t most, int32_t* other) noexcept nogil:
    """Sort ids of at most `most`: few by insertion, many by their bytes, the lowest byte first.

    `other` has room for n ids.
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
    """Write the bag of each document in CSR form: ascending features and their counts; return the number of entries.

    Parameters
    ----------
    features : list of int32 (n,)
        At most 16 arrays over the same n places, one per kind of feature: the feature that begins at each place, or a
        negative number.
    offsets : int64 (number of arrays,)
        Added to the features of each array.
    starts : int64 (N + 1,)
        Where each document begins, and where the last one ends.
    indptr : int64 (N + 1,), written
    indices : int32, data : float64 (at least n times the number of arrays,), written

    Raises
    ------
    ValueError
        If there are more than 16 arrays.
    MemoryError
        Without memory for the ids of the longest document.
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

    If `logarithmic`, each count n becomes 1 + log(n) first.
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
    float[::1] weights, float[::1] squares, float[::1] unshared, int32_t[::1] owners, float[::1] amounts,
):
    """Write the bags of the documents order[first] to order[last - 1], in this order, with rows instead of features.

    Parameters
    ----------
    indptr, indices, data
        The bags (N, F) in CSR form.
    order : int64 (n,)
    rows : int32 (F,)
        The row of each feature; -1 for a feature of one document alone, which needs no row.
    first, last : int
    starts : int64 (n + 1,)
        Where the entries with a row begin, for each bag in the new order.
    ids : int32, weights : float32, written
        The entries with a row.
    squares, unshared : float32 (n,), written
        The squared lengths of the bags, and of their entries without a row.
    owners : int32 (F,), amounts : float32 (F,), written for features without a row
        The document of the feature, as a place in `order`, and its weight there.
    """
    cdef Py_ssize_t k, t, place, line, n = order.shape[0]
    cdef int32_t f
    cdef double square, without_row
    with nogil:
        for k in range(first, last):
            if k + BAGS_AHEAD < n:
                t = indptr[order[k + BAGS_AHEAD]]
                for line in range(2):
                    prefetch(&indices[0] + t + 16 * line)
                for line in range(3):
                    prefetch(&data[0] + t + 8 * line)
            place, square, without_row = starts[k], 0, 0
            for t in range(indptr[order[k]], indptr[order[k] + 1]):
                f = indices[t]
                square += data[t] * data[t]
                if rows[f] >= 0:
                    ids[place], weights[place] = rows[f], <float>data[t]
                    place += 1
                else:
                    without_row += data[t] * data[t]
                    owners[f], amounts[f] = <int32_t>k, <float>data[t]
            squares[k], unshared[k] = <float>square, <float>without_row


# ---------------------------------------------------------------- features and labels

cdef inline double label_term(double n, double q, double prior) noexcept nogil:
    return (n + prior * q) * log(n / q + prior)


def label_terms(
    const int64_t[::1] indptr, const int32_t[::1] indices, const int64_t[::1] starts, const int32_t[::1] documents,
    const double[::1] amounts, const double[::1] shares, double prior, double[::1] sums,
    const int64_t[::1] places, double[::1] changes, double[::1] counts, int32_t[::1] nonzeros,
):
    """Sum t(n) - t(0) over the labels, for each feature: the sums of `LabelGains` in ``classifier/features.py``.

    With `places`, the sums stay. Then `changes` gets how much the sum of each feature of some documents would change
    without the labels of the document.

    t(n) = (n + prior q) log(n / q + prior), where q is the share of the label and n the sum of its amounts over the
    documents with the feature.

    Parameters
    ----------
    indptr : int64 (N + 1,), indices : int32
        The features of each document.
    starts : int64 (L + 1,), documents : int32, amounts : float64
        The documents with each label, in CSC form, and how much of the label each has.
    shares : float64 (L,)
        The share q of each label.
    prior : float
    sums : float64 (F,), increased if `places` are empty
    places : int64 (N,), or empty
        Where the entries of each document are in `changes`, or -1.
    changes : float64, increased if there are `places`
        For each feature of a document, t(n - amount) - t(n), summed over the labels of the document.
    counts : float64 (F,), zeros
        Scratch for the n of a label; zeros again afterwards.
    nonzeros : int32 (F + 1,)
        Scratch for the features with the label.
    """
    cdef Py_ssize_t label, k, t, size, at
    cdef int32_t f
    cdef double n, q, term_of_1, term_of_0
    with nogil:
        for label in range(shares.shape[0]):
            q, size = shares[label], 0
            term_of_1, term_of_0 = label_term(1, q, prior), prior * q * log(prior)
            for k in range(starts[label], starts[label + 1]):
                for t in range(indptr[documents[k]], indptr[documents[k] + 1]):
                    f = indices[t]
                    nonzeros[size] = f
                    size += counts[f] == 0  # without a branch, which would be unpredictable
                    counts[f] += amounts[k]
            if not places.shape[0]:
                for t in range(size):
                    n = counts[nonzeros[t]]
                    sums[nonzeros[t]] += (term_of_1 if n == 1 else label_term(n, q, prior)) - term_of_0
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
                counts[nonzeros[t]] = 0


# ---------------------------------------------------------------- labelled lines

cdef inline bint is_space(uint8_t byte) noexcept nogil:
    return byte == 32 or 9 <= byte <= 13


def separate_labels(const uint8_t[::1] text, const uint8_t[::1] prefix) -> tuple[bytes, bytes]:
    """Return the labels of each line, without their prefix, and the rest of each line.

    A label is a token that begins with the prefix and is longer. The text ends with a newline.
    """
    cdef const uint8_t* begin = &text[0] if text.shape[0] else NULL
    cdef const uint8_t* end = begin + text.shape[0]
    cdef const uint8_t* at = begin
    cdef const uint8_t* line_end
    cdef const uint8_t* token
    cdef const uint8_t* copied  # the text before it is in the output
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
