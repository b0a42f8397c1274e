r"""Quality and time of fastText's skip-gram with character n-grams and of fastembed, in one run.

    python bench/peers/fasttext_skipgram.py text.txt --similarity wordsim353.tsv --analogies questions-words.txt \
        [--min-count 5] [--seeds 3] [--epochs 1 2 5] [--plot docs/fasttext.svg]

Needs the package fasttext, which pip compiles. The runs go to .benchmarks/fasttext.json. This file is not called
fasttext.py, since Python would import it in place of the package. Without n-grams (maxn=0) fastText 0.9.3 stopped with
"Encountered NaN" on one and on two threads, though not on ten; so this comparison keeps them.
"""

from __future__ import annotations

import argparse

import numpy as np
from fasttext import FastText
from quality import compete

from fastembed import Vectors


def fasttext(file: str, options: argparse.Namespace, epochs: int, seed: int) -> Vectors:
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
    return Vectors(words, np.array([model.get_word_vector(word) for word in words]))


if __name__ == "__main__":
    compete("fasttext", __doc__.partition("\n")[0], "fasttext", fasttext)
