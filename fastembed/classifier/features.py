"""The features of documents: words, n-grams of words, and n-grams of characters, each with an exact number.

A feature is a row of the embedding. A document is the bag of its features, with weights that form a vector of unit
length. Words have the first numbers, by decreasing count; then come pairs of words, triples and so on; n-grams of
characters are last.

Documents are one array of ids of words. The id -1 separates documents: it stands before the first document and behind
each document. As the first word of an n-gram, -1 is the start of a document; as the last word, the end. The id -2 is a
word that is no feature; no n-gram spans a -2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float64, Int32, Int64, sorted_csr
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import Pool, cached_property
from fastembed._base.validation import shown
from fastembed._kernels import features as kernels
from fastembed._kernels.features import PairIndex
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus.corpus import Progress
from fastembed.corpus.documents import DocumentChunk, is_missing
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading, join_tokens, replace_surrogates, token_bytes, token_from_bytes, token_list
from fastembed.corpus.tokens import NumberedCorpus, rank_tokens
from fastembed.ngrams import NgramFinder, common_ngrams
from fastembed.vocabulary import Vocabulary

BAG_DOCUMENTS = 1 << 13  # documents whose bags one task makes: smaller tasks divide better among threads
PART_PAIRS = 1 << 15  # pairs of ids per part of `count_pairs`, about: the hash table of a part fits into a cache

Bags: TypeAlias = tuple[Int64, Int32, Float64]  # a canonical CSR matrix (N, F): indptr, indices, data

END, NO_WORD = -1, kernels.NONE  # among the ids of words
CHUNK_DOCUMENTS = 1 << 14  # documents per chunk of text: larger chunks take more memory, and report less often
MOST_PARTS = 512  # most parts of `count_pairs`: each is one more place to which pairs are written at a time
PER_WORD = {"supervised": 0.6, "tfidf": 0.7}  # an n-gram of k words has the factor PER_WORD ** (k - 1): docs/design.md
PRIOR = 0.5  # documents that the prior of `LabelGains` counts as: a larger prior lowers the gain of rare features more
PARTS_AT_ONCE = 8  # parts per task, which share the memory of a table: smaller tasks divide better among threads


# ---------------------------------------------------------------- documents as text


def line_chunks(
    documents: Sequence[Any], errors: str, prefix: str, first: int = 0, *, progress: Progress | None = None
) -> Iterator[DocumentChunk]:
    """Yield documents in memory as text: a line per document, without the tokens that are labels.

    Parameters
    ----------
    errors : {"strict", "replace"}
        "strict" raises ValueError for a surrogate; "replace" puts U+FFFD in its place.
    prefix : str
        Tokens that begin with it are labels.
    first : int
        The number of the first document, for errors.
    progress : callable, optional
        Called with (done, total) in documents.
    """
    for begin in range(0, len(documents), CHUNK_DOCUMENTS):
        part = documents[begin : begin + CHUNK_DOCUMENTS]
        plain = set(map(type, part)) == {str}  # the usual case: a list of str needs no check per document
        for are_texts, run in [(True, part)] if plain else itertools.groupby(part, lambda item: isinstance(item, str)):
            items = list(run)
            if are_texts:
                text = one_per_line(items, errors)
            else:
                lists = [checked_tokens(item, f"document {number}") for number, item in enumerate(items, first)]
                text = b"".join([join_tokens(tokens) + b"\n" for tokens in lists])
            yield DocumentChunk([kernels.separate_labels(text, prefix.encode())[1]], not are_texts, 0)
            first += len(items)
        if progress:
            progress(begin + len(part), len(documents))


def checked_tokens(document: Any, name: str) -> list[str]:
    """Return the tokens of a document; raise TypeError, with the name, unless the document is a list of tokens."""
    if isinstance(document, Mapping):
        raise TypeError(f"{name} is the record {shown(document)}: name its fields by field and label")
    if isinstance(document, bytes) or is_missing(document) or not isinstance(document, Iterable):
        raise TypeError(f"{name} is {shown(document)}, but a text or a list of tokens is expected")
    return token_list(document, name)


def one_per_line(documents: Sequence[str], errors: str) -> bytes:
    """Return texts in UTF-8, each with a newline at its end and nowhere else."""
    text = "\n".join(documents)
    if text.count("\n") >= len(documents):
        text = "\n".join([document.replace("\n", " ") for document in documents])
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError as error:
        if errors == "replace":
            return replace_surrogates(text)[0] + b"\n"
        raise ValueError(f"a document has no UTF-8 form: {error}") from None


def documents_by_words(ids: Int32, words: int) -> Any:
    """Return the count of each word in each document (N, words), from ids of words with -1 behind each document."""
    ids = ids[ids != NO_WORD]
    ends = np.flatnonzero(ids == END)
    indptr = np.concatenate([[0], ends - np.arange(len(ends))])
    indices = ids[ids != END]
    return sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(len(ends), words))


def renumber_columns(matrix: Any, data: Any, numbers: Int32, columns: int) -> Any:
    """Return a matrix with `data` as entries, column f moved to column numbers[f]; the number -1 drops a column."""
    at = numbers[matrix.indices]
    kept = at >= 0
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_array((data[kept], at[kept], ends), shape=(matrix.shape[0], columns))


# ---------------------------------------------------------------- features


@dataclass(frozen=True)
class Grams:
    """The word n-grams of one length: each is an (n-1)-gram, or a word, and the word after it.

    Attributes
    ----------
    left, right : ndarray of int32 (M,)
        The numbers of the (n-1)-grams, and of the words after them. -1 on the left is the start of a document, on the
        right the end.
    counts : ndarray of int64 (M,)
    """

    left: Int32
    right: Int32
    counts: Int64

    def __len__(self) -> int:
        return len(self.left)

    @cached_property
    def index(self) -> PairIndex:
        """The index that finds an n-gram; the first access raises ValueError if two n-grams are the same."""
        return PairIndex(self.left, self.right)

    __getstate__ = fields_alone


@dataclass(frozen=True)
class CharacterGrams:
    """The character n-grams that are features.

    Attributes
    ----------
    lengths : (int, int)
        The smallest and largest number of characters.
    tokens : tuple of str
    counts : ndarray of int64 (C,)
        How often each occurred.
    """

    lengths: tuple[int, int]
    tokens: tuple[str, ...]
    counts: Int64

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _finder(self) -> NgramFinder:
        return NgramFinder(self.tokens, self.lengths)

    def count(self, ids: Int32, words: Sequence[str]) -> Any:
        """Return the counts of each n-gram in each document, as csr_array (N, C), float64.

        Parameters
        ----------
        ids : ndarray of int32
            The ids of all words of the documents.
        """
        starts, numbers = self._finder.find(words)
        by_word = sparse.csr_array((np.ones(len(numbers)), numbers, starts), shape=(len(words), len(self)))
        by_word.sum_duplicates()
        return documents_by_words(ids, len(words)) @ by_word

    __getstate__ = fields_alone


@dataclass(frozen=True)
class Features:
    """The features of documents, and the weight of each feature.

    Attributes
    ----------
    words : Vocabulary
    grams : list of Grams
        The n-grams of 2, 3, ... words.
    characters : CharacterGrams or None
    weights : ndarray of float64 (F,)
        The factor of each feature. It multiplies 1, 1 + log(n) or n (see `weighting`), where n is the count of the
        feature in a document; the bag is then scaled to unit length.
    reading : Reading
    weighting : {"supervised", "tfidf", "count"}
        Whether a count n is taken as 1, 1 + log(n) or n.
    label_prefix : str
        Tokens that begin with it are labels, not words.
    """

    words: Vocabulary
    grams: list[Grams]
    characters: CharacterGrams | None
    weights: Float64
    reading: Reading = field(default_factory=Reading)
    weighting: str = "count"
    label_prefix: str = "__label__"

    __getstate__ = fields_alone

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def offsets(self) -> list[int]:
        """The number of the first feature of each kind, and the number of all features."""
        sizes = [len(self.words), *map(len, self.grams), len(self.characters or ())]
        return [0, *itertools.accumulate(sizes)]

    @cached_property
    def _table(self) -> TokenTable:
        table = TokenTable()
        table.fill(join_tokens(self.words.tokens).split())
        return table

    def name(self, feature: int) -> str:
        """Return the words of a feature, or its characters in quotes, in which < and > are the ends of a word.

        In n-grams of words, <start> and <end> are the start and the end of a document. A word that looks like the name
        of another feature is in double quotes.
        """
        kind = int(np.searchsorted(self.offsets, feature, "right")) - 1
        place = feature - self.offsets[kind]
        if self.characters is not None and kind == len(self.grams) + 1:
            return f"'{self.characters.tokens[place]}'"
        words = []
        for grams in reversed(self.grams[:kind]):
            last = int(grams.right[place])
            words.append("<end>" if last == END else quote_word(self.words.tokens[last]))
            place = int(grams.left[place])
        return " ".join(["<start>" if place == END else quote_word(self.words.tokens[place]), *reversed(words)])

    def bags(self, documents: Sequence[Any], first: int = 0) -> Bags:
        """Return the bags of documents in memory. A document without a known feature has an empty bag.

        Parameters
        ----------
        first : int
            The number of the first document, for errors.
        """
        text = b"".join(self._read(documents, first))
        ids = np.empty(len(text) + 1, np.int32)
        ids[0] = END
        ids = ids[: self._table.encode(text, False, ids[1:], gaps=True)[0] + 1]
        all_ids, words = ids, []
        if self.characters is not None:  # unknown words have character n-grams, too
            table, all_ids = TokenTable(), np.empty(len(text), np.int32)
            all_ids = all_ids[: table.number(text, False, all_ids)[0]]
            words = list(map(token_from_bytes, table.frequent(0)[0]))
        bags = self.count(self.ngram_ids(ids), all_ids, words, Pool(1))
        self.scale(bags, Pool(1))
        return bags

    def _read(self, documents: Sequence[Any], first: int) -> Iterator[bytes]:
        """Yield the tokens of documents as lines of text."""
        for chunk in line_chunks(documents, self.reading.errors, self.label_prefix, first):
            text = chunk.read(self.reading)
            if not (chunk.tokens or self.reading.compiled):
                lines = text.split(b"\n")[:-1]
                text = b"".join(b" ".join(map(token_bytes, self.reading.tokens(line))) + b"\n" for line in lines)
            yield text

    def ngram_ids(self, ids: Int32) -> list[Int32]:
        """Return an array per length 1, 2, ... of n-grams: the number of the n-gram that begins at each id, or -2."""
        orders = [ids]
        for shift, kind in enumerate(self.grams, 1):
            numbers = np.empty_like(ids)
            kind.index.find_all(within_documents(orders[-1], ids, shift), ids, shift, numbers)
            orders.append(numbers)
        return orders

    def count(self, orders: list[Int32], ids: Int32, words: list[str], pool: Pool) -> Bags:
        """Return the counts of the features in each document.

        Parameters
        ----------
        orders : list of ndarray of int32
            As :meth:`ngram_ids` returns them.
        ids : ndarray of int32
            The ids of all words, features or not, with -1 behind each document.
        words : list of str
            The words by their ids.
        """
        kinds, starts = len(orders), np.flatnonzero(orders[0] == END)  # the last -1 ends the last document
        offsets = np.array(self.offsets[:kinds])
        cuts = [*range(0, len(starts) - 1, BAG_DOCUMENTS), len(starts) - 1]
        pieces = list(itertools.pairwise(cuts))
        indices, data = np.empty(kinds * len(orders[0]), np.int32), np.empty(kinds * len(orders[0]))
        indptr, sizes = np.zeros(len(starts), np.int64), [0] * len(pieces)

        def count(k: int) -> None:
            first, last = pieces[k]
            part, ends = slice(kinds * starts[first], kinds * starts[last]), np.empty(last - first + 1, np.int64)
            documents = starts[first : last + 1]
            sizes[k] = kernels.bags(orders, offsets, documents, ends, indices[part], data[part])
            indptr[first + 1 : last + 1] = ends[1:]

        pool.run(count, len(pieces))
        end = 0
        for (first, last), size in zip(pieces, sizes, strict=True):  # free memory is behind each piece: close the gaps
            begin = kinds * starts[first]
            if begin != end:  # the first piece is in place
                indices[end : end + size] = indices[begin : begin + size]
                data[end : end + size] = data[begin : begin + size]
                indptr[first + 1 : last + 1] += end
            end += size
        indices, data = indices[:end], data[:end]
        if self.characters is not None:
            words_alone = sparse.csr_array((data, indices, indptr), shape=(len(starts) - 1, self.offsets[-2]))
            both = sparse.hstack([words_alone, self.characters.count(ids, words)], format="csr")
            both.sort_indices()
            indptr, indices, data = both.indptr.astype(np.int64), both.indices.astype(np.int32, copy=False), both.data
        return indptr, indices, data

    def scale(self, counts: Bags, pool: Pool) -> None:
        """Weigh the counts of features, and scale documents to unit length, in place."""
        indptr, indices, data = counts
        if self.weighting == "supervised":
            data[:] = 1
        firsts = range(0, len(indptr) - 1, BAG_DOCUMENTS)

        def scale(k: int) -> None:
            part = indptr[firsts[k] : firsts[k] + firsts.step + 1]
            kernels.unit_rows(part, indices, data, self.weights, self.weighting == "tfidf")

        pool.run(scale, len(firsts))

    def grown(self, new: Features) -> tuple[Features, Int64]:
        """Return features that have, in each kind, these features first and then the unknown features of `new`.

        All weights are 1. The second result is the number of each feature of `new` in the first result.
        """
        words = self.words.grown(new.words)
        numbers = [np.array([words[token] for token in new.words.tokens], np.int64)]
        grams = []
        for ours, theirs in zip(self.grams, new.grams, strict=True):
            sides = ((numbers[-1], theirs.left), (numbers[0], theirs.right))
            left, right = (np.append(new_ids, END)[ids].astype(np.int32) for new_ids, ids in sides)  # -1: the END
            places = np.empty(len(theirs), np.int32)
            ours.index.find_all(left, right, 0, places)
            fresh = places < 0
            numbers.append(places.astype(np.int64))
            numbers[-1][fresh] = len(ours) + np.arange(fresh.sum())
            pairs = ((ours.left, left), (ours.right, right), (ours.counts, theirs.counts))
            grams.append(Grams(*(np.concatenate([old, added[fresh]]) for old, added in pairs)))
        characters = self.characters
        if characters is not None and new.characters is not None:
            known = {token: number for number, token in enumerate(characters.tokens)}
            numbers.append(np.array([known.setdefault(token, len(known)) for token in new.characters.tokens], np.int64))
            counts = np.concatenate([characters.counts, new.characters.counts[numbers[-1] >= len(characters)]])
            characters = CharacterGrams(characters.lengths, tuple(known), counts)
        size = len(words) + sum(map(len, grams)) + len(characters or ())
        features = Features(words, grams, characters, np.ones(size), self.reading, self.weighting, new.label_prefix)
        return features, np.concatenate([first + ids for first, ids in zip(features.offsets, numbers, strict=False)])

    def numbers_in(self, grown: Features) -> Int64:
        """Return the numbers (F,) that the F features have in `grown`, the result of :meth:`grown`."""
        moved = np.subtract(grown.offsets[:-1], self.offsets[:-1])
        numbers: Int64 = np.repeat(moved, np.diff(self.offsets)) + np.arange(len(self))
        return numbers


def quote_word(word: str) -> str:
    """Return a word as it is, or in double quotes if the name of another feature could be the same.

    Examples
    --------
    >>> quote_word("don't"), quote_word("New York"), quote_word("<end>")
    ("don't", '"New York"', '"<end>"')
    """
    return f'"{word}"' if word.split() != [word] or word[0] in "\"'" or word in ("<start>", "<end>") else word


def within_documents(left: Int32, ids: Int32, shift: int) -> Int32:
    """Return the numbers of n-grams of `shift` words, with -2 for an n-gram that ends with the end of a document.

    So no n-gram of more words has the end of a document in its middle.
    """
    if shift > 1:
        left = left.copy()
        left[np.flatnonzero(ids[shift - 1 :] == END)] = NO_WORD
    return left


# ---------------------------------------------------------------- what features say of labels


def label_shares(matrix: Any) -> Any:
    """Return the matrix (N, L) with 1 / k for each of the k labels of a document, from the matrix with 1 for each."""
    sizes = np.diff(matrix.indptr)
    parts = matrix.copy()
    parts.data = 1 / np.repeat(np.maximum(sizes, 1), sizes)
    return parts


class LabelGains:
    """The gains of features: how far label shares among documents with a feature are from label shares among all.

    Each of the k labels of a document counts as 1 / k. The share of label l among all documents is q_l. The number of
    documents with feature f is N_f; the number of documents with both f and l is n_fl. The gain of f is the
    Kullback-Leibler divergence sum_l p_fl log(p_fl / q_l), where p_fl = (n_fl + a q_l) / (N_f + a). The prior a is half
    a document. Documents without labels have one further label, "no label".

    Parameters
    ----------
    bags : Bags
        The bags of all documents; the weights are not used.
    frequencies : ndarray of int64 (F,)
        The number of documents with each feature.
    labels : csr_array (N, L)
        1 where a document has a label.

    Attributes
    ----------
    values : ndarray of float64 (F,)
    fixed : ndarray of bool (F,)
        Features known before `partial_fit`: they keep their weights, so their `values` are not used.

    Examples
    --------
    >>> bags = np.array([0, 1, 3]), np.array([0, 0, 1], np.int32), np.ones(3)
    >>> LabelGains(bags, np.array([2, 1]), sparse.eye_array(2, format="csr")).values.round(4)
    array([0.    , 0.2426])
    """

    def __init__(self, bags: Bags, frequencies: Int64, labels: Any) -> None:
        none = sparse.csr_array(np.diff(labels.indptr)[:, None] == 0)
        targets = sparse.hstack([label_shares(labels), none], format="csc", dtype=np.float64)
        q = targets.sum(axis=0) / max(labels.shape[0], 1)
        starts, documents = targets.indptr.astype(np.int64), targets.indices.astype(np.int32)
        self._indptr = bags[0]
        self._counted = *bags[:2], starts, documents, targets.data, q, PRIOR
        self._sums = np.full(len(frequencies), PRIOR * math.log(PRIOR))  # the sum of a feature that no document has
        self._count(np.empty(0, np.int64), np.empty(0))
        self._sizes = frequencies + PRIOR
        self.values = self._sums / self._sizes - np.log(self._sizes)
        self.fixed = np.zeros(len(frequencies), np.bool_)

    def _count(self, places: Int64, changes: Float64) -> None:
        space = np.zeros(len(self._sums)), np.empty(len(self._sums) + 1, np.int32)
        kernels.label_terms(*self._counted, self._sums, places, changes, *space)

    def make_as_new(self, bags: Any, documents: Int64) -> None:
        """Weigh the bags (n, F) of documents by gains without the labels of the document, in place.

        A score sums products of such a bag with bags of training, which stay as they are. So each entry gets the ratio
        of the weights for both bags: its square.
        Entries of features that no other document has are meaningless; `Examples.left_out` drops them.
        """
        places, changes = np.full(len(self._indptr) - 1, -1), np.zeros(bags.nnz)
        places[documents] = bags.indptr[:-1]
        self._count(places, changes)
        ids = bags.indices
        sizes = self._sizes[ids] - 1
        without = (self._sums[ids] + changes) / sizes - np.log(sizes)
        ratio = np.where(self.fixed[ids], 1, (1 + without) / (1 + self.values[ids]))
        bags.data *= ratio**2


# ---------------------------------------------------------------- features of a training set


def read_features(
    tokens: NumberedCorpus,
    labels: Any,
    options: ClassifierOptions,
    ledger: Ledger,
    pool: Pool,
    known: tuple[Features, int] | None = None,
) -> tuple[Features, Any, Int64, LabelGains | None]:
    """Count the features of documents, join them with known ones, and weigh them.

    Parameters
    ----------
    tokens : NumberedCorpus
        The documents.
    labels : csr_array (N, L)
        1 where a document has a label.
    ledger : Ledger
        The ledger to which the numbers of used and dropped tokens are added.
    known : (Features, int), optional
        The features of a fitted classifier, and the number of its documents. The features come first in the result and
        keep their weights.

    Returns
    -------
    features : Features
    bags : csr_array (N, F), float64
        Canonical; rows are of unit length, or empty.
    frequencies : ndarray of int64 (F,)
        The number of documents with each feature, plus 1 for a known feature: earlier documents count as one. So
        1, for a feature of these documents, means that one document alone has it.
    gains : LabelGains or None
        None unless the weighting is "supervised".

    Raises
    ------
    ValueError
        If no word occurs often enough.
    """
    features, bags, ids, words = count_features(tokens, options, ledger, pool)
    frequencies = np.bincount(bags[1], minlength=len(features))
    documents, new, new_frequencies = len(bags[0]) - 1, np.arange(len(features)), frequencies
    if known is not None:
        features, new = known[0].grown(features)
        old, documents = known[0].numbers_in(features), documents + known[1]
        bags = features.count(features.ngram_ids(tokens.ids(list(features.words.tokens), pool)), ids, words, pool)
        frequencies = np.bincount(bags[1], minlength=len(features))
        frequencies[old] += 1
    if options.weighting != "count":
        kinds = np.searchsorted(features.offsets, new, "right") - 1  # 0 for words, 1 for pairs, and so on
        factors = np.append(PER_WORD[options.weighting] ** np.arange(len(features.grams) + 1), 1)[kinds]
        idf = np.log((1 + documents) / (1 + new_frequencies)) + 1  # as if one more document had all features
        features.weights[new] = factors * idf
    gains = LabelGains(bags, frequencies, labels) if options.weighting == "supervised" else None
    if gains is not None:
        features.weights[:] *= 1 + gains.values
    if known is not None:
        features.weights[old] = known[0].weights
        if gains is not None:
            gains.fixed[old] = True
    features.scale(bags, pool)
    indptr, indices, data = bags
    return features, sorted_csr(data, indices, indptr, (len(indptr) - 1, len(features))), frequencies, gains


def count_features(
    tokens: NumberedCorpus, options: ClassifierOptions, ledger: Ledger, pool: Pool
) -> tuple[Features, Bags, Int32, list[str]]:
    """Count words, then n-grams of their ids.

    Returns
    -------
    features : Features
        The weights are 1.
    bags : Bags
        The counts of the features in the documents.
    ids : ndarray of int32
        The ids of all words, with -1 behind each document.
    words : list of str
        All words, by decreasing count.
    """
    tables = tokens.counts(pool)
    words, counts, _ = rank_tokens(tables, 1 if options.chars else options.min_count, pool)
    frequent = int(np.searchsorted(-counts, -options.min_count, "right"))
    if not frequent:
        what = f"no word occurs min_count={options.min_count} times" if sum(map(len, tables)) else "no token was read"
        raise ValueError(f"the documents have no features: {what}")
    ids = tokens.ids(words, pool)
    ledger.tokens_used = int(np.count_nonzero(ids >= 0))
    ledger.dropped = {"outside the vocabulary": ledger.tokens_read - ledger.tokens_used}
    orders, grams = [ids if frequent == len(words) else np.where(ids < frequent, ids, np.int32(NO_WORD))], []
    for n in range(2, options.ngrams + 1):
        left = within_documents(orders[-1], orders[0], n - 1)
        numbers, kind = count_pairs(left, orders[0], n - 1, options.min_count, pool)
        orders.append(numbers)
        grams.append(kind)
    characters = count_characters(words, counts, options.chars, options.min_count) if options.chars else None
    features = Features(
        words=Vocabulary(words[:frequent], counts[:frequent]),
        grams=grams,
        characters=characters,
        weights=np.ones(frequent + sum(map(len, grams)) + len(characters or ())),
        reading=options.reading,
        weighting=options.weighting,
        label_prefix=options.label_prefix,
    )
    return features, features.count(orders, ids[1:], words, pool), ids[1:], words


def count_characters(words: Sequence[str], counts: Int64, lengths: tuple[int, int], least: int) -> CharacterGrams:
    """Return the character n-grams that occur at least `least` times in words with these counts, most frequent first.

    Examples
    --------
    >>> count_characters(["aha", "ha"], np.array([3, 1]), (2, 2), 2).tokens
    ('a>', 'ha', '<a', 'ah')
    """
    tokens, starts, ids = common_ngrams(words, lengths, 1, errors="surrogatepass")
    totals = np.bincount(ids, np.repeat(counts, np.diff(starts)), len(tokens)).astype(np.int64)
    order = np.argsort(-totals, kind="stable")  # n-grams with equal counts stay sorted by name
    order = order[totals[order] >= least]
    return CharacterGrams(lengths, tuple(tokens[k] for k in order.tolist()), totals[order])


def count_pairs(left: Int32, right: Int32, shift: int, least: int, pool: Pool) -> tuple[Int32, Grams]:
    """Return the pairs (left[i], right[i + shift]) that occur at least `least` times.

    The id -2 is in no pair, and (-1, -1), an empty document, is no pair.

    Pairs are counted in parts whose hash tables fit into a cache. The result depends on the number of pairs, not on the
    number of threads.

    Parameters
    ----------
    left, right : ndarray of int32 (n,)

    Returns
    -------
    pair_ids : ndarray of int32 (n,)
        The number of the pair at each position, or -2.
    grams : Grams
        The pairs by decreasing count; with equal counts, in the order of the parts, then of first occurrence.

    Examples
    --------
    >>> ids = np.array([-1, 5, 7, -1, 5, -2, 7, -1], np.int32)
    >>> pair_ids, grams = count_pairs(ids, ids, 1, 1, Pool(1))
    >>> pair_ids.tolist(), grams.counts.tolist()
    ([0, 2, 1, 0, -2, -2, 1, -2], [2, 2, 1])
    """
    # Parts divide the pairs by a hash, pieces the positions: a piece for each thread
    parts = min(MOST_PARTS, 1 << (len(left) // PART_PAIRS).bit_length())
    pieces = list(itertools.pairwise(np.linspace(0, len(left), min(pool.threads, parts) + 1).astype(np.int64).tolist()))
    piece_sizes = np.empty((len(pieces), parts), np.int64)
    pool.run(lambda k: kernels.part_sizes(left, right, shift, *pieces[k], piece_sizes[k]), len(pieces))
    ends = np.cumsum(piece_sizes.T).reshape(parts, len(pieces))  # each part has pairs of all pieces, in order
    starts = np.ascontiguousarray((ends - piece_sizes.T).T)
    bounds = np.concatenate([np.zeros(1, np.int64), ends[:, -1]])
    pairs = np.empty(bounds[-1], np.uint64)
    moved = starts.copy()
    pool.run(lambda k: kernels.part_pairs(left, right, shift, *pieces[k], moved[k], pairs), len(pieces))
    numbers, counts, sizes = np.empty(len(pairs), np.int32), np.empty(len(pairs), np.int32), np.empty(parts, np.int64)
    tasks = [(first, min(first + PARTS_AT_ONCE, parts)) for first in range(0, parts, PARTS_AT_ONCE)]
    pool.run(lambda k: kernels.number_pairs(pairs, bounds, *tasks[k], numbers, counts, sizes), len(tasks))
    # The distinct pairs of a part, and their counts, are at its start
    different = np.repeat(bounds[:-1] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    kept = different[by_count(counts[different], least)]
    chosen = pairs[kept]
    left_ids, right_ids = (side.astype(np.uint32).view(np.int32) for side in (chosen >> np.uint64(32), chosen))
    grams = Grams(left_ids, right_ids, counts[kept].astype(np.int64))
    ranks = counts  # in the same memory: `grams` has a copy of the counts
    ranks[different] = NO_WORD
    ranks[kept] = np.arange(len(kept), dtype=np.int32)
    pair_ids = np.empty(len(left), np.int32)

    def rank(k: int) -> None:
        kernels.put_numbers(left, right, shift, *pieces[k], numbers, bounds, ranks, starts[k], pair_ids)

    pool.run(rank, len(pieces))
    return pair_ids, grams


def by_count(counts: Int32, least: int) -> Int64:
    """Return the places of the counts that are at least `least`, by decreasing count; equal ones stay in order.

    Examples
    --------
    >>> by_count(np.array([1, 2, 70_000, 2, 80_000], np.int32), 2)
    array([4, 2, 1, 3])
    """
    most = 0xFFFF
    order = np.argsort((most - np.minimum(counts, most)).astype(np.uint16), kind="stable")  # of 16 bits: radix sort
    first = order[: np.count_nonzero(counts >= most)]
    first[:] = first[np.argsort(-counts[first], kind="stable")]
    return order[: np.count_nonzero(counts >= least)]
