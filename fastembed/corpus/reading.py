"""`Reading`: how a text becomes tokens, whether it stands in files or in memory."""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

from fastembed._base.printable import shown
from fastembed._base.validation import check_choice, check_flag


@dataclass(frozen=True)
class Reading:
    r"""How a text becomes sequences of tokens.

    A text is UTF-8. By default a line is a sequence, and ASCII white space separates its tokens.

    Attributes
    ----------
    lowercase : bool
        Whether the text is converted to lower case first.
    token_pattern : str, optional
        A regular expression with one group at most, whose matches in a sequence, or the group's, are its tokens.
    tokenizer : callable, optional
        Returns the tokens of a sequence, a str. This and `token_pattern` run in Python, which is much slower than
        splitting at white space, and exclude each other.
    errors : {"strict", "replace"}
        What to do with bytes that are not valid UTF-8: raise an error, or put U+FFFD in their place.

    Raises
    ------
    TypeError, ValueError
        If a value is not as above, or the pattern matches the empty string.

    Examples
    --------
    >>> Reading(lowercase=True, token_pattern=r"\w+").sequences("To be,\nor not.")
    [['to', 'be'], ['or', 'not']]
    """

    lowercase: bool = False
    token_pattern: str | None = None
    tokenizer: Callable[[str], Iterable[str]] | None = None
    errors: str = "strict"

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowercase", check_flag("lowercase", self.lowercase))
        check_choice("errors", self.errors, ("strict", "replace"))
        if self.tokenizer is not None and not callable(self.tokenizer):
            raise TypeError(f"tokenizer must be a function from a text to its tokens, or None, got {self.tokenizer!r}")
        if self.token_pattern is not None:
            try:
                check_pattern(self.token_pattern)
            except ValueError as error:
                raise ValueError(f"token_pattern {error}") from None
            if self.tokenizer is not None:
                raise ValueError(f"give token_pattern={self.token_pattern!r} or tokenizer, not both")

    @property
    def compiled(self) -> bool:
        """Whether ASCII white space separates the tokens of what :meth:`apply` returns, so compiled code splits it."""
        return self.tokenizer is None and self.token_pattern is None

    def apply(self, text: bytes) -> bytes:
        r"""Return a text as UTF-8 in which each sequence ends in \\n, and white space separates its tokens.

        Parameters
        ----------
        text : bytes
            Valid UTF-8 that neither begins nor ends inside a token.

        Returns
        -------
        bytes
            Where there is a tokenizer or a pattern, it is applied to each sequence of this.

        Examples
        --------
        >>> Reading(lowercase=True).apply("Éa B\n".encode()).decode()
        'éa b\n'
        """
        if self.lowercase:
            text = text.lower() if text.isascii() else text.decode().lower().encode()
        return text

    def tokens(self, sequence: bytes) -> list[str]:
        r"""Return the tokens of one sequence of what :meth:`apply` returned.

        Parameters
        ----------
        sequence : bytes
            Without the newline at its end.

        Returns
        -------
        list of str

        Raises
        ------
        TypeError
            If the tokenizer returns no strings.

        Examples
        --------
        >>> Reading(tokenizer=list).tokens(b"ab\r")
        ['a', 'b']
        """
        if not self.compiled:
            text = sequence.removesuffix(b"\r").decode()
            return token_list(self._tokenize(text), f"what the tokenizer made of {shown(text)}")
        words = b" ".join(sequence.split()).decode()  # str.split would split at other Unicode spaces as well
        return words.split(" ") if words else []

    def sequences(self, document: str) -> list[list[str]]:
        r"""Return the tokens of each sequence of a text in memory.

        Parameters
        ----------
        document : str

        Returns
        -------
        list of list of str

        Raises
        ------
        ValueError
            If the text has surrogates, which UTF-8 does not have, unless `errors` is "replace".
        TypeError
            If the tokenizer returns no strings.

        Examples
        --------
        >>> Reading().sequences("To be,\nor not.")
        [['To', 'be,'], ['or', 'not.']]
        """
        try:
            text = document.encode()
        except UnicodeEncodeError as error:
            if self.errors == "strict":
                raise ValueError(f"the text {shown(document)} has no UTF-8 form: {error}") from error
            text = document.encode(errors="surrogatepass").decode(errors="replace").encode()
        *sequences, rest = self.apply(text).split(b"\n")
        return list(map(self.tokens, [*sequences, rest] if rest else sequences))

    @cached_property
    def _tokenize(self) -> Callable[[str], Iterable[str]]:
        """The tokenizer, or the function that finds the pattern."""
        if self.token_pattern is not None:
            return re.compile(self.token_pattern).findall
        assert self.tokenizer is not None
        return self.tokenizer


def check_pattern(pattern: Any) -> None:
    """Raise TypeError or ValueError for what is not the regular expression of a token.

    Parameters
    ----------
    pattern : object

    Examples
    --------
    >>> check_pattern("[a-z]*")
    Traceback (most recent call last):
        ...
    ValueError: '[a-z]*' matches the empty string, not a token; write + instead of *
    """
    if not isinstance(pattern, str):
        raise TypeError(f"token_pattern must be a regular expression as a str, got {pattern!r}")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if compiled.groups > 1:
        raise ValueError(f"{pattern!r} has {compiled.groups} groups; write (?:...) for all but one")
    if compiled.search(""):
        raise ValueError(f"{pattern!r} matches the empty string, not a token; write + instead of *")


def token_list(item: Iterable[Any], where: str) -> list[str]:
    """Return a sequence of str or of int as a list of str; raise TypeError for anything else.

    Parameters
    ----------
    item : iterable of str or int
    where : str
        What the message calls it.
    """
    if isinstance(item, str | bytes | os.PathLike):
        raise TypeError(
            f"{where} is {shown(item)}, where a list of tokens is expected; split a text into tokens, "
            "and name several files by pathlib.Path objects"
        )
    try:
        tokens = item if isinstance(item, list) else list(item)
    except TypeError:
        raise TypeError(f"{where} is {shown(item)}, where a list of tokens is expected") from None
    kinds = set(map(type, tokens))
    if all(issubclass(kind, str) for kind in kinds):
        return tokens
    integers = {kind for kind in kinds if issubclass(kind, numbers.Integral) and not issubclass(kind, bool)}
    if integers == kinds:
        return [str(index(token)) for token in tokens]
    for token in tokens:
        if type(token) not in integers and not isinstance(token, str):
            raise TypeError(f"{where} holds {shown(token)}, where a token (str or int) is expected")
    raise TypeError(f"{where} mixes strings and integers: {shown(tokens)}")
