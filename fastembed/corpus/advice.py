"""Advice on how a text is read: warnings that it looks like something else, or would be better read in another way."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice, pairwise
from typing import Any

from fastembed._base.validation import shown, warn_user
from fastembed.corpus.corpus import Corpus, DocumentCorpus, FileCorpus
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import DocumentBlock
from fastembed.corpus.reading import Reading, split_tokens

SAMPLE_BYTES, SAMPLE_TOKENS = 1 << 16, 10_000
MOST_PUNCTUATED = 0.02  # the share of tokens that end in punctuation in a text whose words have been separated
MOST_JOINED = 0.25  # of the tokens hold a comma between letters, in a text that is no list
MOST_SPACES = 1.5  # inside of a token of a list, on average
# The share of characters in long runs of a script without spaces, in a text that has been separated
MOST_UNSPACED = 0.3
LEAST_COMPOSED = 0.998  # the characters of a text whose accents are joined, in those that it has
LABELLED = "{} is a label of fastText, and so a word here: sed 's/__label__[^ ]*//g', or re.sub, removes all of them"
LEAST_LINES = 20  # fewer lines do not show whether a text is wrapped

# An item as it is read where more than spaces separate items
_MARKED = re.compile(r"[^ ]*(,[^ ]*|[;:|\"])")
_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+")
_JOINED = re.compile(r"\S*[^\W\d_],[^\W\d_]\S*")
_EMPTY_LINE = re.compile(rb"\n[ \t\r\f\v]*\n")
# Han and kana, which `words` separates; Thai, Lao, Burmese, Khmer: longer than most words
_UNSPACED = re.compile(
    "(?P<ideographs>[\u3040-\u30ff\u3400-\u9fff]{6,})|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{20,}"
)
# Marks at the end of a word, those of Arabic, Urdu and Hindi and quotes too; few, for the time that a match may take
_MARKS = r"[.,;:!?\"')\]}]|" + "|".join("\u060c\u061b\u061f\u06d4\u0964\u0965\u2019\u201d\xbb\u2026")
_PUNCTUATED = re.compile(
    rb"(?<![^ \t\n\v\f\r])[^ \t\n\v\f\r]*[0-9A-Za-z\x80-\xff](?:%b){1,9}(?![^ \t\n\v\f\r])" % _MARKS.encode()
)


class ReadingAdvice(UserWarning):
    """A text would be better read in another way.

    Parameters
    ----------
    found : str
        What the text looks like.
    effect : str
        What the other way reads.
    changes : dict
        Options of `Reading`; none if it is no other reading that helps.
    reading : Reading
        How it is read, except for the changes.
    """

    def __init__(self, found: str, effect: str, changes: dict[str, Any], reading: Reading) -> None:
        options = reading.record() | changes
        how = ", ".join(f"{name}={'...' if name == 'phrases' else repr(value)}" for name, value in options.items())
        super().__init__(found + f"; reading=fastembed.corpus.Reading({how}) reads {effect}" * bool(changes))
        new = " ".join(f"{name}={value!r}" for name, value in changes.items())
        self.changes = found + f"; {new} reads {effect}" * bool(changes)  # without the options that there are


def advise(corpus: Corpus, *, baskets: bool = False) -> None:
    r"""Warn if another reading would suit a text, by its first 64 KiB, or if lists of tokens look like raw text.

    Parameters
    ----------
    baskets : bool
        Whether each sequence is a basket: items may have any name, and edges of a graph are noticed elsewhere.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     advise(DocumentCorpus(["He went to London, at last.\n" * 9]))
    >>> caught[0].message.changes
    "33 % of the tokens end in punctuation, such as 'London,'; words=True reads words without it"
    """
    text, parts = b"", len(corpus.names) if isinstance(corpus, FileCorpus) else 0
    for block in corpus.blocks(Ledger()):
        if isinstance(block, DocumentBlock):
            if block.tokens:
                _advise_of_lists(corpus, block, given=not parts, baskets=baskets)
                return
            parts += len(block.documents)
        text += block.text[: SAMPLE_BYTES - len(text)]
        if len(text) == SAMPLE_BYTES:
            break
    if b"\0" in text:  # no text, which reading will find
        return
    reading, characters = corpus.reading, text.decode(errors="ignore")
    if text.lstrip().startswith(b'{"'):
        found = "the lines are JSON: field=... reads a field of files, or of dicts, which json.loads makes"
        warn_user(ReadingAdvice(found, "", {}, reading))
        return
    seen = list(_of_words(reading, text, characters, baskets=baskets))
    seen += [(found, f"whole {unit}s", {"unit": unit}) for found, unit in _of_units(reading, text, parts)]
    seen += [(found, "", {}) for found in _of_format(reading, text, characters, baskets=baskets)]
    plain = reading.compiled and not reading.words
    if baskets and plain:
        warn_of_lines(list(filter(None, map(str.split, characters.split("\n")[:-1]))))
    if plain and not seen and (edges := _edges(text, weighted=baskets)):
        seen = [(edges, "", {})]
    if seen:
        changes = {name: value for _, _, change in seen for name, value in change.items()}
        effect = " of ".join(effect for _, effect, _ in reversed(seen) if effect)
        warn_user(ReadingAdvice(", and ".join(found for found, _, _ in seen), effect, changes, reading))


def advise_known(sequences: Iterable[list[str]], known: Container[str], reading: Reading) -> list[str]:
    """Return the first 10,000 tokens of a text; warn if a model would know more of them if they were read as words.

    Parameters
    ----------
    sequences : iterable of lists of str
        The text as it is read.
    known : container of str
        The tokens of the model.
    reading : Reading
        How texts are read; lists are as they are.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = advise_known([["London,", "at", "last"]], ["london", "at"], Reading())
    >>> caught[0].message.changes
    "33 % of the tokens are unknown, but known as words, such as 'London,' as 'london'; words=True reads texts so"
    """
    tokens = [token for token in islice(chain.from_iterable(sequences), SAMPLE_TOKENS) if "\n" not in token]
    most, found, chosen, times = MOST_PUNCTUATED * len(tokens), "", dict[str, Any](), Counter(tokens)
    choices: list[dict[str, Any]] = [{"words": True}, {"words": True, "keep_case": True}]
    unlike_words = [token for token in times if not token.isalnum() or token != token.lower()]
    unknown = [token for token in unlike_words if token not in known]
    kept = [token for token in unlike_words if token in known]
    for options in choices if sum(map(times.__getitem__, unknown)) > most else ():
        words = _other_words(unknown, options)
        gained = {token: times[token] for token, word in words.items() if word in known}
        gain = sum(gained.values())
        if gain > most:  # a model that knows tokens with capitals and punctuation is not one of words
            gain -= sum(map(times.__getitem__, _other_words(kept, options)))
        if gain > most:
            token = max(gained, key=gained.__getitem__)
            found = f"{100 * gain / len(tokens):.0f} % of the tokens are unknown, but known as words, such as "
            most, found, chosen = gain, f"{found}{shown(token)} as {words[token]!r}", options
    if chosen:
        others = replace(reading, keep_case=False) if reading.compiled else Reading()
        warn_user(ReadingAdvice(found, "texts so", chosen, others))
    return tokens


def _other_words(tokens: list[str], options: dict[str, Any]) -> dict[str, str]:
    """Return the tokens that are one word each, another than the token, and these words."""
    read = Reading(**options, errors="replace").sequences("".join(f"{token}\n" for token in tokens))
    return {token: each[0] for token, each in zip(tokens, read, strict=True) if len(each) == 1 and each[0] != token}


def _advise_of_lists(corpus: Corpus, block: DocumentBlock, *, given: bool, baskets: bool) -> None:
    """Warn of lists of tokens: `block` is the first of them."""
    if corpus.reading.record() and given:
        warn_user(f"lists of tokens are learned from as they are: {corpus.reading} has no effect on them")
    if baskets and isinstance(corpus, DocumentCorpus) and len(block.documents) >= LEAST_LINES:
        items = list(islice(corpus._records, LEAST_LINES))
        if all(isinstance(each, tuple) and len(each) == 2 for each in items):
            warn_user(f"every basket is a tuple of two items, such as {shown(items[0])}: Recommender learns pairs")
    text = block.text[:SAMPLE_BYTES].rpartition(b" ")[0]  # whole tokens
    if seen := (None if baskets else raw_in_lists(split_tokens(text))) or _edges(text, weighted=baskets):
        warn_user(ReadingAdvice(seen, "", {}, Reading()))


# What a text looks like, what another way reads, and the options of `Reading` for it
_Seen = Iterator[tuple[str, str, dict[str, Any]]]


def _of_words(reading: Reading, text: bytes, characters: str, *, baskets: bool) -> _Seen:
    if not reading.compiled:
        return
    tokens, punctuated = len(text.split()), _PUNCTUATED.findall(text)
    runs = list(_UNSPACED.finditer(characters))
    unspaced = sum(len(run[0]) for run in runs) > MOST_UNSPACED * len(characters)
    if unspaced and not (runs[0]["ideographs"] and reading.words):
        found = f"the text has no spaces between words, as in {shown(runs[0][0])}"
        if runs[0]["ideographs"]:
            yield found, "each character as a word", {"words": True}
        else:
            yield f"{found}: Reading(tokenizer=...) can separate them, see docs/howto/tokenizers.md", "", {}
    elif reading.words:
        return
    elif not baskets and len(joined := _JOINED.findall(characters)) > MOST_JOINED * tokens:
        found = f"{100 * len(joined) / tokens:.0f} % of the tokens hold commas, such as {shown(joined[0])}"
        yield found, "what is between them", {"token_pattern": "[^,]+"}
    elif len(punctuated) > MOST_PUNCTUATED * tokens:
        share, example = 100 * len(punctuated) / tokens, shown(punctuated[0].decode(errors="replace"))
        found = f"{share:.0f} % of the tokens end in punctuation, such as {example}"
        yield found, "words without it", {"words": True}


def _of_units(reading: Reading, text: bytes, parts: int) -> Iterator[tuple[str, str]]:
    paragraphs = _EMPTY_LINE.search(text) is not None
    if reading.unit in ("line", "paragraph") and looks_wrapped(text):
        if paragraphs and reading.unit == "line":
            yield "the text looks wrapped, so that sequences end in mid-sentence", "paragraph"
        elif not paragraphs and (reading.unit == "line" or parts == 1):
            yield "the text looks wrapped, without empty lines between paragraphs", "sentence"
    elif reading.unit == "paragraph" and not paragraphs and parts == 1 < text.count(b"\n") / LEAST_LINES:
        yield "the text has no empty lines, so that all of it is one paragraph", "line"


def _of_format(reading: Reading, text: bytes, characters: str, *, baskets: bool) -> Iterator[str]:
    if not reading.words and len(unicodedata.normalize("NFC", characters)) < LEAST_COMPOSED * len(characters):
        yield "accents are characters beside their letters (NFD): uconv -x nfc, or unicodedata.normalize, joins them"
    if text.count(b"\r") - text.count(b"\r\n") > text.count(b"\n"):
        converts = r"tr '\r' '\n' converts them"
        yield f"the lines end in a carriage return, which is no end of a line here: {converts}"
    if len(tags := re.findall(r"<br ?/?>|</(?:p|div|span|td|li|a)>", characters)) >= LEAST_LINES:
        without = "html.unescape(re.sub('<[^>]*>', ' ', text)) is without it"
        yield f"the text has HTML, such as {shown(tags[0])}, which becomes tokens, too: {without}"
    if len(labels := re.findall(r"^__label__\S+", characters, re.MULTILINE)) >= LEAST_LINES and not baskets:
        yield LABELLED.format(shown(labels[0]))
    spaces = re.findall(r"(?<!\d)[^\S \t-\r]|[^\S \t-\r](?!\d)", characters)  # and none within a number
    if not (baskets or reading.words) and len(spaces) > MOST_PUNCTUATED * len(text.split()):
        yield f"spaces such as {spaces[0]!r} are parts of tokens: ' '.join(line.split()) has spaces of ASCII alone"
    lines = [line for line in characters.split("\n")[:-1] if line.strip()]
    if baskets and LEAST_LINES <= len(set(lines)) < len(lines) / 4:
        first = shown(lines[0])
        yield f"most lines repeat others, such as {first}: is a line an item of a basket, or all of its items?"
    if len(lines) < LEAST_LINES:
        return
    for mark in "\t,;|":
        with suppress(csv.Error):  # of a carriage return
            widths = {len(fields) for fields in csv.reader(lines[:LEAST_LINES], delimiter=mark)}
            if len(widths) == 1 and min(widths) > 2:
                yield f"the text looks like a table separated by {mark!r}: name it .csv or .tsv, and its field"
                return


def warn_of_lines(baskets: Sequence[Sequence[object]]) -> None:
    """Warn if baskets of a text seem to have marks beside their items, or a user before them.

    Parameters
    ----------
    baskets : sequence of sequences of objects
        Some of them, none of which is empty.
    """
    times = Counter(item for basket in baskets for item in basket)
    marked = [item for item in times if isinstance(item, str) and _MARKED.fullmatch(item)]
    if 2 * len(marked) > len(times) or times["|"] >= len(baskets) > 0:
        mark = "|" if times["|"] else marked[0]
        warn_user(f"most items hold commas or marks, such as {mark!r}: spaces separate the items of a basket in a text")
    firsts = [basket[0] for basket in baskets]
    numbered = [str(number) for number in range(len(firsts))]
    alone = len(set(firsts)) == sum(times[first] for first in firsts)
    if len(firsts) >= LEAST_LINES and (alone or firsts in (numbered, [*numbered[1:], str(len(firsts))])):
        warn_user(f"the first items of lines, such as {firsts[0]!r}, are in no others, or number them: are they users?")


def look_weighted(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether all sequences look like edges of a graph with weights, such as "a b 3".

    Each is two tokens and a number, and none of these numbers is also one of the two, or they are few: else the
    sequences are numbers.

    Examples
    --------
    >>> look_weighted([["a", "b", "3"], ["b", "7", "1.5"]]), look_weighted([["1", "2", "3"], ["2", "3", "4"]])
    (True, False)
    """
    if not lines or any(len(line) != 3 for line in lines):
        return False
    names, last = {name for line in lines for name in line[:2]}, {line[2] for line in lines}
    return all(map(_NUMBER.fullmatch, last)) and (not names & last or 4 * len(last) < len(names))


def _edges(text: bytes, *, weighted: bool) -> str | None:
    """Return what lines look like that may be edges of a graph; with `weighted` those without weights are none."""
    lines = list(filter(None, map(str.split, text.decode(errors="replace").split("\n")[:-1])))
    pairs = not weighted and all(len(line) == 2 for line in lines)
    if len(lines) < LEAST_LINES or not (pairs or look_weighted(lines)):
        return None
    return (
        f"each line is two tokens{' and a number' * (not pairs)}, such as {shown(' '.join(lines[0]))}: if they are"
        " edges of a graph, train --graph or Counts.from_graph learns from them"
    )


def raw_in_lists(tokens: list[str]) -> str | None:
    """Return what tokens look like that have several words each, or often end in punctuation, as by ``str.split``."""
    spaces = sum(token.count(" ") for token in tokens)
    ending = [token for token in tokens if _PUNCTUATED.fullmatch(token.encode(errors="surrogatepass"))]
    if spaces > MOST_SPACES * len(tokens):
        example = shown(next(token for token in tokens if token.count(" ") > 1))
        found = f"tokens in lists have {1 + spaces / len(tokens):.1f} words each, such as {example}"
    elif len(ending) > MOST_PUNCTUATED * len(tokens):
        found = f"{len(ending) / len(tokens):.0%} of the tokens in lists end in punctuation, such as {shown(ending[0])}"
    elif len(labels := [token for token in tokens if token.startswith("__label__")]) >= LEAST_LINES:
        return LABELLED.format(shown(labels[0]))
    else:
        return None
    return f"{found}: if they are of texts, pass these as str, which Reading(words=True) splits into words"


def looks_wrapped(text: bytes) -> bool:
    r"""Return whether most lines have 60 to 80 columns and few of these end a sentence.

    A line before an empty one does not count: it may be the last of a paragraph.

    Examples
    --------
    >>> line = b"a line of a text that somebody, or a program, has broken in its middle\n"
    >>> looks_wrapped(line * 21), looks_wrapped(line.replace(b"\n", b".\n") * 21)
    (True, False)
    """
    lines = [line.rstrip().expandtabs() for line in text.decode(errors="replace").split("\n")]
    inner = [line for line, following in pairwise(lines) if line and following]
    full = [line for line in inner if 60 <= len(line) <= 80 and " " in line]
    ending = sum(line.endswith((".", "!", "?")) for line in full)
    return len(full) >= LEAST_LINES and 2 * len(full) > len(inner) and 4 * ending < len(full)
