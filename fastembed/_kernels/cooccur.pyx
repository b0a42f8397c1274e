"""Windows over token ids -> counts.

The text is one array of token ids, with -1 at both ends and after every sequence, so that a window ends where it meets
a -1. The positions of each word are gathered first (a counting sort); then the rows are counted one word at a time.
A row is summed in a dense array of all columns, and each column that occurs is noted once. Then a bit is set for each,
in a bitmap with a second level (one bit per 64 columns, set if any of them occurs); reading the bits in their order
gives the sorted row and clears the scratch. Nothing is hashed or sorted, and the work is linear in the number of pairs.

Weights are whole numbers held in double. Below 2^53 such sums are exact, so their order does not matter: any
partition of the text or of the rows gives the same bits.

Rows are independent: threads may count disjoint ranges of rows at once, each with its own scratch. The positions are
gathered by several threads, too: each takes a part of the text, and its places follow those of the parts before.
"""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastembed._kernels.bits cimport bits64
from fastembed._kernels.primitives cimport add_scaled, prefetch
from fastembed._kernels.types cimport real


cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static inline int fastembed_lowest_bit(uint64_t bits) {
        unsigned long low;
        if (_BitScanForward(&low, (unsigned long)bits)) return (int)low;
        _BitScanForward(&low, (unsigned long)(bits >> 32));
        return (int)low + 32;
    }
    #else
    static inline int fastembed_lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
    #endif
    """
    int lowest_bit "fastembed_lowest_bit" (uint64_t bits) noexcept nogil


cdef double CLOSE = 1e-3  # norm of the residual of a regression, as a share of that of its right-hand side

cdef enum:
    MOST_STEPS = 200  # of conjugate gradients
    AHEAD = 16      # windows of a word are scattered in memory: each is prefetched this many windows ahead
    NEAR = 8        # distance from the centre to prefetch, in ids: others are in the adjacent cache lines


cdef inline int64_t add_side(
    const int32_t* centre, int64_t step, const double* weights, int64_t length, uint32_t n_contexts, int64_t shift,
    double* totals, int32_t* found, int64_t n,
) noexcept nogil:
    """totals[c + shift] += weights[d - 1] for the ids c at centre[step d], d = 1, ..., length, up to the first -1.

    The columns that occur first are written to `found` from found[n] on; returns their new number. There is no branch
    for them, since it would be unpredictable: every seventh pair of a text is the first of its row. One comparison
    finds both the end of a sequence and words that are no contexts.
    """
    cdef int64_t d
    cdef uint32_t c
    totals += shift
    for d in range(length):
        centre += step
        c = <uint32_t>centre[0]
        if c < n_contexts:
            found[n] = <int32_t>(c + shift)
            n += bits64(totals[c]) == 0  # in fewer instructions than as a comparison of floats
            totals[c] += weights[d]
        elif c > <uint32_t>INT32_MAX:
            break
    return n


cdef inline int64_t add_windows(
    const int32_t* ids, const int32_t* positions, int64_t n_positions,
    const double* before, int64_t n_before, const double* after, int64_t n_after,
    int64_t n_contexts, int64_t shift, double* totals, int32_t* found,
) noexcept nogil:
    """Add the windows around all positions of one word; return the number of distinct columns found.

    `shift` is added to the columns of the words after it.
    """
    cdef int64_t p, n = 0
    cdef uint32_t contexts = <uint32_t>n_contexts
    for p in range(n_positions):
        if p + AHEAD < n_positions:
            prefetch(ids + positions[p + AHEAD] - min(n_before, NEAR))
            prefetch(ids + positions[p + AHEAD] + min(n_after, NEAR))
        n = add_side(ids + positions[p], -1, before, n_before, contexts, 0, totals, found, n)
        n = add_side(ids + positions[p], 1, after, n_after, contexts, shift, totals, found, n)
    return n


cdef inline void take_row(
    const int32_t* found, int64_t n_found, real* totals, uint64_t* present, uint64_t* present64, int64_t n_words64,
    int32_t* columns, real* values,
) noexcept nogil:
    """Move the row to (columns, values) with ascending columns, and reset the scratch to zero."""
    cdef int64_t n = 0, top, word, column
    for n in range(n_found):
        column = found[n]
        present[column >> 6] |= <uint64_t>1 << (column & 63)
        present64[column >> 12] |= <uint64_t>1 << ((column >> 6) & 63)
    n = 0
    for top in range(n_words64):
        while present64[top]:
            word = top * 64 + lowest_bit(present64[top])
            present64[top] &= present64[top] - 1
            while present[word]:
                column = word * 64 + lowest_bit(present[word])
                present[word] &= present[word] - 1
                columns[n] = <int32_t>column
                values[n] = totals[column]
                totals[column] = 0
                n += 1


def count_ids(const int32_t[::1] ids, int64_t first, int64_t last, int32_t[::1] occurrences):
    """Count each word in ids[first:last].

    Parameters
    ----------
    ids : int32 (T,)
        Ids in [-1, V); T < 2^31.
    first, last : int
        0 <= first <= last <= T.
    occurrences : int32 (V,), increased
    """
    cdef int64_t t
    with nogil:
        for t in range(first, last):
            if ids[t] >= 0:
                occurrences[ids[t]] += 1


def gather_positions(
    const int32_t[::1] ids, int64_t first, int64_t last, int32_t[::1] places, int32_t[::1] positions,
):
    """Gather the positions of each word in ids[first:last], ascending.

    Parameters
    ----------
    ids, first, last
        As for :func:`count_ids`.
    places : int32 (V,), increased
        Where the first position of each word is written in `positions`; then where the next one would be.
    positions : int32, written
    """
    cdef int64_t t
    cdef int32_t w
    with nogil:
        for t in range(first, last):
            w = ids[t]
            if w >= 0:
                positions[places[w]] = <int32_t>t
                places[w] += 1


def count_rows(
    const int32_t[::1] ids, const int64_t[::1] starts, const int32_t[::1] positions,
    int64_t first, int64_t last, const double[::1] before, const double[::1] after,
    int64_t n_contexts, bint directed, double[::1] totals, int32_t[::1] found, uint64_t[::1] present,
    uint64_t[::1] present64, int64_t[::1] lengths, int32_t[::1] columns, double[::1] values,
) -> int:
    """Count the windows around the words first .. last - 1.

    Parameters
    ----------
    ids : int32 (T,)
        The text, with -1 at both ends and between sequences.
    starts : int64 (V + 1,), positions : int32
        The positions of word w are ``positions[starts[w]:starts[w + 1]]``, ascending.
    first, last : int
        The range of rows.
    before, after : float64 (L,), (R,)
        Whole weights > 0 at the distances 1, 2, ... on either side.
    n_contexts : int
        K; words with ids of K or more take their places in windows but are no contexts.
    directed : bool
        If true, 2 K columns: K for the words before, K for those after. Otherwise K, summed over both sides.
    totals : float64 (columns,), all zero
    found : int32 (columns + 1,)
    present : uint64 (ceil(columns / 64),), all zero
    present64 : uint64 (ceil(columns / 4096),), all zero
        Scratch; what is all zero is so again afterwards.
    lengths : int64 (last - first,), written
        Number of entries of each row.
    columns : int32, values : float64, written
        The rows one after another; long enough for all of them.

    Returns
    -------
    int
        The number of entries written.
    """
    cdef int64_t n = 0, w, entries, shift = n_contexts if directed else 0
    # Memoryviews of length 0 have no first element to take the address of
    cdef const double* before_d = &before[0] if before.shape[0] else NULL
    cdef const double* after_d = &after[0] if after.shape[0] else NULL
    with nogil:
        for w in range(first, last):
            if starts[w] == starts[w + 1]:
                lengths[w - first] = 0
                continue
            entries = add_windows(
                &ids[0], &positions[starts[w]], starts[w + 1] - starts[w], before_d, before.shape[0],
                after_d, after.shape[0], n_contexts, shift, &totals[0], &found[0],
            )
            take_row(
                &found[0], entries, &totals[0], &present[0], &present64[0], present64.shape[0],
                &columns[0] + n, &values[0] + n,
            )
            lengths[w - first] = entries
            n += entries
    return n


def product_rows(
    const int32_t[::1] starts, const int32_t[::1] users, const float[::1] counts, const int32_t[::1] of_users,
    const int32_t[::1] items, const float[::1] others, int64_t first, int64_t last, float[::1] totals,
    int32_t[::1] found, uint64_t[::1] present, uint64_t[::1] present64, const int32_t[::1] begins,
    int32_t[::1] ends, int32_t[::1] diagonals, int32_t[::1] ids, float[::1] data,
):
    """Rows first .. last - 1 of  G = N^T N.

    Parameters
    ----------
    starts : int32 (V + 1,), users : int32, counts : float32
        N^T in CSR form: above 0, and so must be their products in float32.
    of_users : int32 (U + 1,), items : int32, others : float32
        N in CSR form.
    totals : float32 (V,), found, present, present64
        Scratch, as for :func:`count_rows`.
    begins : int32 (V,)
        Where a row of G is written; there is room for all of it.
    ends, diagonals : int32 (V,), written
        Where it ends, and where its diagonal is.
    ids : int32, data : float32, written
        The columns of a row, ascending, and its values.
    """
    cdef int64_t c, t, s, n
    cdef int32_t user
    with nogil:
        for c in range(first, last):
            n = 0
            for t in range(starts[c], starts[c + 1]):
                user = users[t]
                for s in range(of_users[user], of_users[user + 1]):
                    found[n] = items[s]
                    n += totals[items[s]] == 0
                    totals[items[s]] += counts[t] * others[s]
            take_row(
                &found[0], n, &totals[0], &present[0], &present64[0], present64.shape[0], &ids[begins[c]],
                &data[begins[c]],
            )
            ends[c], diagonals[c] = <int32_t>(begins[c] + n), begins[c]
            while ids[diagonals[c]] != c:
                diagonals[c] += 1


cdef inline void times_symmetric(const float* a, const float* x, Py_ssize_t n, float* product) noexcept nogil:
    """product = A x of a symmetric A (n, n), of which only the lower triangle is read, once."""
    cdef Py_ssize_t k, t
    cdef float sum_of_row
    cdef const float* row
    for k in range(n):
        row, sum_of_row = a + k * n, 0
        for t in range(k):
            product[t] += x[k] * row[t]
            sum_of_row += x[t] * row[t]
        product[k] = sum_of_row + x[k] * row[k]


cdef inline double product_of(const float* x, const float* y, Py_ssize_t n) noexcept nogil:
    cdef double s = 0
    cdef Py_ssize_t k
    for k in range(n):
        s += <double>x[k] * <double>y[k]
    return s


def regression(
    const int32_t[::1] starts, const int32_t[::1] diagonals, const int32_t[::1] indices, const float[::1] data,
    const int32_t[::1] ids, int32_t[::1] places, float[::1] system, float[:, ::1] scratch,
    int32_t[::1] found, float[::1] weights,
):
    """Solve  A_SS w = g  by conjugate gradients, with the diagonal as preconditioner.

    Parameters
    ----------
    starts, diagonals : int32 (V,)
        Where the entries of row r of the symmetric matrix A with a lower column begin, and where its diagonal is.
    indices : int32, data : float32
        The columns and values of the entries of A.
    ids : int32 (K,)
        S: different rows, ascending.
    places : int32 (V,)
        -1 before and after.
    system : float32 (K K or more,), scratch : float32 (3, K or more), found : int32 (V,), overwritten
    weights : float32 (K,)
        g on entry, w on return.
    """
    cdef Py_ssize_t k, n = ids.shape[0]
    cdef int32_t t, count, begin, end, following
    cdef float* a = &system[0]
    cdef float* r = &scratch[0, 0]
    cdef float* p = &scratch[1, 0]
    cdef float* y = &scratch[2, 0]
    cdef float length
    cdef double small, slope, before
    with nogil:
        for k in range(n):
            places[ids[k]] = <int32_t>k
        for k in range(n):
            memset(a + k * n, 0, k * sizeof(float))
            begin, end, count = starts[ids[k]], diagonals[ids[k]], 0
            a[k * n + k] = data[end]
            following = ids[min(k + 1, n - 1)]  # rows are scattered in memory
            for t in range(starts[following], diagonals[following], 16):
                prefetch(&indices[t])
                prefetch(&data[t])
            for t in range(begin, end):  # without a branch, which would be unpredictable
                found[count] = t
                count += places[indices[t]] >= 0
            for t in range(count):
                a[k * n + places[indices[found[t]]]] = data[found[t]]
        for k in range(n):
            places[ids[k]] = -1

        slope = 0
        small = CLOSE * CLOSE * product_of(&weights[0], &weights[0], n)
        for k in range(n):
            r[k] = weights[k]
            p[k] = r[k] / a[k * n + k]
            slope += <double>r[k] * p[k]
            weights[k] = 0
        for _ in range(MOST_STEPS):
            times_symmetric(a, p, n, y)
            length = <float>(slope / product_of(p, y, n))
            add_scaled(p, length, n, &weights[0])
            add_scaled(y, -length, n, r)
            if product_of(r, r, n) <= small:
                break
            before, slope = slope, 0
            for k in range(n):
                y[k] = r[k] / a[k * n + k]
                slope += <double>r[k] * y[k]
            for k in range(n):
                p[k] = y[k] + <float>(slope / before) * p[k]
