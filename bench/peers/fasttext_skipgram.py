r"""Quality and time of words alone and with character n-grams: fastembed, fastText and gensim, in one run.

    python bench/peers/fasttext_skipgram.py text.txt --similarity wordsim353.tsv --analogies questions-words.txt \
        [--min-count 5] [--seeds 3] [--epochs 1 2 5] [--plot docs/fasttext.svg]

Needs the package fasttext, which pip compiles. The runs go to .benchmarks/fasttext.json. This file is not called
fasttext.py, since Python would import it in place of the package. Without n-grams (maxn=0) fastText 0.9.3 stopped with
"Encountered NaN" on one and on two threads, though not on ten; so this comparison keeps them.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from fasttext import FastText
from gensim.models import FastText as GensimFastText
from quality import Trained, compete, fastembed
from word2vec import word2vec

from fastembed import Vectors


def gensim_fasttext(file: str, options: argparse.Namespace, epochs: int, seed: int) -> Trained:
    """Train gensim's FastText, as skip-gram, with its other defaults."""
    model = GensimFastText(
        corpus_file=file,
        sg=1,
        epochs=epochs,
        vector_size=options.dim,
        min_count=options.min_count,
        workers=options.threads,
        seed=seed,
    )
    return Vectors(model.wv.index_to_key, model.wv.vectors), model.save


def fasttext(file: str, options: argparse.Namespace, epochs: int, seed: int) -> Trained:
    """Train fastText with its own defaults."""
    FastText.unsupervised_default["seed"] = seed  # train_unsupervised takes its seed from here alone
    model = FastText.train_unsupervised(
        file,
        model="skipgram",
        dim=options.dim,
        minCount=options.min_count,
        epoch=epochs,
        thread=options.threads,
        verbose=0,
    )
    words = model.get_words()
    return Vectors(words, np.array([model.get_word_vector(word) for word in words])), model.save_model


if __name__ == "__main__":
    others = {
        "fastembed, subwords": partial(fastembed, subwords=True),
        "fastText": fasttext,
        "gensim": word2vec,
        "gensim FastText": gensim_fasttext,
    }
    compete("fasttext", __doc__.partition("\n")[0], ["fasttext", "gensim"], others)
