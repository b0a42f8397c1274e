"""Windows over token ids -> counts; products and regressions of sparse matrices.

The text is one array of token ids, with -1 at both ends and after every sequence; a window ends where it meets -1. A
counting sort gathers the positions of each word, then the rows are counted one word at a time.

A row is summed in a dense array of all columns, `totals`. The list `nonzeros` has each column of the row once. Bitmaps
sort them: `present` has a bit per column, `present64` one per 64 columns. Reading the bits in their order gives the
sorted row and clears the scratch. Nothing is hashed, and the work is linear in the number of pairs.

Weights are whole numbers in double. Sums below 2^53 are exact, so any partition of the text or of the rows gives the
same bits. Threads may count disjoint ranges of rows at once, each with scratch memory, and gather the positions in
disjoint parts of the text. The twin of `count_rows` is `cooccurrence` of ``tests/twins.py``.
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


cdef double CLOSE = 1e-3  # norm of a regression's residual at which it ends, as a share of the right-hand side's norm

cdef enum:
    MOST_STEPS = 200  # of conjugate gradients
    AHEAD = 16      # windows between the prefetch of a window and its use: they are scattered in memory
    NEAR = 8        # ids between the centre and the place to prefetch, so that a window is in two cache lines


cdef inline int64_t add_side(
    const int32_t* centre, int64_t step, const double* weights, int64_t length, uint32_t n_contexts, int64_t shift,
    double* totals, int32_t* nonzeros, int64_t n,
) noexcept nogil:
    """totals[c + shift] += weights[d - 1] for the ids c at centre[step d], d = 1, ..., length, up to the first -1.

    New columns of the row are appended to `nonzeros`, which has n; return their new number. A branch for them would be
    unpredictable: every seventh pair of a text is a new column. One comparison detects both the end of a sequence and
    words that are no contexts.
    """
    cdef int64_t d
    cdef uint32_t c
    totals += shift
    for d in range(length):
        centre += step
        c = <uint32_t>centre[0]
        if c < n_contexts:
            nonzeros[n] = <int32_t>(c + shift)
            n += bits64(totals[c]) == 0  # in fewer instructions than as a comparison of floats
            totals[c] += weights[d]
        elif c > <uint32_t>INT32_MAX:
            break
    return n


cdef inline int64_t add_windows(
    const int32_t* ids, const int32_t* positions, int64_t n_positions,
    const double* before, int64_t n_before, const double* after, int64_t n_after,
    int64_t n_contexts, int64_t shift, double* totals, int32_t* nonzeros,
) noexcept nogil:
    """Add the windows around all positions of one word; return the number of nonzeros.

    `shift` is added to the columns of words after the centre.
    """
    cdef int64_t p, n = 0
    cdef uint32_t contexts = <uint32_t>n_contexts
    for p in range(n_positions):
        if p + AHEAD < n_positions:
            prefetch(ids + positions[p + AHEAD] - min(n_before, NEAR))
            prefetch(ids + positions[p + AHEAD] + min(n_after, NEAR))
        n = add_side(ids + positions[p], -1, before, n_before, contexts, 0, totals, nonzeros, n)
        n = add_side(ids + positions[p], 1, after, n_after, contexts, shift, totals, nonzeros, n)
    return n


cdef inline void take_row(
    const int32_t* nonzeros, int64_t entries, real* totals, uint64_t* present, uint64_t* present64, int64_t n_present64,
    int32_t* columns, real* values,
) noexcept nogil:
    """Move a row to (columns, values), with ascending columns, and reset the scratch to zero."""
    cdef int64_t n = 0, top, place, column
    for n in range(entries):
        column = nonzeros[n]
        present[column >> 6] |= <uint64_t>1 << (column & 63)
        present64[column >> 12] |= <uint64_t>1 << ((column >> 6) & 63)
    n = 0
    for top in range(n_present64):
        while present64[top]:
            place = top * 64 + lowest_bit(present64[top])
            present64[top] &= present64[top] - 1
            while present[place]:
                column = place * 64 + lowest_bit(present[place])
                present[place] &= present[place] - 1
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
        Where the next position of each word is written in `positions`.
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
    int64_t n_contexts, bint directed, double[::1] totals, int32_t[::1] nonzeros, uint64_t[::1] present,
    uint64_t[::1] present64, int64_t[::1] lengths, int32_t[::1] columns, double[::1] values,
) -> int:
    """Count the windows around the words of the rows first .. last - 1. Rows are in the caller's order of words.

    Parameters
    ----------
    ids : int32 (T,)
        The text, with -1 at both ends and between sequences.
    starts : int64 (V + 1,), positions : int32
        The positions of the word of row r are ``positions[starts[r]:starts[r + 1]]``, ascending.
    first, last : int
        The range of rows.
    before, after : float64 (L,), (R,)
        Whole weights > 0 at the distances 1, 2, ... on either side.
    n_contexts : int
        K; words with ids of K or more take up places in windows but are no contexts.
    directed : bool
        Whether there are 2 K columns, K for words before and K for words after, or K, summed over both sides.
    totals : float64 (columns,), all zero
    nonzeros : int32 (columns + 1,)
    present : uint64 (ceil(columns / 64),), all zero
    present64 : uint64 (ceil(columns / 4096),), all zero
        Scratch; zeros are zeros again afterwards.
    lengths : int64 (last - first,), written
        Number of entries of each row.
    columns : int32, values : float64, written
        The rows end to end; long enough for all rows.

    Returns
    -------
    int
        The number of entries written.
    """
    cdef int64_t n = 0, row, entries, shift = n_contexts if directed else 0
    # A memoryview of length 0 has no first element
    cdef const double* before_d = &before[0] if before.shape[0] else NULL
    cdef const double* after_d = &after[0] if after.shape[0] else NULL
    with nogil:
        for row in range(first, last):
            if starts[row] == starts[row + 1]:
                lengths[row - first] = 0
                continue
            entries = add_windows(
                &ids[0], &positions[starts[row]], starts[row + 1] - starts[row], before_d, before.shape[0],
                after_d, after.shape[0], n_contexts, shift, &totals[0], &nonzeros[0],
            )
            take_row(
                &nonzeros[0], entries, &totals[0], &present[0], &present64[0], present64.shape[0],
                &columns[0] + n, &values[0] + n,
            )
            lengths[row - first] = entries
            n += entries
    return n


def product_rows(
    const int32_t[::1] starts, const int32_t[::1] users, const float[::1] counts, const int32_t[::1] user_starts,
    const int32_t[::1] items, const float[::1] user_counts, int64_t first, int64_t last, float[::1] totals,
    int32_t[::1] nonzeros, uint64_t[::1] present, uint64_t[::1] present64, const int32_t[::1] begins,
    int32_t[::1] ends, int32_t[::1] diagonals, int32_t[::1] ids, float[::1] data,
):
    """Write the rows first .. last - 1 of  G = N^T N.

    Parameters
    ----------
    starts : int32 (V + 1,), users : int32, counts : float32
        N^T in CSR form. The counts and their products in float32 are above 0.
    user_starts : int32 (U + 1,), items : int32, user_counts : float32
        N in CSR form.
    totals : float32 (V,), nonzeros, present, present64
        Scratch, as for :func:`count_rows`.
    begins : int32 (V,)
        Where each row of G is written, with room for the whole row.
    ends, diagonals : int32 (V,), written
        Where each row ends, and where its diagonal is.
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
                for s in range(user_starts[user], user_starts[user + 1]):
                    nonzeros[n] = items[s]
                    n += totals[items[s]] == 0
                    totals[items[s]] += counts[t] * user_counts[s]
            take_row(
                &nonzeros[0], n, &totals[0], &present[0], &present64[0], present64.shape[0], &ids[begins[c]],
                &data[begins[c]],
            )
            ends[c], diagonals[c] = <int32_t>(begins[c] + n), begins[c]
            while ids[diagonals[c]] != c:
                diagonals[c] += 1


cdef inline void times_symmetric(const float* a, const float* x, Py_ssize_t n, float* product) noexcept nogil:
    """product = A x for a symmetric A (n, n); only the lower triangle is read, once."""
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
    int32_t[::1] entries, float[::1] weights,
):
    """Solve  A_SS w = g  by conjugate gradients, with the diagonal as preconditioner.

    Parameters
    ----------
    starts, diagonals : int32 (V,)
        Where each row of the symmetric A begins, and where its diagonal is; columns of a row ascend.
    indices : int32, data : float32
        The columns and values of A.
    ids : int32 (K,)
        S: different rows, ascending.
    places : int32 (V,)
        Scratch, -1 before and after.
    system : float32 (K K or more,), scratch : float32 (3, K or more), entries : int32 (V,)
        Scratch.
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
                entries[count] = t
                count += places[indices[t]] >= 0
            for t in range(count):
                a[k * n + places[indices[entries[t]]]] = data[entries[t]]
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
