"""How good vectors are: word similarity and analogies, scored as gensim scores them; held-out items; how words moved.

With ``case_insensitive`` two tokens are the same word if they are equal in upper case; the more frequent one gives the
vector. Lines with unknown words are counted, and left out of the score.

Files of scores are UTF-8 text. Blank lines and lines that begin with # are comments. Tabs separate the fields of a
line, else commas, else semicolons, each with the quotes of CSV, else white space.

- Word similarity: two words and a score, which is the first number after the words. The first line may be a header.
- Analogies: four words, of which the last is the answer. A line that begins with : opens a section.

A wrong argument, and a line of another form, is a TypeError or ValueError that names it. A file that cannot be read is
an OSError.
"""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
