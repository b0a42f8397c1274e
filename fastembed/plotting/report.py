"""The report: one page that says how a model was trained and what it learned, to attach to a paper or a ticket."""

from __future__ import annotations

import base64
import html
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastembed._base.optional import require
from fastembed._base.tables import html_table
from fastembed._base.validation import check_integer, printable, shown
from fastembed._versions import versions
from fastembed.plotting.history import plot_history
from fastembed.plotting.layout import Layout, Method, lay_out
from fastembed.plotting.page import check_page, fill_page, map_page, write_html
from fastembed.skipgram.skipgram import SkipGram, used_parameters

PROBES = 12  # words whose nearest words are listed by default
NEIGHBORS = 10  # nearest words of each


def write_report(
    model: SkipGram,
    path: str | os.PathLike[str],
    *,
    title: str = "Report of a model",
    probes: Iterable[str | int] | None = None,
    scores: Mapping[str, str] | None = None,
    topn: int = 20_000,
    method: Method | None = None,
    progress: bool = False,
) -> None:
    """Write one web page about a model: training, scores, nearest words, map, what was read, settings, versions.

    The page contains everything it needs and makes no network requests.

    Parameters
    ----------
    model : SkipGram
        Fitted.
    path : path-like
        The file to create or to replace, .html or .htm.
    title : str
    probes : iterable of str or int, optional
        The words whose nearest words are listed, read as the text of the model was; by default those most typical of
        the largest clusters.
    scores : mapping of str to str, optional
        What was evaluated, and the result in one line.
    topn : int
        How many words the map shows.
    method : {"pca", "umap", "tsne"}, optional
        As in :func:`plot_map`.
    progress : bool
        Whether bars are drawn while the map is made.

    Raises
    ------
    ImportError
        If matplotlib is missing, the extra [plot], or what `method` needs.
    KeyError
        If a probe is unknown.
    AttributeError, TypeError, ValueError
        If the model is not a fitted SkipGram, or an argument is invalid.
    OSError
        If the file cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> model = SkipGram(dim=2, min_count=1, threads=1).fit(["a b c", "b c d"] * 5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(model, f"{folder}/report.html", probes=["a"], scores={"my pairs": "Spearman 0.5"})
    ...     "Spearman 0.5" in Path(f"{folder}/report.html").read_text(encoding="utf-8")
    True
    """
    check_page(path)
    require("matplotlib.figure", "plot")
    if not isinstance(model, SkipGram):
        raise TypeError(f"model must be a SkipGram, got {type(model).__name__}")
    topn = check_integer("topn", topn, low=1)
    vectors, history, seed = model.vectors, model.history, model.seed
    asked = None if probes is None else list(probes)
    if asked is not None and (reading := model.reading_) is not None:
        asked = [reading.token(word, vectors) if isinstance(word, str) else word for word in asked]
    near = None if asked is None else {str(word): vectors.most_similar(word, topn=NEIGHBORS) for word in asked}
    number = seed if isinstance(seed, int) and 0 <= seed < 2**32 else 0
    layout = lay_out(vectors, None, topn, method, number, progress=progress)
    if near is None:
        near = {word: vectors.most_similar(word, topn=NEIGHBORS) for word in _typical(layout)}
    summary = f"{len(vectors):,} words, {vectors.matrix.shape[1]} dimensions, {vectors.matrix.dtype}"
    if history:
        nll, perplexity = history[-1]["nll"], history[-1]["perplexity"]
        summary += f"; {len(history)} epochs, nll per pair {nll:.4f}, perplexity {perplexity:,.1f}"
    page = fill_page(
        "report.html",
        (),
        title,
        {},
        summary=_text(summary),
        curve=_curve(history) if history else "",
        history=html_table([list(history[0]), *(_cells(record) for record in history)], head=True) if history else "",
        scores=html_table(scores.items()) if scores else "<p>No score was asked for.</p>",
        probes=html_table(
            (word, ", ".join(f"{other} {cosine:.2f}" for other, cosine in found)) for word, found in near.items()
        ),
        map=html.escape(map_page(layout, NEIGHBORS)),
        ledger=_text(
            model.ledger.summary() if model.ledger else "The model was trained on counts; their text is not known."
        ),
        settings=html_table((name, shown(value)) for name, value in used_parameters(model).items()),
        versions=html_table(versions().items()),
    )
    write_html(path, page)


def _typical(layout: Layout) -> list[str]:
    """Return the most typical word of each of the largest clusters, at the finest level that has enough clusters."""
    level = next((level for level in layout.levels if sum(map(bool, level.names)) >= PROBES), layout.levels[-1])
    chosen = [name[0] for name in level.names if name][:PROBES] or layout.order[:PROBES].tolist()
    return [layout.words.tokens[i] for i in chosen]


def _curve(history: Sequence[Mapping[str, float]]) -> str:
    """Return the picture of the history, in the page itself."""
    with tempfile.TemporaryDirectory() as folder:
        plot_history(history, Path(folder, "history.svg"))
        picture = base64.b64encode(Path(folder, "history.svg").read_bytes()).decode()
    described = f"nll per pair, from {history[0]['nll']:.4f} in the first epoch to {history[-1]['nll']:.4f} in the last"
    return f'<img alt="{described}" src="data:image/svg+xml;base64,{picture}">'


def _cells(record: Mapping[str, object]) -> list[str]:
    return [f"{value:.6g}" if isinstance(value, float) else str(value) for value in record.values()]


def _text(text: str) -> str:
    return html.escape(printable(text))
