"""The files of scores and questions; the docstring of the package describes their form."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

PathLike = str | os.PathLike[str]


def read_pairs(path: PathLike) -> list[tuple[str, str, float]]:
    """Read a file of word similarity: pairs of words with their scores."""
    pairs: list[tuple[str, str, float]] = []
    column = None
    for place, (where, line) in enumerate(_lines(path)):
        fields = _fields(where, line)
        numbers = [_number(field) for field in fields]
        if column is None:
            column = next((k for k in range(2, len(fields)) if numbers[k] is not None), None)
            if column is None and place == 0:
                continue  # a header
        score = numbers[column] if column is not None and column < len(numbers) else None
        if score is None or not all(fields[:2]):
            place_of_score = "" if column is None or column == 2 else f" in field {column + 1}"
            raise ValueError(f"{where}: two words and a finite score{place_of_score} expected, got {line!r}")
        pairs.append((fields[0], fields[1], score))
    if not pairs:
        raise ValueError(f"{str(path)!r} holds no pair of words with a score")
    return pairs


def read_questions(path: PathLike) -> list[tuple[str, list[list[str]]]]:
    """Read a file of analogies: the name and the questions of each section.

    Questions before the first section are in one without a name.
    """
    sections: list[tuple[str, list[list[str]]]] = []
    for where, line in _lines(path):
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
            continue
        words = _fields(where, line)
        if len(words) != 4 or not all(words):
            raise ValueError(f"{where}: four words, or : and the name of a section, expected, got {line!r}")
        if not sections:
            sections.append(("", []))
        sections[-1][1].append(words)
    if not any(questions for _, questions in sections):
        raise ValueError(f"{str(path)!r} holds no analogy")
    return sections


def _lines(path: PathLike) -> Iterator[tuple[str, str]]:
    """Yield the place of each line, for errors, and the line, without comments and blank lines."""
    data = Path(path).read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{str(path)!r}, line {number}: not valid UTF-8: {error.reason}") from None
    for number, line in enumerate(text.removeprefix("\N{BYTE ORDER MARK}").split("\n"), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield f"{str(path)!r}, line {number}", stripped


def _fields(where: str, line: str) -> list[str]:
    """Split a line into its fields."""
    separator = next((mark for mark in "\t,;" if mark in line), None)
    if separator is None:
        return line.split()
    try:
        (fields,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError(f"{where}: {error} in {line!r}") from None
    return [field.strip() for field in fields]


def _number(text: str) -> float | None:
    """Return the finite number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
