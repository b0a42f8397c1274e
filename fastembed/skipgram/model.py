"""`Model`: what a `SkipGram` answers from what it has learned."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastembed._base.lookup import check_token
from fastembed._base.threads import check_threads
from fastembed._base.validation import check_integer
from fastembed.corpus.documents import Documents, split_documents
from fastembed.corpus.ledger import Ledger
from fastembed.counts.counts import Counts
from fastembed.skipgram.document_means import mean_vectors
from fastembed.skipgram.file import read_model, write_model
from fastembed.skipgram.mixture import mixture
from fastembed.skipgram.parameters import Parameters
from fastembed.trainer.trainer import Trainer
from fastembed.vectors.queries import Token
from fastembed.vectors.vectors import Vectors
from fastembed.vocabulary import Vocabulary
from fastembed.windows import Windows

FITTED = (
    "vocabulary", "ledger", "windows_", "max_contexts_", "counts_sha256_", "trainer", "centre_", "history", "vectors",
)  # fmt: skip
"""The attributes that a fit sets, all at once."""


class Model(Parameters):
    """The half of `SkipGram` that uses what has been learned. The attributes are those of `SkipGram`."""

    vocabulary: Vocabulary
    ledger: Ledger | None
    windows_: Windows | None
    max_contexts_: int
    counts_sha256_: list[str]
    trainer: Trainer
    centre_: NDArray[np.float64]
    history: list[dict[str, float]]
    vectors: Vectors

    def vectors_for(self, purpose: str) -> Vectors:
        """Return the vectors that are best for a purpose.

        Parameters
        ----------
        purpose : {"analogies", "relatedness"}
            "analogies": `vectors`, the rows of the embedding, which are also the better ones for similarity in the
            strict sense (that of synonyms). "relatedness": unit(E_w) + 0.3 unit(c_w), with c_w the word's vector as a
            context, the sum of before and after; words that are no contexts have the first term only.

        Returns
        -------
        Vectors

        Raises
        ------
        AttributeError
            Before `fit`.
        ValueError
            If `purpose` is another.

        Notes
        -----
        From "analogies" to "relatedness", on Wikipedia: with 1M tokens WordSim-353 .570 to .573, SimLex-999 .213 to
        .209, Google analogies .148 to .135; with 16M tokens .686 to .689, .303 to .299, .464 to .460.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> model = SkipGram(dim=2, min_count=1, max_contexts=2).fit([["a", "b"], ["b", "c"]])
        >>> lengths = np.linalg.norm(model.vectors_for("relatedness").matrix, axis=1)
        >>> bool(lengths.max() <= 1.3), round(float(lengths[2]), 4)  # "c" is no context
        (True, 1.0)
        """
        trainer = self._fitted().trainer
        if purpose == "analogies":
            return self.vectors
        if purpose != "relatedness":
            raise ValueError(f"purpose must be 'analogies' or 'relatedness', got {purpose!r}")
        mixed = mixture(self.vectors.matrix, trainer.linear, directed=self._directed())
        return Vectors(self.vocabulary.tokens, mixed, counts=self.vocabulary.counts)

    def predict_output(self, word: Token, topn: int = 10, side: str | None = None) -> list[tuple[str, float]]:
        """Return the most probable contexts of a word, by the exact softmax over all contexts.

        Parameters
        ----------
        word : str or int
            One word, or its id.
        topn : int
            How many, at least 1; all contexts, if there are no more.
        side : {"before", "after"}, optional
            Which side of the word the context stands on; by default either.

        Returns
        -------
        list of (str, float)
            Contexts c and their probabilities, falling; equals in the order of the vocabulary. With p the softmax over
            the outputs, which are (side, c) in a directed model, the probability is

            - p(before, c) + p(after, c) without a side: of c as a context of the word, on whichever side;
            - p(side, c) / sum_k p(side, k) with one: of c as a context, given that it stands on this side.

            Either sums to 1 over all contexts. Pairs have the shares they were counted with: `weighting` makes near
            contexts count for more, and `sample` frequent ones for less, than their share of the text.

        Raises
        ------
        AttributeError
            Before `fit`.
        KeyError
            If the word is unknown; the message gives the closest spellings.
        TypeError, ValueError
            If `word` is neither a word nor an id, `side` is another, or the model does not tell the sides apart.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> corpus = [["new", "york", "city"], ["new", "york", "state"], ["old", "city"]] * 9
        >>> model = SkipGram(dim=3, window=1, min_count=1, sample=None, epochs=50).fit(corpus)
        >>> model.predict_output("york", topn=1, side="before")[0][0]
        'new'
        >>> round(sum(p for _, p in model.predict_output("york", topn=5, side="after")), 6)
        1.0
        """
        model = self._fitted()
        topn = check_integer("topn", topn, low=1)
        if side not in (None, "before", "after"):
            raise ValueError(f"side must be None, 'before' or 'after', got {side!r}")
        if side is not None and not self._directed():
            raise ValueError(f"side={side!r} needs a model with directed=True and a window on both sides")
        p = model.trainer.forward(check_token(word, model.vocabulary, model.vocabulary.tokens)).astype(np.float64)
        if self._directed():
            before, after = p.reshape(2, -1)
            p = before + after if side is None else before if side == "before" else after
        p /= p.sum()
        best = np.argsort(-p, kind="stable")[:topn].tolist()
        return [(model.vocabulary.tokens[c], float(p[c])) for c in best]

    def transform(self, documents: Documents) -> NDArray[np.float32]:
        """Return the mean of the vectors of each document's words.

        Parameters
        ----------
        documents
            As `corpus` for :meth:`SkipGram.fit`; they may have one word each, too.

        Returns
        -------
        ndarray (n_documents, D), float32
            A word counts as often as it comes; words outside the vocabulary are skipped. A document without any other
            is all zeros.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError, OSError
            As :meth:`SkipGram.fit` does for the corpus.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
        >>> means = model.transform(["a b", "unknown"])
        >>> bool(np.allclose(means[0], (model.vectors["a"] + model.vectors["b"]) / 2)), means[1].tolist()
        (True, [0.0, 0.0])
        """
        model = self._fitted()
        return mean_vectors(documents, model.vocabulary, model.vectors.matrix)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns that :meth:`transform` gives.

        Parameters
        ----------
        input_features
            Without effect; scikit-learn passes it.

        Returns
        -------
        ndarray of str objects (D,)

        Raises
        ------
        AttributeError
            Before `fit`.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> SkipGram(dim=2, min_count=1).fit(["a b", "b c"]).get_feature_names_out()
        array(['skipgram0', 'skipgram1'], dtype=object)
        """
        dim = self._fitted().vectors.matrix.shape[1]
        return np.array([f"{type(self).__name__.lower()}{k}" for k in range(dim)], dtype=object)

    def perplexity(self, corpus: Documents) -> float:
        """Return exp of the mean negative log-likelihood a pair of a text.

        Parameters
        ----------
        corpus
            As for :meth:`SkipGram.fit`. Words outside the vocabulary, and contexts outside the chosen ones, are left
            out.

        Returns
        -------
        float
            At least 1; the number of equally likely contexts that would be as hard to predict.

        Raises
        ------
        AttributeError
            Before `fit`.
        TypeError, ValueError, OSError
            As `fit` does for the corpus.

        Examples
        --------
        >>> from fastembed import SkipGram
        >>> corpus = [["a", "b"], ["b", "c"]] * 9
        >>> model = SkipGram(dim=2, min_count=1, sample=None).fit(corpus)
        >>> 1 < model.perplexity(corpus) < 6
        True
        """
        trainer = self._fitted().trainer
        text, windows = split_documents(corpus), asdict(self._text_windows())
        counts = Counts.from_corpus(text, self.vocabulary, **windows, threads=self.threads)
        return float(np.exp(trainer.nll(counts)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to one safetensors file, whole or not at all.

        It is a file of vectors too, which `Vectors.load` opens: the trainer's embedding, beside its linear layer and
        bias, how often each word came, and the sums that :meth:`SkipGram.partial_fit` goes on from. Its header holds,
        as JSON, the parameters (``settings``), the other attributes (``model``), and a ``manifest``: the version of
        fastembed, the seed, the SHA-256 of the counts trained on, and the last epoch's nll.

        Parameters
        ----------
        path : path-like
            The file to make or to replace.

        Raises
        ------
        AttributeError
            Before `fit`.
        OSError
            If the folder is missing or the disk refuses the data; the old file is then untouched.
        TypeError, ValueError
            If a parameter is not as it should be, or a word has no UTF-8 form.

        Examples
        --------
        >>> import tempfile
        >>> from fastembed import SkipGram
        >>> model = SkipGram(dim=2, min_count=1).fit(["a b", "b c"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     SkipGram.load(f"{folder}/model.safetensors")
        ...     Vectors.load(f"{folder}/model.safetensors")
        SkipGram(dim=2, min_count=1)
        <Vectors: 3 tokens, 2 dimensions, float32>
        """
        self._fitted()._check_parameters()
        settings = self.get_params()
        del settings["threads"]
        write_model(path, settings, {name: getattr(self, name) for name in FITTED})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Read a file of :meth:`save`.

        Parameters
        ----------
        path : path-like
        threads : int, optional
            As for the constructor: files do not hold it.

        Returns
        -------
        SkipGram
            Which gives the same bits as the one that was saved, and can be trained on. Its vectors are mapped from the
            file into memory: it may be replaced (on Windows only once these vectors are gone), but not be shortened.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If it does not hold a whole model.

        Examples
        --------
        See :meth:`save`.
        """
        settings, fitted = read_model(path, check_threads(threads))
        if isinstance(settings.get("window"), list):
            settings["window"] = tuple(settings["window"])
        try:
            model = cls().set_params(**settings, threads=threads)
            model._check_parameters()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} does not hold settings of a {cls.__name__}: {error}") from error
        vars(model).update(fitted)
        return model

    def _text_windows(self) -> Windows:
        if self.windows_ is None:
            raise ValueError("this SkipGram was fitted to counts that are not those of windows over a text")
        return self.windows_

    def _fitted(self) -> Self:
        if not hasattr(self, "trainer"):
            raise AttributeError("this SkipGram has not been fitted yet: call fit first")
        return self

    def _directed(self) -> bool:
        return self.windows_ is not None and self.windows_.directed
