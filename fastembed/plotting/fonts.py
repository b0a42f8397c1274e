"""Fonts for words in any script: those of matplotlib's settings, and others for the characters that these lack."""

from __future__ import annotations

from collections.abc import Iterable

from fastembed._base.optional import require

PLAIN = ("normal", "normal", 400)  # style, stretch, weight
NO_CHARACTER = 0x10FFFF  # a font that has even this has a box for everything


def choose_fonts(words: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return font families that have the characters of words, in the order in which to try them.

    Parameters
    ----------
    words : iterable of str

    Returns
    -------
    families : list of str
        Those of ``matplotlib.rcParams``, then as few others as possible for what those lack.
    lacking : set of str
        The characters that no font here has.

    Examples
    --------
    >>> choose_fonts(["king", "größe"])
    (['sans-serif'], set())
    """
    manager = require("matplotlib.font_manager", "plot")
    families: list[str] = list(manager.FontProperties().get_family())
    lacking = set("".join(words))
    for family in families:
        lacking -= _held(manager.findfont(manager.FontProperties(family=[family])), lacking)
    if not lacking:
        return families, lacking
    families.append(manager.fontManager.defaultFamily["ttf"])  # drawn in place of a family that is not installed
    plain = (font for font in manager.fontManager.ttflist if (font.style, font.stretch, font.weight) == PLAIN)
    held = {font.name: _held(font.fname, lacking) for font in sorted(plain, key=lambda font: font.name)}
    while lacking and held:
        best = max(held, key=lambda name: len(held[name] & lacking))
        if not held[best] & lacking:
            break
        families.append(best)
        lacking -= held.pop(best)
    return families, lacking


def _held(path: str, characters: set[str]) -> set[str]:
    """Return those of the characters that a font has."""
    try:
        font = require("matplotlib.font_manager", "plot").get_font(path)
    except (OSError, RuntimeError):  # matplotlib's list of fonts is outdated: the file is gone, or no longer a font
        return set()
    if font.get_char_index(NO_CHARACTER):
        return set()
    return {c for c in characters if font.get_char_index(ord(c))}
