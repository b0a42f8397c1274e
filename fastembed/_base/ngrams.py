"""The character n-grams of a word."""

from __future__ import annotations

LONGEST_NGRAM = 100  # characters; far above what anybody uses, and a bound for the memory of long words


def character_ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """Return the n-grams of a word between ``<`` and ``>``, by where they begin, then by length.

    ``<`` and ``>`` alone are not n-grams.

    Parameters
    ----------
    word : str
    shortest, longest : int
        In characters (Unicode code points).

    Examples
    --------
    >>> character_ngrams("où", 1, 3)
    ['<o', '<où', 'o', 'où', 'où>', 'ù', 'ù>']
    """
    text = f"<{word}>"
    size, least = len(text), max(shortest, 1)
    return [
        text[start:end]
        for start in range(size - least + 1)
        for end in range(start + least, min(start + longest, size) + 1)
        if end - start > 1 or 0 < start < size - 1
    ]
