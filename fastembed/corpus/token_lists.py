"""Lists of tokens: read from a file, checked, and one of English function words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fastembed._base.printable import shown
from fastembed.corpus.document_blocks import SPACES

# Articles, pronouns, prepositions, conjunctions, auxiliary verbs and the like, in lower case
_ENGLISH = """
    a about above after again against all also although am among an and another any are around as at be because been
    before being below between both but by can could did do does doing during each either few for from had has have
    having he her here hers herself him himself his how however i if in into is it its itself just many may me might
    mine more most much must my myself neither no nor not of off on once one only onto or other our ours ourselves out
    over own same shall she should since so some such than that the their theirs them themselves then there therefore
    these they this those though through thus to too toward towards under unless until up upon us very was we were what
    when where whether which while who whom whose why will with within without would yet you your yours yourself
    yourselves
    """
ENGLISH = tuple(_ENGLISH.split())


def check_token_list(name: str, tokens: Iterable[str] | str) -> tuple[str, ...]:
    """Return the different tokens of a list, or those of "english", in order.

    Parameters
    ----------
    name : str
        What the list is called in an error.
    tokens : iterable of str or "english"

    Raises
    ------
    TypeError
        If it is another str, can be read only once, or an item is not a str.
    ValueError
        If it holds no token.

    Examples
    --------
    >>> check_token_list("drop", ["the", "of", "the"]), check_token_list("drop", "english")[:3]
    (('of', 'the'), ('a', 'about', 'above'))
    """
    if isinstance(tokens, str) and tokens == "english":
        return ENGLISH
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
        raise TypeError(f"{name} must be a list of tokens or 'english', got {shown(tokens)}")
    if iter(tokens) is tokens:
        raise TypeError(f"{name} must be a list of tokens, which can be read again, got {shown(tokens)}")
    found = list(tokens)
    if not found:
        raise ValueError(f"{name} must hold at least one token, got an empty list")
    for token in found:
        if not isinstance(token, str):
            raise TypeError(f"{name} must hold strings, got {shown(token)}")
    return tuple(sorted(set(found)))


def read_token_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    r"""Return the different tokens of a file that has one per line.

    Parameters
    ----------
    path : path-like
        UTF-8. What follows a tab in a line is not read, as the counts in the file of a vocabulary.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not valid UTF-8, or holds no token.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "words.tsv").write_bytes(b"the\t7\n\ncat\n")
    ...     read_token_list(f"{folder}/words.tsv")
    ('the', 'cat')
    """
    lines = (line.partition("\t")[0].strip(SPACES.decode()) for line in read_lines(path))
    tokens = tuple(dict.fromkeys(filter(None, lines)))
    if not tokens:
        raise ValueError(f"{str(path)!r} holds no token: one per line was expected")
    return tokens


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a file, without a byte order mark.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not valid UTF-8.
    """
    data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{str(path)!r} is not valid UTF-8 at line {line}: {error.reason}") from None
