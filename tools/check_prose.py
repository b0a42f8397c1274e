"""Print each sentence of the documents that has more than 30 words, and fail if there is one: for `make lint`."""

import re
import sys
from pathlib import Path

MOST_WORDS = 30
# Code, tables, headings, formulas, and where links lead
APART = r"```.*?```|<!--.*?-->|^\|[^\n]*|^#[^\n]*|\$[^$]+\$|`[^`]+`|\]\([^)]*\)"
BREAK = r"(?<=[.!?])[)*_]*\s+(?=\W*[A-Z0-9])|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s"  # of sentences, paragraphs and items

if __name__ == "__main__":
    long = 0
    for path in sorted([*Path().glob("*.md"), *Path("docs").rglob("*.md")]):
        text = re.sub(APART, " X ", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for sentence in re.split(BREAK, text):
            words = [word for word in re.findall(r"\w[\w'./-]*", sentence) if word != "X"]
            if len(words) > MOST_WORDS:
                long += 1
                print(f"{path}: {len(words)} words: {' '.join(sentence.split())}")
    sys.exit(long > 0)
