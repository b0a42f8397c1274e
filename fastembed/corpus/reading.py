"""`Reading`: how a text becomes tokens, whether it stands in files or in memory."""

from __future__ import annotations

import numbers
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from operator import index
from typing import Any
from unicodedata import normalize

from fastembed._base.estimator import fields_alone
from fastembed._base.threads import cached_property
from fastembed._base.validation import check_choice, check_flag, shown
from fastembed._kernels import words as kernels
from fastembed._kernels.tokens import PhraseTable

# The kernels split text at ASCII white space. Inside a token of a list, bytes that never occur in UTF-8 replace white
# space; one more such byte stands for an empty token
SPACES = b" \t\n\v\f\r"
NO_SPACES = b"\xf8\xf9\xfa\xfb\xfc\xfd"  # no byte of UTF-8 is above F4
EMPTY = b"\xfe"

_escape = bytes.maketrans(SPACES, NO_SPACES)
_unescape = bytes.maketrans(NO_SPACES, SPACES)

LONGEST = 8  # largest number of words of a phrase
GLUE = ord("_")  # between the words of a phrase
NOTHING = "matches the empty string, which is no token: write + instead of *"
DIGITS = {"keep": kernels.KEEP, "shape": kernels.SHAPE, "drop": kernels.DROP}
ACCENTED = re.compile(rb"[\xcc\xcd][^ \n]*")  # a word from its first combining accent on, in UTF-8
LOCALES = ("tr", "az")  # languages that distinguish i with and without a dot in both cases
# "line" needs no kernel
UNITS = {"paragraph": kernels.PARAGRAPH, "sentence": kernels.SENTENCE, "document": kernels.DOCUMENT}
NOT_ESCAPED = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # without U+DC80 to U+DCFF, which stand for bytes


@dataclass(frozen=True)
class Reading:
    r"""How a text becomes sequences of tokens: by default a line is a sequence, and ASCII white space separates tokens.

    Attributes
    ----------
    lowercase : bool
        Whether the text is converted to lower case first.
    words : bool
        Whether tokens are words, in lower case: letters and digits, with single apostrophes inside. Each Han ideograph
        and kana is a word.
    keep_case : bool
        Whether `words` keeps capitals.
    digits : {"keep", "shape", "drop"}
        What `words` does with words of digits alone: keep them, make each digit a 0, or drop them.
    locale : {"tr", "az"}, optional
        For lower case in Turkish and Azeri, where I is the capital of U+0131, an i without a dot.
    unit : {"line", "paragraph", "document", "sentence"}
        What a sequence is. A paragraph ends at an empty line, a document with the file, and a sentence also after
        ``.``, ``!`` or ``?`` before a capital. Lines inside a sequence are joined, and hyphens at their ends dropped.
    token_pattern : str, optional
        A regular expression, whose matches in a sequence are its tokens.
    tokenizer : callable, optional
        A function from a sequence (str) to its tokens, instead of a `token_pattern`. Both run in Python, and are slow.
    phrases : iterable of phrases, optional
        Neighbouring tokens to join with ``_``, after all other options: a :class:`Phrases`, or an iterable of phrases.
    errors : {"strict", "replace"}
        What to do with bytes that are not valid UTF-8: raise an error, or put U+FFFD in their place.

    Notes
    -----
    A word begins with a letter or digit, and goes on with letters, combining marks, digits (Unicode's general
    categories L, M and N) and joiners (U+200C, U+200D). An apostrophe is ' or U+2019, and becomes '. Soft hyphens are
    dropped. Letters and the accents behind them (U+0300 to U+036F) are one character, as in Unicode's form NFC. Lower
    case is that of `str.lower`, but U+0130, a capital i with a dot, becomes i. A sentence may have quotation marks and
    brackets behind its end; no abbreviations are known.

    Examples
    --------
    >>> Reading(words=True).sequences("To be,\nor not.")
    [['to', 'be'], ['or', 'not']]
    >>> Reading(words=True, unit="sentence").sequences("Who's that, exam-\nple 10? It's I.")
    [["who's", 'that', 'example', '10'], ["it's", 'i']]
    """

    lowercase: bool = False
    words: bool = False
    keep_case: bool = False
    digits: str = "keep"
    locale: str | None = None
    unit: str = "line"
    token_pattern: str | None = None
    tokenizer: Callable[[str], Iterable[str]] | None = None
    phrases: Iterable[str | Sequence[str]] | None = None
    errors: str = "strict"

    def __post_init__(self) -> None:
        for name in ("lowercase", "words", "keep_case"):
            vars(self)[name] = check_flag(name, getattr(self, name))
        check_choice("errors", self.errors, ("strict", "replace"))
        check_choice("digits", self.digits, tuple(DIGITS))
        check_choice("unit", self.unit, ("line", *UNITS))
        if not self.words:
            for name, default in (("keep_case", False), ("digits", "keep")):
                if (value := getattr(self, name)) != default:
                    raise ValueError(f"{name}={value!r} needs words=True")
        elif self.tokenizer is not None or self.token_pattern is not None:
            raise ValueError("words=True contradicts a token_pattern or tokenizer: pass only one of the three")
        if self.locale is not None:
            check_choice("locale", self.locale, LOCALES)
            if self.keep_case or not (self.words or self.lowercase):
                raise ValueError(f"locale={self.locale!r} is for lower case: it needs words=True or lowercase=True")
        if self.keep_case and self.lowercase:
            raise ValueError("keep_case=True contradicts lowercase=True")
        if self.tokenizer is not None and not callable(self.tokenizer):
            raise TypeError(f"tokenizer must be a function from a text to its tokens, or None, got {self.tokenizer!r}")
        if self.token_pattern is not None:
            check_pattern(self.token_pattern)
            if self.tokenizer is not None:
                raise ValueError(f"give token_pattern={self.token_pattern!r} or tokenizer, not both")
        if self.phrases is not None:
            vars(self)["phrases"] = check_phrases(self.phrases)

    @property
    def compiled(self) -> bool:
        """Whether compiled code finds the tokens: there is neither a tokenizer nor a pattern."""
        return self.tokenizer is None and self.token_pattern is None

    def tokens(self, sequence: bytes) -> list[str]:
        r"""Return the tokens of one sequence, to which all other options have been applied.

        The tokenizer or the pattern finds the tokens, and then phrases are joined. Without a tokenizer and a pattern,
        white space separates the tokens, and phrases are joined already.

        Parameters
        ----------
        sequence : bytes
            Without the newline at its end.

        Returns
        -------
        list of str

        Examples
        --------
        >>> Reading(tokenizer=list).tokens(b"ab\r")
        ['a', 'b']
        """
        if not self.compiled:
            text = sequence.removesuffix(b"\r").decode()
            matches = re.findall(self.token_pattern or "", text) if self.tokenizer is None else self.tokenizer(text)
            tokens = token_list(matches, f"what the tokenizer made of {shown(text)}")
            if self.token_pattern is not None and "" in tokens:
                raise ValueError(f"{self.token_pattern!r} {NOTHING} in {shown(text)}")
            return tokens if self.phrases is None else join_phrases(tokens, self._phrase_table)
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

        Examples
        --------
        >>> Reading().sequences("To be,\nor not.")
        [['To', 'be,'], ['or', 'not.']]
        """
        if not isinstance(document, str):
            raise TypeError(f"a document must be a str, got {shown(document)}")
        try:
            text = document.encode()
        except UnicodeEncodeError as error:
            if self.errors == "strict":
                raise ValueError(f"the text {shown(document)} has no UTF-8 form: {error}") from error
            text, _ = replace_surrogates(document)
        return list(map(self.tokens, apply_valid(self, text).split(b"\n")[:-1]))

    def token(self, word: str, known: Container[str]) -> str:
        """Return the token that a word becomes by this reading; the word itself if it becomes no single token.

        A word that cannot be read stays as it is.

        Parameters
        ----------
        word : str
        known : container of str
            All tokens. A word among them stays as it is.

        Returns
        -------
        str

        Examples
        --------
        >>> Reading(words=True).token("London,", ["london"]), Reading(words=True).token("New York", ["new", "york"])
        ('london', 'New York')
        """
        if word in known:
            return word
        try:
            read = list(chain.from_iterable(self.sequences(word)))
        except ValueError:  # a word without a UTF-8 form, or a `MissingTokenizer`
            return word
        return read[0] if len(read) == 1 else word

    def record(self) -> dict[str, Any]:
        """Return the options that are not the defaults, as JSON can hold them.

        Returns
        -------
        dict
            A tokenizer is recorded by its name. `errors` is left out: it does not change the tokens of a valid text.

        Examples
        --------
        >>> Reading(words=True, digits="shape", errors="replace").record()
        {'words': True, 'digits': 'shape'}
        """
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        record = {name: value for name, (value, default) in values.items() if value != default and name != "errors"}
        if self.tokenizer is not None:
            record["tokenizer"] = tokenizer_name(self.tokenizer)
        if self.phrases is not None:
            record["phrases"] = [list(phrase) for phrase in self.phrases]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Reading:
        """Return the reading that a record describes.

        Parameters
        ----------
        record : mapping
            The result of :meth:`record`. A recorded tokenizer becomes one that raises ValueError when it is called.

        Examples
        --------
        >>> Reading.from_record({"words": True})
        Reading(words=True)
        """
        if not isinstance(record, Mapping) or set(record) - {field.name for field in fields(cls)}:
            raise TypeError(f"a reading must be a record of its options, got {record!r}")
        values = dict(record)
        if "tokenizer" in values:
            values["tokenizer"] = MissingTokenizer(str(values["tokenizer"]))
        return cls(**values)

    def __repr__(self) -> str:
        values = {name: repr(value) for name, value in self.record().items()}
        if self.phrases is not None:
            values["phrases"] = f"<{phrases_text(tuple(self.phrases))}>"
        return f"Reading({', '.join(f'{name}={value}' for name, value in values.items())})"

    @cached_property
    def _phrase_table(self) -> PhraseTable:
        assert self.phrases is not None
        return phrase_table(self.phrases)

    __getstate__ = fields_alone


def apply_valid(reading: Reading, text: bytes, inside: bool = False, last: bool = True) -> bytes:
    r"""Return a text in which each sequence ends in ``\n``, and white space separates its tokens.

    `Reading.tokens` applies a tokenizer or a pattern to each of these sequences. The text must be valid UTF-8, or the
    kernels would read beyond its end.

    Parameters
    ----------
    text : bytes
        A whole text, or a part of one, in valid UTF-8.
    inside : bool
        Whether the text continues a sequence that is not empty.
    last : bool
        Whether no further part of the text follows.
    """
    if reading.unit != "line":
        text = kernels.sequences(text, UNITS[reading.unit], inside, last)
    elif last and text and not text.endswith(b"\n"):
        text += b"\n"
    if reading.locale is not None:
        text = text.replace("I\u0307".encode(), b"i").replace(b"I", "\u0131".encode())
    if reading.words:
        text = _composed(kernels.words(text, reading.keep_case, DIGITS[reading.digits]))
    elif reading.lowercase:
        text = text.lower() if text.isascii() else text.decode().lower().replace("i\u0307", "i").encode()
    if reading.compiled and reading.phrases is not None:
        text = reading._phrase_table.join(text, GLUE)
    return text


def _composed(text: bytes) -> bytes:
    """Return words in which each letter and the accents behind it are one character, if Unicode has it.

    Only words with combining accents, U+0300 to U+036F, are composed, so that a word is read the same in any text.
    """
    parts, end = list[bytes](), 0
    for match in ACCENTED.finditer(text) if b"\xcc" in text or b"\xcd" in text else ():
        first = max(text.rfind(b" ", end, match.start()), text.rfind(b"\n", end, match.start())) + 1 or end
        parts += text[end:first], normalize("NFC", text[first : match.end()].decode()).replace("i\u0307", "i").encode()
        end = match.end()
    return b"".join([*parts, text[end:]]) if parts else text


def checked_reading(reading: Any) -> Reading:
    """Return the reading, or the default reading for None; raise TypeError for anything else."""
    if reading is None:
        return Reading()
    if not isinstance(reading, Reading):
        raise TypeError(f"reading must be a fastembed.corpus.Reading or None, got {shown(reading)}")
    return reading


@dataclass(frozen=True)
class MissingTokenizer:
    """The tokenizer of a model that was read from a file: the file has only the name of the tokenizer."""

    name: str

    def __call__(self, text: str) -> list[str]:
        """Raise ValueError."""
        raise ValueError(f"the file lacks the tokenizer {self.name}: pass tokens, or call set_params(reading=...)")


def tokenizer_name(tokenizer: Any) -> str:
    """Return the name by which a tokenizer is recorded.

    Examples
    --------
    >>> tokenizer_name(str.split), tokenizer_name(re.compile("a").findall)
    ('str.split', 'Pattern.findall')
    """
    if isinstance(tokenizer, MissingTokenizer):
        return tokenizer.name
    return str(getattr(tokenizer, "__qualname__", type(tokenizer).__qualname__))


def check_pattern(pattern: Any) -> None:
    """Raise TypeError or ValueError unless a pattern is a regular expression without a group or an empty match.

    Examples
    --------
    >>> check_pattern("[a-z]*")
    Traceback (most recent call last):
        ...
    ValueError: token_pattern '[a-z]*' matches the empty string, which is no token: write + instead of *
    """
    if not isinstance(pattern, str):
        raise TypeError(f"token_pattern must be a regular expression as a str, got {pattern!r}")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"token_pattern {pattern!r} is not a regular expression: {error}") from None
    if compiled.groups:
        raise ValueError(f"token_pattern {pattern!r} has a group: write (?:...) in place of (...)")
    if compiled.search(""):  # `Reading.tokens` rejects an empty match in any other text
        raise ValueError(f"token_pattern {pattern!r} {NOTHING}")


def replace_surrogates(text: str) -> tuple[bytes, int]:
    r"""Return a text as UTF-8 with U+FFFD in place of surrogates and invalid bytes, and how many U+FFFD are new.

    Parameters
    ----------
    text : str
        U+DC80 to U+DCFF stand for invalid bytes, as the error handler `surrogateescape` decodes them.

    Examples
    --------
    >>> replace_surrogates("a\ud800 \udce4\udcb8")
    (b'a\xef\xbf\xbd \xef\xbf\xbd', 2)
    """
    text, replaced = NOT_ESCAPED.subn("\ufffd", text)
    valid = text.encode(errors="surrogateescape").decode(errors="replace")
    return valid.encode(), replaced + valid.count("\ufffd") - text.count("\ufffd")


def token_list(item: Iterable[Any], where: str) -> list[str]:
    """Return a sequence of str or of int as a list of str; raise TypeError for anything else.

    A set is sorted, since its order differs from process to process.

    Parameters
    ----------
    where : str
        The name of the sequence, for messages.
    """
    if isinstance(item, str | bytes | bytearray | memoryview | os.PathLike | Mapping):
        raise TypeError(f"{where} is {shown(item)}, where a list of tokens is expected")
    try:
        tokens = item if isinstance(item, list) else sorted(item) if isinstance(item, set | frozenset) else list(item)
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


def check_phrases(phrases: Any) -> tuple[tuple[str, ...], ...]:
    """Return the tokens of each phrase of a list; raise as :class:`Phrases` does."""
    if isinstance(phrases, str | bytes) or not isinstance(phrases, Iterable):
        raise TypeError(f"phrases must be a list of phrases, got {shown(phrases)}")
    checked = tuple(map(phrase_words, phrases))
    if not checked:
        raise ValueError("a list of phrases needs at least one, got none")
    if len(set(checked)) < len(checked):
        twice = next(phrase for phrase, times in Counter(checked).items() if times > 1)
        raise ValueError(f"the phrase {' '.join(twice)!r} occurs twice")
    return checked


def phrases_text(phrases: Sequence[Any]) -> str:
    """Return a list of phrases in words, for its repr."""
    return f"Phrases: {len(phrases):,}, such as {' '.join(phrases[0])!r}"


def join_phrases(tokens: list[str], table: PhraseTable) -> list[str]:
    """Return the tokens of a sequence, with the tokens of each phrase joined into one."""
    return split_tokens(table.join(join_tokens(tokens), GLUE))


def phrase_table(phrases: Iterable[Sequence[str]]) -> PhraseTable:
    """Return the compiled form of a list of phrases."""
    table = PhraseTable()
    for words in phrases:
        table.insert([token_bytes(word) for word in words])
    return table


def phrase_words(phrase: Any) -> tuple[str, ...]:
    """Return the tokens of a phrase; raise TypeError or ValueError for anything else."""
    if isinstance(phrase, str):
        words = tuple(token.decode(errors="surrogatepass") for token in phrase.encode(errors="surrogatepass").split())
    elif isinstance(phrase, Iterable) and not isinstance(phrase, bytes):
        words = tuple(phrase)
    else:
        raise TypeError(f"a phrase must be a str or a sequence of str, got {shown(phrase)}")
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"the tokens of a phrase must be strings, got {shown(word)} in {shown(phrase)}")
    if not (2 <= len(words) <= LONGEST and all(words)):
        what = f"{len(words)} token{'s' * (len(words) != 1)}" if all(words) else "an empty token"
        raise ValueError(f"a phrase has from 2 to {LONGEST} tokens, as in 'new york'; {shown(phrase)} has {what}")
    return words


def join_tokens(tokens: Sequence[str]) -> bytes:
    r"""Return tokens as text with white space between tokens and nowhere else.

    Examples
    --------
    >>> join_tokens(["the", "new york", ""])
    b'the new\xf8york \xfe'
    """
    text = " ".join(tokens).encode(errors="surrogatepass")
    spaces = len(text) - len(text.translate(None, SPACES))
    if spaces == max(len(tokens) - 1, 0) and all(tokens):
        return text
    return b" ".join(map(token_bytes, tokens))


def split_tokens(text: bytes) -> list[str]:
    r"""Return the tokens that :func:`join_tokens` joined.

    Examples
    --------
    >>> split_tokens(b"the new\xf8york \xfe")
    ['the', 'new york', '']
    """
    return list(map(token_from_bytes, text.split()))


def token_bytes(token: str) -> bytes:
    """Return a token in UTF-8, with `NO_SPACES` in place of white space."""
    return token.encode(errors="surrogatepass").translate(_escape) or EMPTY


def token_from_bytes(text: bytes) -> str:
    """Return the token that :func:`token_bytes` wrote."""
    return "" if text == EMPTY else text.translate(_unescape).decode(errors="surrogatepass")
