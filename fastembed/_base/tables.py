"""Tables in HTML, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from fastembed._base.validation import printable


def html_table(rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of texts, whose first row is the header.

    Examples
    --------
    >>> html_table([["word"], ["<b>"]])
    '<table><tr><th>word</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = []
    for number, row in enumerate(rows):
        kind = "td" if number else "th"
        lines.append("".join(f"<{kind}>{html.escape(printable(cell))}</{kind}>" for cell in row))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
