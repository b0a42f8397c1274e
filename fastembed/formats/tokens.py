"""Tokens as files hold them: in UTF-8, each once."""

import re
from collections.abc import Sequence


def encode_tokens(
    tokens: Sequence[str], forbidden: str | None = None, reason: str = "", errors: str = "strict"
) -> list[bytes]:
    r"""Return the tokens in UTF-8.

    Parameters
    ----------
    tokens : sequence of str
    forbidden : str, optional
        A regular expression; tokens in which it is found are rejected.
    reason : str
        Why they are rejected, for the error.
    errors : str
        As for :meth:`str.encode`.

    Raises
    ------
    ValueError
        If a token is rejected, or has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> encode_tokens(["größe"])
    [b'gr\xc3\xb6\xc3\x9fe']
    >>> encode_tokens(["new york"], " ", "has a space")
    Traceback (most recent call last):
        ...
    ValueError: token 'new york' has a space
    """
    if forbidden is not None:
        search = re.compile(forbidden).search
        for token in tokens:
            if search(token):
                raise ValueError(f"token {token!r} {reason}")
    try:
        return [token.encode(errors=errors) for token in tokens]
    except UnicodeEncodeError as error:
        raise ValueError(f"token {error.object!r} has no UTF-8 form: {error.reason}") from error


def add_token(name: bytes, position: int, seen: dict[str, int], where: str, unit: str) -> None:
    """Decode a token that has been read and add it to those read before.

    Parameters
    ----------
    name : bytes
        The token in UTF-8.
    position : int
        Its line or byte.
    seen : dict
        Tokens and their positions; the token is added.
    where, unit : str
        The position and its unit in words, for errors.

    Raises
    ------
    ValueError
        If the token is not UTF-8, or was read before.

    Examples
    --------
    >>> add_token(b"one", 7, {"one": 3}, "'v.txt', line 7", "line")
    Traceback (most recent call last):
        ...
    ValueError: 'v.txt', line 7: the token 'one' is at line 3 too
    """
    try:
        token = name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    if (first := seen.setdefault(token, position)) != position:
        raise ValueError(f"{where}: the token {token!r} is at {unit} {first} too")
