"""Check a site built by Sphinx: internal links, texts of pictures, no external requests, signatures of the interface.

python tools/check_site.py docs/_build/html
"""

from __future__ import annotations

import inspect
import pydoc
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")}


class Page(HTMLParser):
    """The links, requests, anchors and signatures of a page, and its pictures without alternative text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.names: set[str] = set()
        self.silent: list[str] = []
        self.signatures: dict[str, str] = {}
        self._object: str | None = None  # whose signature is read
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
        if tag in ("dt", "dd"):
            given = dict(attrs)
            self._object = given.get("id") if "sig-object" in (given.get("class") or "") else None
        if tag == "img" and not (dict(attrs).get("alt") or "").strip():
            self.silent.append(dict(attrs).get("src") or "?")

    def handle_data(self, data: str) -> None:
        """Collect the text of a signature."""
        if self._object is not None:
            self.signatures[self._object] = self.signatures.get(self._object, "") + data


def signature(name: str) -> str | None:
    """Return the parameters of a public class or function with their defaults, without spaces; None of others."""
    value = pydoc.locate(name)
    if not inspect.isclass(value) and not inspect.isroutine(value):
        return None
    found = inspect.signature(value)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    own = inspect.isfunction(value) and inspect.isclass(pydoc.locate(name.rpartition(".")[0]))
    return "".join(str(inspect.Signature(bare[own:])).split())


def faults(site: Path) -> list[str]:
    """Return the errors of a site."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    found = [] if pages else [f"{site} has no page"]
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        found += [f"{here}: no text for the picture {source}" for source in page.silent]
        for name, shown in page.signatures.items():
            if (expected := signature(name) or "()") != "()" and expected not in "".join(shown.split()):
                found.append(f"{here}: {' '.join(shown.split())}, but the signature of {name} is {expected}")
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
