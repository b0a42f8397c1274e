"""How good vectors are: word similarity and analogies, scored as gensim scores them; held-out items; how words moved.

For similarity and analogies, words are treated as gensim does by default. With ``case_insensitive`` two tokens are the
same word if they are equal in upper case; the first of them, which is the most frequent, gives the vector. Lines with
unknown words are counted, and left out of the score; with ``compose`` such words get vectors composed of n-grams, where
the vectors hold any.

Files of scores are UTF-8 text. Blank lines and lines that begin with # are comments. The fields of a line are separated
by tabs, else by commas, else by semicolons, each with the quotes of CSV, else by white space.

- Word similarity: two words and a score, which is the first number after the words. The first line may be a header.
- Analogies: four words, of which the last is the answer. A line that begins with : opens a section.
"""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.evaluation.held_out import HeldOutItems, held_out_items, split_users
    from fastembed.evaluation.words import (
        Analogies,
        Comparison,
        Section,
        Similarity,
        analogies,
        compare,
        word_similarity,
    )

__all__ = [
    "Analogies",
    "Comparison",
    "HeldOutItems",
    "Section",
    "Similarity",
    "analogies",
    "compare",
    "held_out_items",
    "split_users",
    "word_similarity",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "words": "Analogies Comparison Section Similarity analogies compare word_similarity",
        "held_out": "HeldOutItems held_out_items split_users",
    },
)
