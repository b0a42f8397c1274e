r"""Quality and time of gensim's word2vec (skip-gram, negative sampling) and of fastembed, in one run.

    python bench/peers/word2vec.py text.txt --similarity wordsim353.tsv simlex999.txt --analogies questions-words.txt \
        [--min-count 5] [--seeds 3] [--epochs 1 2 5] [--plot docs/word2vec.svg]

The runs go to .benchmarks/word2vec.json.
"""

from __future__ import annotations

import argparse

from gensim.models import Word2Vec
from quality import Trained, compete

from fastembed import Vectors


def word2vec(file: str, options: argparse.Namespace, epochs: int, seed: int) -> Trained:
    """Train gensim's word2vec, with the usual window and threshold of subsampling."""
    model = Word2Vec(
        corpus_file=file,
        sg=1,
        negative=5,
        window=5,
        epochs=epochs,
        sample=1e-3,
        vector_size=options.dim,
        min_count=options.min_count,
        workers=options.threads,
        seed=seed,
    )
    return Vectors(model.wv.index_to_key, model.wv.vectors), model.save


if __name__ == "__main__":
    compete("word2vec", __doc__.partition("\n")[0], ["gensim"], {"gensim": word2vec})
