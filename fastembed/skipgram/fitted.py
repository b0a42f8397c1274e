"""`FittedModel`: the fitted state of a `SkipGram`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from fastembed._base.warning import warn_user
from fastembed.corpus.documents import Documents
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import DocumentCorpus, FileCorpus
from fastembed.corpus.reading import Reading
from fastembed.counts.alignment import align_counts
from fastembed.counts.counts import Counts
from fastembed.counts.store import CountsStore
from fastembed.skipgram.options import Baskets, SkipGramOptions
from fastembed.skipgram.subwords import Subwords
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.subwords import NgramDictionary
from fastembed.vectors.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows


@dataclass(frozen=True, eq=False)
class FittedModel:
    """The result of training, which a `SkipGram` exposes and its file stores. `SkipGram` documents each attribute.

    With `subwords`, `features` is the trainer of the rows of n-grams and words, which further training continues, and
    `trainer` holds the vectors composed from them.
    """

    vectors: Vectors
    vocabulary: Vocabulary
    trainer: Trainer
    centre: NDArray[Any]
    history: list[dict[str, float]]
    ledger: Ledger | None
    windows: Windows | None
    max_contexts: int
    counts_sha256: list[str]
    baskets: str | None = None
    subwords: Subwords | None = None
    features: Trainer | None = None

    @classmethod
    def of_parts(cls, parts: dict[str, Any]) -> FittedModel:
        """Return the model with these parts, the inverse of :meth:`parts`."""
        subwords = parts.get("subwords")
        return cls(**parts | {"subwords": subwords and Subwords(**subwords)})

    def parts(self) -> dict[str, Any]:
        """Return the attributes for a pickle, without objects of private classes."""
        return vars(self) | {"subwords": self.subwords and self.subwords.parts()}

    @property
    def directed(self) -> bool:
        """Whether the contexts before a word and those after it are different outputs."""
        return self.windows is not None and self.windows.directed

    @property
    def composer(self) -> NgramDictionary | None:
        """The composer of vectors for words that are not in the vocabulary."""
        if self.subwords is None or self.features is None:
            return None
        return self.subwords.composer(self.features.embedding, self.centre)

    @property
    def best_epoch(self) -> int:
        """The epoch of the last fit that the parameters are from, from 1; 0 before the first epoch has ended."""
        for record in reversed(self.history):
            if record.get("kept"):
                return int(record["epoch"])
            if record["epoch"] == 1:
                break
        return int(self.history[-1]["epoch"]) if self.history else 0

    def reading_of(self, corpus: Documents, asked: Reading | None) -> Reading | None:
        """Return how to read a text: by the corpus' own reading, that given by the user, or that of the model's text.

        Warn if the text of the model was read in another way.
        """
        given = corpus.reading if isinstance(corpus, FileCorpus | DocumentCorpus) else asked
        if given is None:
            return self.vocabulary.reading
        self._warn_of_other_reading("the text is", given)
        return given

    def _warn_of_other_reading(self, what: str, given: Reading | None) -> None:
        """Warn if both readings are known and differ."""
        own = self.vocabulary.reading
        if given is not None and own is not None and given.record() != own.record():
            warn_user(f"{what} read by {given}, but that of the model was read by {own}")

    def pairing(self) -> Windows | Baskets:
        """Return the windows or baskets of the model; raise ValueError if it was fitted to other counts."""
        if self.windows is not None:
            return replace(self.windows, max_contexts=self.max_contexts)
        if self.baskets is not None:
            return Baskets(self.baskets, self.max_contexts)
        raise ValueError(
            "this SkipGram was fitted to counts of pairs, not of text or baskets: it takes Counts or a file of them"
        )

    def aligned(
        self, counts: Counts | CountsStore, vocabulary: Vocabulary | None = None, *, name: str = "counts"
    ) -> Counts | CountsStore:
        """Return counts with the rows and columns of this model, or of its vocabulary as it has grown.

        Unknown tokens are dropped. A store that already has these rows and columns is not read; other counts are then
        in memory. Raise TypeError or ValueError as :meth:`check_alike`; warn if their text was read in another way.
        """
        self.check_alike(counts, name)
        assert counts.vocabulary is not None
        self._warn_of_other_reading(f"the text of {name} was", counts.vocabulary.reading)
        return align_counts(counts, vocabulary or self.vocabulary, self.max_contexts)

    def check_same_shape(self, options: SkipGramOptions) -> None:
        """Raise ValueError if parameters have been set since the fit that need a model of another shape."""
        lengths = False if self.subwords is None else self.subwords.lengths
        for name, own in (("dim", self.vectors.matrix.shape[1]), ("subwords", lengths)):
            if getattr(options, name) != own:
                raise ValueError(
                    f"{name}={getattr(options, name)} has been set, but the model was fitted with {name}={own}: set"
                    " that again to go on, or call fit for a new model"
                )

    def check_alike(self, counts: Counts | CountsStore, name: str) -> None:
        """Raise TypeError or ValueError unless these are counts with tokens, counted in the same way as the model's."""
        if not isinstance(counts, Counts | CountsStore):
            raise TypeError(f"{name} must be Counts, got {type(counts).__name__}")
        if counts.vocabulary is None:
            raise ValueError(f"{name} have no tokens, by which the model would know them: count with a Vocabulary")
        theirs = _description(counts.windows, counts.baskets)
        if theirs != (ours := _description(self.windows, self.baskets)):
            raise ValueError(f"{name} are those of {theirs}, but the model was fitted to {ours}")


def _description(windows: Windows | None, baskets: str | None) -> str:
    """Return a description of how pairs were counted."""
    if windows is not None:
        return str(replace(windows, max_contexts=None))
    return "pairs" if baskets is None else f"baskets with the weighting {baskets!r}"
