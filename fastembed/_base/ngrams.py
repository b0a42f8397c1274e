"""The character n-grams of a word."""

from __future__ import annotations


def character_ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """Return the n-grams of a word between ``<`` and ``>``, by where they begin, then by length.

    ``<`` and ``>`` alone are none.

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
    return [
        text[start:end]
        for start in range(len(text))
        for end in range(start + max(shortest, 1), min(start + longest, len(text)) + 1)
        if end - start > 1 or 0 < start < len(text) - 1
    ]
