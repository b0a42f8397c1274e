"""The values of options: each function parses one, or says what was expected."""

import argparse
import math
import os
from collections.abc import Callable

from fastembed._base.memory import LEAST
from fastembed.corpus.reading import check_pattern

Reader = Callable[[str], object]


def file_name(text: str) -> str:
    """Read the name of a file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("a file name expected, got an empty string")
    return text


def output_name(text: str) -> str:
    """Read the name of a file to write."""
    if file_name(text).endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"a file name expected, got the folder {text!r}")
    if text == "-":
        raise argparse.ArgumentTypeError("a file name expected, got '-': files are written whole, not to stdout")
    return text


def natural(text: str) -> int:
    """Read an integer of at least 0."""
    return _integer(text, 0)


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    return _integer(text, 1)


def _integer(text: str, low: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < low:
        raise argparse.ArgumentTypeError(f"an integer of at least {low} expected, got {text!r}")
    return int(text)


def number(high: float = math.inf, *, zero: bool = False) -> Callable[[str], float]:
    """Return the reader of a number above 0, or with `zero` of at least 0, and at most `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not ((value > 0 or (zero and value == 0)) and value <= high and math.isfinite(value)):
            low = "of at least 0" if zero else "above 0"
            limit = "" if math.isinf(high) else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"a number {low}{limit} expected, got {text!r}")
        return value

    return read


def or_word(word: str, read: Reader, value: object = None) -> Reader:
    """Return the reader of one word, which stands for `value`, or of what `read` accepts."""

    def read_either(text: str) -> object:
        if text == word:
            return value
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f'"{word}" or {error}') from None

    return read_either


def window(text: str) -> int | tuple[int, int]:
    """Read an integer of at least 1, or two separated by a comma, not both 0."""
    before, comma, after = text.partition(",")
    if not comma:
        return positive(text)
    if not (text.isascii() and before.isdecimal() and after.isdecimal() and int(before) + int(after)):
        raise argparse.ArgumentTypeError(f"an integer, or two as in 0,1, expected, got {text!r}")
    return int(before), int(after)


def ngram_lengths(text: str) -> tuple[int, int]:
    """Read two ascending integers of at least 1, separated by a hyphen."""
    least, hyphen, greatest = text.partition("-")
    if not (hyphen and text.isascii() and least.isdecimal() and greatest.isdecimal()):
        raise argparse.ArgumentTypeError(f"two integers as in 3-6 expected, got {text!r}")
    if not 1 <= int(least) <= int(greatest):
        raise argparse.ArgumentTypeError(f"two ascending integers of at least 1 expected, got {text!r}")
    return int(least), int(greatest)


def size(text: str) -> int:
    """Read a size in bytes, kilobytes, megabytes or gigabytes, of at least one megabyte."""
    factor = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:].upper())
    try:
        count = int(float(text[:-1] if factor else text) * (factor or 1))
    except (ValueError, OverflowError):
        count = 0
    if count < LEAST:
        raise argparse.ArgumentTypeError(f"a size of at least 1M, such as 800M or 4G, expected, got {text!r}")
    return count


def pattern(text: str) -> str:
    """Read a regular expression that has at most one group and does not match the empty string."""
    try:
        check_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
