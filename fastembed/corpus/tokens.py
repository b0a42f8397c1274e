"""How often each token of a corpus occurs, counted and ranked by threads; lists of tokens; hints.

Tokens can also be numbered while the text is read once, or counted by the tasks of an executor (`tasks.py`).

Each thread fills a table. The hashes of the tokens divide a table into buckets. One thread merges the same bucket of
all tables into one table. Threads sort the tokens, and merge the sorted runs. The order of the tokens is unique, so the
result does not depend on which thread counted which text.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from fastembed._base.arrays import Int32, Int64
from fastembed._base.threads import Pool, Supply
from fastembed._base.validation import shown, warn_user
from fastembed._kernels.tokens import Ranking, TokenTable
from fastembed.corpus.corpus import Chunk, map_text
from fastembed.corpus.documents import DocumentChunk
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import SPACES, Reading, join_tokens, token_from_bytes

BUCKETS = 64  # of a table: a power of two


@dataclass(frozen=True)
class NumberedCorpus:
    """A corpus as the numbers of its tokens. The number of a token is its index in the table of its chunk of text.

    Attributes
    ----------
    pieces : list of (TokenTable, ndarray of int32)
        For each chunk, in order: a table, and the numbers of the tokens, with -1 behind each sequence.
    """

    pieces: list[tuple[TokenTable, Int32]]

    @property
    def tables(self) -> list[TokenTable]:
        """The tables of all threads."""
        return list(dict.fromkeys(table for table, _ in self.pieces))

    def counts(self, pool: Pool) -> list[TokenTable]:
        """Return tables that share no token, as `count_tokens` does."""
        return _merged_tables(self.tables, pool)

    def ids(self, tokens: list[str], pool: Pool) -> Int32:
        """Return the index of each token in a list, or -2; -1 stands first and behind each sequence."""
        known = TokenTable()
        known.fill(join_tokens(tokens).split())
        new_numbers = {table: _renumbering(table, known) for table in self.tables}
        ids: list[Int32] = [np.empty(0, np.int32)] * len(self.pieces)

        def rename(k: int) -> None:
            table, numbers = self.pieces[k]
            ids[k] = new_numbers[table][numbers]

        pool.run(rename, len(ids))
        return np.concatenate([np.full(1, -1, np.int32), *ids])


def _renumbering(table: TokenTable, known: TokenTable) -> Int32:
    """Return the number of each token of a table in `known`, or -2; the last element is -1, so that -1 stays -1."""
    text = b"".join([token + b"\n" for token in table.frequent(0)[0]])
    ids = np.empty(len(text), np.int32)
    ids = ids[: known.encode(text, False, ids)[0]]
    ends = np.flatnonzero(ids < 0)
    new_numbers = np.full(len(table) + 1, -2, np.int32)
    is_known = np.diff(ends, prepend=-1) > 1  # each line has one token: of a token that `known` lacks, the end alone
    new_numbers[:-1][is_known] = ids[ends[is_known] - 1]
    new_numbers[-1] = -1
    return new_numbers


def number_tokens(chunks: Iterable[Chunk], reading: Reading, ledger: Ledger, pool: Pool) -> NumberedCorpus:
    """Read a text once, and return the numbers of its tokens."""
    spare = Supply(TokenTable)

    def number(text: bytes, inside: bool) -> tuple[tuple[TokenTable, Int32], int, int, int]:
        ids = np.empty(len(text), np.int32)  # pages that are never written take no memory
        table = spare.take()
        written, tokens, lines, empty_lines = table.number(text, inside, ids)
        spare.give(table)
        return (table, ids[:written].copy()), tokens, lines, empty_lines

    with closing(map_text(chunks, reading, number, ledger, pool.threads)) as pieces:
        return NumberedCorpus(list(pieces))


def check_named(named: Mapping[str, Sequence[str]], tables: Iterable[TokenTable], reading: Reading | None) -> None:
    """Warn if a text has no token of a list that the user passed, or no phrase of the reading.

    Parameters
    ----------
    named : mapping
        Lists of tokens, by the names of their parameters.
    tables : iterable of TokenTable
        All tokens that occur.
    reading : Reading or None
        How the text was read, if it is known.
    """
    if reading is not None and reading.phrases:
        named = {**named, "phrases": list(map("_".join, reading.phrases))}
    for name, tokens in named.items():
        text = join_tokens(tokens)
        ids = np.empty(len(text), np.int32)
        if not any(table.encode(text, False, ids)[0] for table in tables):
            warn_user(f"no token of {name} occurs in the text as it is read, such as {shown(tokens[0])}")


def count_tokens(chunks: Iterable[Chunk], reading: Reading, ledger: Ledger, pool: Pool) -> list[TokenTable]:
    """Return tables of the tokens of a text that share no token."""
    spare = Supply(TokenTable)

    def count(text: bytes, inside: bool) -> tuple[None, int, int, int]:
        table = spare.take()
        sizes = table.count(text, inside)
        spare.give(table)
        return None, *sizes

    deque(map_text(chunks, reading, count, ledger, pool.threads), 0)
    return _merged_tables(spare.all(), pool)


def rank_tokens(
    tables: list[TokenTable], least: int, pool: Pool, most: int | None = None
) -> tuple[list[str], Int64, int]:
    """Return the tokens that occur at least `least` times, by decreasing count, then by code points.

    The tokens of each table are sorted, and then merged two runs at a time until one run is left.

    Parameters
    ----------
    tables : list of TokenTable
        No two have a token in common.
    most : int, optional
        The largest number of tokens to return: the most frequent ones.

    Returns
    -------
    tokens : list of str
    counts : ndarray of int64
    total : int
        The sum of the counts of all tokens that occur at least `least` times.
    """
    ranking = Ranking(tables, least)
    bounds = ranking.bounds  # of the sorted runs

    def merge(k: int) -> None:  # two neighbouring runs
        ranking.merge(*bounds[2 * k : 2 * k + 3])

    pool.run(lambda k: ranking.sort(*bounds[k : k + 2]), len(bounds) - 1)
    while len(bounds) > 2:
        pool.run(merge, (len(bounds) - 1) // 2)
        bounds = [*bounds[:-1:2], bounds[-1]]
    counts = np.empty(min(len(ranking), most or len(ranking)), np.int64)
    return ranking.take(counts, token_from_bytes), counts, ranking.total


def _merged_tables(tables: list[TokenTable], pool: Pool) -> list[TokenTable]:
    """Return tables that share no token, with the tokens and counts of all tables."""
    filled = [table for table in tables if len(table)]
    if len(filled) < 2:
        return filled
    ids = [np.empty(len(table), np.int32) for table in filled]
    starts = np.empty((len(filled), BUCKETS + 1), np.int64)
    pool.run(lambda t: filled[t].sort_into_buckets(ids[t], starts[t]), len(filled))
    buckets = [TokenTable() for _ in range(BUCKETS)]

    def merge(k: int) -> None:
        for table, table_ids, (first, last) in zip(filled, ids, starts[:, k : k + 2].tolist(), strict=True):
            buckets[k].merge(table, table_ids[first:last])

    pool.run(merge, BUCKETS)
    return buckets


# ---------------------------------------------------------------- lists of tokens

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
    """Return the different tokens of a list, sorted; "english" stands for a list of English function words.

    Parameters
    ----------
    name : str
        What the list is called in an error.

    Raises
    ------
    TypeError
        If `tokens` is another str, or an iterator, or an item is not a str.
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
        raise TypeError(f"{name} must be a list of tokens, 'english' or None, got {shown(tokens)}")
    if iter(tokens) is tokens:
        raise TypeError(f"{name} must be a list of tokens, which can be read again, got {shown(tokens)}")
    listed = list(tokens)
    if not listed:
        raise ValueError(f"{name} must hold at least one token, got an empty list: pass None for no list")
    for token in listed:
        if not isinstance(token, str):
            raise TypeError(f"{name} must hold strings, got {shown(token)}")
    return tuple(sorted(set(listed)))


def read_token_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    r"""Return the different tokens of a file that has one per line.

    Parameters
    ----------
    path : path-like
        UTF-8. What follows a tab in a line is not read.

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
        raise ValueError(f"{str(path)!r} holds no token: write one per line")
    return tokens


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a text in UTF-8, without a byte order mark.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not valid UTF-8.
    """
    data = Path(path).read_bytes().removeprefix(BOM_UTF8)
    try:
        return data.decode().split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{str(path)!r} is not valid UTF-8 at line {line}: {error.reason}") from None


# ---------------------------------------------------------------- hints at another reading

SAMPLE_BYTES = 1 << 16  # bytes at the beginning of a text that hints are made from
LEAST = 20  # the least number of lines, or of tokens of a kind, for a hint
MOST_PUNCTUATED = 0.02  # share of tokens that end in punctuation in a text that has been tokenised
# Marks at the ends of words, also in Arabic, Urdu, Hindi, Chinese and Japanese
MARKS = ".,;:!?\"')]}\u060c\u061b\u061f\u06d4\u0964\u0965\u2019\u201d\xbb\u2026\u3001\u3002\uff01\uff0c\uff1b\uff1f"


def with_hints(chunks: Iterable[Chunk], reading: Reading) -> Iterator[Chunk]:
    r"""Return the chunks of a text; warn if another reading suits its beginning better.

    Examples
    --------
    >>> import warnings
    >>> from fastembed.corpus import DocumentCorpus, Ledger
    >>> corpus = DocumentCorpus(["He went to London, at last.\n" * 10])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = list(with_hints(corpus.chunks(Ledger()), corpus.reading))
    >>> caught[0].message.args[0]
    "33 % of the tokens end in punctuation, such as 'London,': Reading(words=True) or --words makes words"
    """
    chunks, first, text = iter(chunks), list[Chunk](), b""
    for chunk in chunks:
        first.append(chunk)
        text += chunk.text[: SAMPLE_BYTES - len(text)]
        if len(text) == SAMPLE_BYTES:
            break
    lists = any(isinstance(chunk, DocumentChunk) and chunk.tokens for chunk in first)
    for hint in _hints(text.decode(errors="replace"), reading, lists):
        warn_user(hint)
    return chain(first, chunks)


def _hints(text: str, reading: Reading, lists: bool) -> Iterator[str]:
    if text.lstrip().startswith('{"'):
        yield "the lines are JSON: name the file .jsonl, and the field of the text by field or --field"
        return
    tokens = [token for token in text.split() if "\ufffd" not in token]  # U+FFFD is a space in a token of a list
    if reading.compiled and not reading.words:
        ending = [token for token in tokens if token[-1] in MARKS and token.strip(MARKS)]
        joined = [token for token in tokens if "," in token[1:-1]]
        if not lists and len(joined) >= max(LEAST, len(tokens) / 4):
            yield f"tokens have commas, such as {shown(joined[0])}: lists need a .csv and header=False or --no-header"
        elif len(ending) >= max(LEAST, MOST_PUNCTUATED * len(tokens)):
            share = f"{100 * len(ending) / len(tokens):.0f} % of the tokens"
            yield f"{share} end in punctuation, such as {shown(ending[0])}: Reading(words=True) or --words makes words"
    labels = [token for token in tokens if token.startswith("__label__")]
    if len(labels) >= LEAST:
        yield f"labels such as {shown(labels[0])} are read as words: sed 's/__label__[^ ]*//g' removes labels"
    if reading.unit == "line" and not lists and looks_wrapped(text):
        unit = "paragraph" if "\n\n" in text else "sentence"
        yield f"the text looks wrapped: Reading(unit={unit!r}) or --unit joins the lines of a file or a str"


def looks_wrapped(text: str) -> bool:
    r"""Return whether most lines have 60 to 80 columns and few of these end a sentence.

    A line before an empty line does not count: it may be the last of a paragraph.

    Examples
    --------
    >>> line = "a line of a text that somebody, or a program, has broken in its middle\n"
    >>> looks_wrapped(line * 21), looks_wrapped(line.replace("\n", ".\n") * 21)
    (True, False)
    """
    lines = [line.rstrip().expandtabs() for line in text.split("\n")]
    inner = [line for line, following in pairwise(lines) if line and following]
    full = [line for line in inner if 60 <= len(line) <= 80 and " " in line]
    ending = sum(line.endswith((".", "!", "?")) for line in full)
    return len(full) >= LEAST and 2 * len(full) > len(inner) and 4 * ending < len(full)
