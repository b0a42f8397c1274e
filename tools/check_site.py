"""Check a site built by Sphinx: internal links, alternative texts of pictures, and no external requests.

python tools/check_site.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")}


class Page(HTMLParser):
    """The links, requests and anchors of a page, and its pictures without alternative text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.names: set[str] = set()
        self.silent: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the links, requests, anchors and pictures of a tag."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.names.add(value)
            elif (tag, name) in FETCHED and value:
                self.fetched.append(value)
            elif name == "href" and value:
                self.links.append(value)
        if tag == "img" and not (dict(attrs).get("alt") or "").strip():
            self.silent.append(dict(attrs).get("src") or "?")


def faults(site: Path) -> list[str]:
    """Return the errors of a site."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    found = [] if pages else [f"{site} has no page"]
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        found += [f"{here}: no text for the picture {source}" for source in page.silent]
        for link in page.links + page.fetched:
            scheme, host, target, _, fragment = urlsplit(link)
            if scheme or host:
                if link in page.fetched and scheme != "data":
                    found.append(f"{here}: fetches {link}")
                continue
            to = (path.parent / unquote(target)).resolve() if target else path
            if not to.exists():
                found.append(f"{here}: {link} does not exist")
            elif fragment and to in pages and unquote(fragment) not in pages[to].names:
                found.append(f"{here}: {link} has no such place")
    return found


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))
