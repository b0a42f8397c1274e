"""The tokens of UTF-8 text.

A token is a run of bytes other than ASCII white space (space, \\t, \\n, \\v, \\f, \\r); a line ends at \\n. The scan
reads each byte once: for the end of the token and for its hash.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from fastembed._kernels.hashing cimport add_byte, empty_hash, spread


cdef extern from *:
    """
    static const unsigned char fastembed_space[256] = {
        [' '] = 1, ['\\t'] = 1, ['\\n'] = 1, ['\\v'] = 1, ['\\f'] = 1, ['\\r'] = 1};
    """
    const uint8_t* SPACE "fastembed_space"


cdef struct Scan:
    # The rest of a text, the last token, and the numbers of tokens and lines before the rest
    const uint8_t* at
    const uint8_t* end
    const uint8_t* token
    int64_t length
    uint64_t hash
    int32_t* ids                        # NULL, or where the scan writes -1 at the end of a line, and moves on
    bint inside                         # whether the line at `at` has text before it
    int64_t tokens, lines, empty_lines  # ended lines, and those without a token


cdef inline Scan scan_of(const uint8_t[::1] text, bint inside, int32_t* ids) noexcept nogil:
    """Return a scan at the start of a text; `inside` says whether the text continues a line that is not empty."""
    cdef const uint8_t* first = &text[0] if text.shape[0] else NULL
    cdef Scan scan
    scan.at, scan.end = first, first + text.shape[0]
    scan.ids, scan.inside = ids, inside
    scan.tokens = scan.lines = scan.empty_lines = 0
    return scan


cdef inline bint next_token(Scan* scan) noexcept nogil:
    """Go to the next token; return whether there is one."""
    cdef const uint8_t* at = scan.at
    cdef uint64_t h = empty_hash()
    while at < scan.end and SPACE[at[0]]:
        if at[0] == 10:
            scan.lines += 1
            scan.empty_lines += not scan.inside
            scan.inside = False
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
    scan.inside = True
    return True
