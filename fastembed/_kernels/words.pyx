"""Text -> text: words out of raw text, and the lines of wrapped text joined.

Both functions take UTF-8 and return UTF-8 for :mod:`fastembed._kernels.tokens`: a newline ends a sequence, ASCII white
space separates its tokens. The twins are `words` and `sequences` of ``tests/twins.py``.

setup.py makes tables of the properties of characters from `unicodedata`: PAGES names the page of each 128 code points,
RECORDS the record of each place in a page, and CHARACTERS has the properties of each record. Equal pages and equal
records are stored once, so the tables take 46 kB.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

cdef extern from "unicode_tables.h":
    ctypedef struct Character "fastembed_character":
        int32_t lower           # offset from the code point to its lower case
        uint8_t flags
    const char* UNIDATA "FASTEMBED_UNIDATA"
    const uint16_t* PAGES "fastembed_pages"
    const uint8_t* RECORDS "fastembed_records"
    const Character* CHARACTERS "fastembed_characters"
    cdef enum:
        WORD "FASTEMBED_WORD"              # a letter, mark or digit: general categories L, M, N
        MARK "FASTEMBED_MARK"              # M
        NUMBER "FASTEMBED_NUMBER"          # N
        IDEOGRAPH "FASTEMBED_IDEOGRAPH"    # a Han ideograph or kana: a token of its own
        CASED "FASTEMBED_CASED"            # cased: decides between the two forms of sigma
        IGNORED "FASTEMBED_IGNORED"        # skipped in the search for cased characters
        CAPITAL "FASTEMBED_CAPITAL"        # Lu, Lt

cdef extern from *:
    """
    /* 1: white space inside a line, 2: a newline, 4: may end a sentence */
    static const unsigned char fastembed_kinds[256] = {
        [' '] = 1, ['\\t'] = 1, ['\\v'] = 1, ['\\f'] = 1, ['\\r'] = 1, ['\\n'] = 2, ['.'] = 4, ['!'] = 4, ['?'] = 4};
    """
    const uint8_t* KINDS "fastembed_kinds"

cdef enum:
    BLANK = 1
    NEWLINE = 2
    STOP = 4
    RUN = 32                    # bytes of plain ASCII that are converted at once
    SOFT_HYPHEN = 0xAD
    HYPHEN = 0x2010
    RIGHT_QUOTE = 0x2019
    ZWNJ = 0x200C               # joiners: invisible, but part of the spelling of Persian, Sinhala and Bengali
    ZWJ = 0x200D
    SIGMA = 0x3A3               # its lower case depends on its position in the word

cpdef enum:                     # what becomes of words that are numbers
    KEEP
    SHAPE                       # each digit becomes 0
    DROP

cpdef enum:                     # the unit of a sequence
    PARAGRAPH
    SENTENCE
    DOCUMENT


def unicode_version() -> str:
    """Return the version of Unicode in the tables."""
    return UNIDATA.decode()


# ---------------------------------------------------------------- characters

cdef inline const Character* character(uint32_t point) noexcept nogil:
    return &CHARACTERS[RECORDS[(<uint32_t>PAGES[point >> 7] << 7) + (point & 127)]]


cdef inline int64_t decode(const uint8_t* t, uint32_t* point) noexcept nogil:
    """Read one character of valid UTF-8; return its number of bytes."""
    if t[0] < 0x80:
        point[0] = t[0]
        return 1
    if t[0] < 0xE0:
        point[0] = (<uint32_t>t[0] & 0x1F) << 6 | (t[1] & 0x3F)
        return 2
    if t[0] < 0xF0:
        point[0] = (<uint32_t>t[0] & 0x0F) << 12 | (<uint32_t>t[1] & 0x3F) << 6 | (t[2] & 0x3F)
        return 3
    point[0] = (<uint32_t>t[0] & 0x07) << 18 | (<uint32_t>t[1] & 0x3F) << 12
    point[0] |= (<uint32_t>t[2] & 0x3F) << 6 | (t[3] & 0x3F)
    return 4


cdef inline int64_t encode(uint32_t point, uint8_t* out) noexcept nogil:
    """Write one character; return its number of bytes."""
    if point < 0x80:
        out[0] = point
        return 1
    if point < 0x800:
        out[0] = 0xC0 | point >> 6
        out[1] = 0x80 | (point & 0x3F)
        return 2
    if point < 0x10000:
        out[0] = 0xE0 | point >> 12
        out[1] = 0x80 | (point >> 6 & 0x3F)
        out[2] = 0x80 | (point & 0x3F)
        return 3
    out[0] = 0xF0 | point >> 18
    out[1] = 0x80 | (point >> 12 & 0x3F)
    out[2] = 0x80 | (point >> 6 & 0x3F)
    out[3] = 0x80 | (point & 0x3F)
    return 4


cdef inline bint is_letter(const uint8_t* t) noexcept nogil:
    """Return whether the first character is a letter or mark."""
    cdef uint32_t point
    decode(t, &point)
    return character(point).flags & (WORD | NUMBER) == WORD


# ---------------------------------------------------------------- words

cdef struct Writer:
    # The output, and the state of its last word
    uint8_t* out            # where the next byte is written
    bint keep_case
    int digits              # KEEP, SHAPE or DROP
    bint in_word            # the output ends in a word, which a letter would extend
    bint ideograph          # the output ends in an ideograph, which a mark would extend
    bint apostrophe         # an apostrophe is pending: it is part of the word if a letter follows
    bint cased              # the last character of the word that is not IGNORED is cased
    uint8_t* sigma          # NULL, or the word's last final sigma, which changes if a cased letter follows
    uint8_t* number         # NULL, or the start of the word while it is a number


cdef inline void end_word(Writer* w) noexcept nogil:
    """End the word; if it is a number, rewrite or drop it."""
    cdef const uint8_t* old = w.number
    cdef const uint8_t* end = w.out
    if old != NULL:
        w.out = w.number
        while w.digits == SHAPE and old < end:
            if old[0] & 0xC0 != 0x80:
                w.out[0] = 39 if old[0] == 39 else 48
                w.out += 1
            old += 1
    w.in_word = w.ideograph = w.apostrophe = False
    w.sigma = w.number = NULL


cdef inline void put_space(Writer* w, uint8_t space) noexcept nogil:
    end_word(w)
    w.out[0] = space
    w.out += 1


cdef inline void put_letter(Writer* w, uint32_t point, const Character* c) noexcept nogil:
    """Write one character of a word."""
    cdef bint cased = w.cased
    if not w.in_word:
        if w.ideograph:
            put_space(w, 32)
        w.in_word = True
        w.number = w.out if w.digits != KEEP else NULL
        w.cased = cased = False
    elif w.apostrophe:
        w.out[0] = 39
        w.out += 1
        w.apostrophe = False
    if not c.flags & NUMBER:
        w.number = NULL
    if not c.flags & IGNORED:
        w.cased = c.flags & CASED != 0
        if w.sigma != NULL and w.cased:
            w.sigma[1] = 0x83       # from U+03C2 to U+03C3
        w.sigma = NULL
    if w.keep_case:
        w.out += encode(point, w.out)
    elif point == SIGMA:
        w.out[0] = 0xCF
        w.out[1] = 0x82 if cased else 0x83
        if cased:
            w.sigma = w.out
        w.out += 2
    else:
        w.out += encode(<uint32_t>(<int32_t>point + c.lower), w.out)


cdef inline void put_character(Writer* w, uint32_t point, const Character* c) noexcept nogil:
    if c.flags & IDEOGRAPH or (c.flags & MARK and w.ideograph):
        if c.flags & IDEOGRAPH and (w.in_word or w.ideograph):
            put_space(w, 32)
        w.out += encode(point, w.out)
        w.ideograph = True
    elif c.flags & (WORD | MARK) == WORD or w.in_word and (c.flags & MARK or point == ZWNJ or point == ZWJ):
        put_letter(w, point, c)
    elif point == SOFT_HYPHEN:
        pass
    elif (point == 39 or point == RIGHT_QUOTE) and w.in_word and not w.apostrophe:
        w.apostrophe = True
    else:
        put_space(w, 10 if point == 10 else 32)


cdef inline bint plain_letter(Writer* w, uint32_t point, const Character* c) noexcept nogil:
    """Return whether the only rule for a character is lower case; if so, note whether it is cased."""
    if (
        c.flags & (WORD | MARK | NUMBER | IDEOGRAPH | IGNORED) != WORD or point == SIGMA
        or not w.in_word or w.apostrophe or w.sigma != NULL or w.number != NULL
    ):
        return False
    w.cased = c.flags & CASED != 0
    return True


cdef inline bint put_run(const uint8_t* t, uint8_t* out, uint8_t fold, uint8_t digits) noexcept nogil:
    """Convert RUN bytes; return whether that failed: not all are ASCII, or there are apostrophes or numbers."""
    cdef uint8_t byte, letter, digit, wrong = 0
    cdef int k
    for k in range(RUN):
        byte = t[k]
        letter = <uint8_t>((byte | 32) - 97) < 26
        digit = <uint8_t>(byte - 48) < 10
        wrong |= (byte & 0x80) | (byte == 39) | (digit & digits)
        out[k] = byte | fold if letter else byte if digit | (byte == 10) else 32
    return wrong != 0


cdef uint8_t* put_words(const uint8_t* t, int64_t n, bint keep_case, int digits, uint8_t* out) noexcept nogil:
    """Write the words of a text; return the end of the output."""
    cdef const uint8_t* end = t + n
    cdef const uint8_t* stop
    cdef const Character* c
    cdef uint32_t point
    cdef uint8_t last
    cdef Writer w   # the compiler can hold a local variable in registers
    w.out, w.keep_case, w.digits = out, keep_case, digits
    w.in_word = w.ideograph = w.apostrophe = w.cased = False
    w.sigma = w.number = NULL
    while t < end:
        while end - t >= RUN and not put_run(t, w.out, 0 if w.keep_case else 32, w.digits != KEEP):
            t += RUN
            w.out += RUN
            last = (t - 1)[0]
            w.cased = 97 <= last | 32 <= 122
            w.in_word = w.cased or 48 <= last <= 57
        # Read this run by characters, and more text while it depends on a state that `put_run` does not know
        stop = t + RUN if end - t >= RUN else end
        while t < stop or t < end and (w.ideograph or w.apostrophe or w.sigma != NULL or w.number != NULL):
            t += decode(t, &point)
            c = character(point)
            if plain_letter(&w, point, c):
                w.out += encode(point if keep_case else <uint32_t>(<int32_t>point + c.lower), w.out)
            else:
                put_character(&w, point, c)
    end_word(&w)
    if w.out > out and (w.out - 1)[0] != 10:
        put_space(&w, 32)
    return w.out


def words(const uint8_t[::1] text, bint keep_case, int digits) -> bytes:
    """Return a text's words, in lower case and separated by white space, and its newlines.

    Parameters
    ----------
    text : uint8 (n,)
        Valid UTF-8 that neither begins nor ends inside a word.
    keep_case : bool
        Whether words keep their case.
    digits : KEEP, SHAPE or DROP
        What becomes of words that are numbers.

    Returns
    -------
    bytes
        It ends in white space unless it is empty.
    """
    cdef int64_t n = text.shape[0], written
    # The output has at most 2 n bytes: b bytes become b bytes, or 3 if b is 2. A new space replaces a byte of the text,
    # or stands behind an ideograph, which has 3 or 4 bytes.
    cdef bytes result = PyBytes_FromStringAndSize(NULL, 2 * n + RUN)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(result)
    cdef const uint8_t* first = &text[0] if n else out
    with nogil:
        written = put_words(first, n, keep_case, digits, out) - out
    return result[:written]


# ---------------------------------------------------------------- sequences

cdef inline int64_t skip_quotes(const uint8_t* t, int64_t i, int64_t n, bint opening) noexcept nogil:
    """Return the end of the quotation marks and brackets at i: `opening` a sentence, or closing it."""
    cdef uint32_t point
    cdef int64_t size
    while i < n:
        size = decode(t + i, &point)
        if not (
            point == 34 or point == 39
            or opening and (point == 40 or point == 91 or point == 0x201C or point == 0x2018 or point == 0xAB
                            or point == 0xBF or point == 0xA1)
            or not opening and (point == 41 or point == 93 or point == 0x201D or point == 0x2019 or point == 0xBB)
        ):
            break
        i += size
    return i


cdef inline int64_t hyphen_before(const uint8_t* t, int64_t i) noexcept nogil:
    """Return the number of bytes of a hyphen that ends at i, behind a letter; 0 if there is none."""
    cdef int64_t size, k
    if i > 1 and t[i - 1] == 45:
        size = 1
    elif i > 2 and t[i - 2] == 0xC2 and t[i - 1] == SOFT_HYPHEN:
        size = 2
    elif i > 3 and t[i - 3] == 0xE2 and t[i - 2] == 0x80 and t[i - 1] == 0x90:
        size = 3
    else:
        return 0
    k = i - size - 1
    while k > 0 and t[k] & 0xC0 == 0x80:
        k -= 1
    return size if is_letter(t + k) else 0


cdef uint8_t* put_sequences(const uint8_t* t, int64_t n, int unit, bint inside, bint last, uint8_t* out) noexcept nogil:
    """Write the sequences of a text, as :func:`sequences`; return the end of the output."""
    cdef uint8_t stops = NEWLINE | STOP if unit == SENTENCE else NEWLINE
    cdef int64_t i = 0, begin, k, after, newlines, size
    cdef uint32_t point
    cdef bint ends
    while True:
        # i is at white space, or at the beginning or the end of the text
        begin, newlines = i, 0
        while i < n and KINDS[t[i]] & (BLANK | NEWLINE):
            newlines += t[i] == 10
            i += 1
        size = hyphen_before(t, begin) if newlines == 1 and i < n else 0
        if size and is_letter(t + i):
            out -= size
        elif inside and (newlines > 1 and unit != DOCUMENT or last and i == n):
            out[0] = 10
            out += 1
            inside = False
        elif inside and (i > begin or i == n):
            out[0] = 32
            out += 1
        if i == n:
            return out
        # A passage up to white space with a newline in it, or up to the end of a sentence
        inside, begin, ends = True, i, False
        while i < n:
            if not KINDS[t[i]] & stops:
                i += 1
                continue
            if t[i] == 10:
                while KINDS[t[i - 1]] & BLANK:
                    i -= 1
                break
            i += 1
            k = skip_quotes(t, i, n, False)
            after = k
            while after < n and KINDS[t[after]] & (BLANK | NEWLINE):
                after += 1
            if k < after < n:
                after = skip_quotes(t, after, n, True)
                if after < n:
                    decode(t + after, &point)
                    if character(point).flags & CAPITAL:
                        i, ends = k, True
                        break
        memcpy(out, t + begin, i - begin)
        out += i - begin
        if ends:
            out[0] = 10
            out += 1
            inside = False


def sequences(const uint8_t[::1] text, int unit, bint inside, bint last) -> bytes:
    """Return a text that has a newline at the end of each sequence, and nowhere else.

    Parameters
    ----------
    text : uint8 (n,)
        Valid UTF-8: a text, or a part of a text that ends where
        :func:`fastembed.corpus.chunks.cut_for` says.
    unit : PARAGRAPH, SENTENCE or DOCUMENT
        What a sequence of the result is.
    inside : bool
        Whether the text continues a sequence that is not empty.
    last : bool
        Whether the last sequence ends with the text.

    Returns
    -------
    bytes
    """
    cdef int64_t n = text.shape[0], written
    cdef bytes result = PyBytes_FromStringAndSize(NULL, n + 1)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(result)
    cdef const uint8_t* first = &text[0] if n else out
    with nogil:
        written = put_sequences(first, n, unit, inside, last, out) - out
    return result[:written]
