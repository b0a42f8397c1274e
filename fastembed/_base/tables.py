"""Tables in HTML, for notebooks and pages."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from fastembed._base.validation import printable


def html_table(rows: Iterable[Sequence[str]], *, head: bool = False) -> str:
    """Return an HTML table of texts; the first cell of a row is its header, or the first row that of the table.

    Parameters
    ----------
    head : bool
        Whether the first row is the header.

    Examples
    --------
    >>> html_table([["a", "<b>"]])
    '<table><tr><th>a</th><td>&lt;b&gt;</td></tr></table>'
    """
    lines = []
    for number, row in enumerate(rows):
        kinds = ["th" if (number == 0 if head else column == 0) else "td" for column in range(len(row))]
        cells = (f"<{kind}>{html.escape(printable(cell))}</{kind}>" for kind, cell in zip(kinds, row, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
