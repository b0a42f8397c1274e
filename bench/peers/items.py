r"""Items with attributes: how well items bought together with an item are predicted, also for new items.

    python bench/peers/items.py baskets.txt attributes.tsv [--min-count 50] [--dim 64] [--seeds 3]

Each line of the first file is a basket of items separated by spaces; the last tenth of the lines is held out. Each line
of the second file is an item and its attributes, separated by tabs; empty attributes are ignored. A tenth of the items,
drawn by the seed, is removed from all training baskets. An item is a bag of rows: its own, those of its attributes, or
both. Items without rows are predicted by popularity, which is the bias.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table
from scipy import sparse

from fastembed import Counts, Trainer, Vocabulary

TOPN = 10
CONTESTANTS = ("popularity", "own row", "attributes", "own row and attributes")


def read_attributes(path: Path) -> dict[str, list[str]]:
    """Return the attributes of each item, with the number of their column before them."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return {item: [f"{k} {value}" for k, value in enumerate(values) if value] for item, *values in lines}


def as_bags(rows: Sequence[Sequence[str]], names: dict[str, int]) -> Any:
    """Return bags, CSR (N, V_in): a weight of 1 for each name of a row that has a row of the embedding."""
    ids = [[names[name] for name in row if name in names] for row in rows]
    indptr = np.cumsum([0, *map(len, ids)])
    return sparse.csr_array((np.ones(indptr[-1]), np.concatenate([[], *ids]), indptr), (len(ids), len(names)))


@dataclass(frozen=True)
class Data:
    """The training data and the held-out data.

    Attributes
    ----------
    counts : Counts
        Counts of the items bought, weighted so that the pairs of an item in a basket sum to 1.
    bought, new : list of str
    later_bought, later_new : csr_array (baskets, items)
        Baskets held out that have one of the items bought.
    """

    counts: Counts
    bought: list[str]
    new: list[str]
    later_bought: Any
    later_new: Any

    @classmethod
    def read(cls, path: Path, min_count: int, seed: int) -> Data:
        """Return the data with the new items that the seed draws."""
        baskets = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        cut = len(baskets) * 9 // 10
        frequent = Vocabulary.from_corpus(baskets[:cut], min_count=min_count).tokens
        new = set(np.random.default_rng(seed).choice(list(frequent), len(frequent) // 10, replace=False).tolist())
        seen = [[item for item in basket if item not in new] for basket in baskets[:cut]]
        vocabulary = Vocabulary.from_corpus(seen, min_count=min_count)
        named = list(vocabulary.tokens), sorted(new)
        later = [as_bags(baskets[cut:], {item: n for n, item in enumerate(items)}) for items in named]
        used = later[0].sum(axis=1) > 0
        counts = Counts.from_baskets(seen, vocabulary, weighting="share")
        return cls(counts, *named, *(each[used] for each in later))

    def log_popularity(self) -> Any:
        """Return log p(c) for each item bought, float32."""
        weights = self.counts.to_scipy().sum(axis=0) + 0.5
        return np.log(weights / weights.sum()).astype(np.float32)

    def beside(self, items: Any) -> Any:
        """Return the weights (items, items bought) of items in the same baskets."""
        shares = self.later_bought.multiply(1 / self.later_bought.sum(axis=1)[:, None])
        pairs = (items.T @ shares).tolil()
        pairs.setdiag(0 if items is self.later_bought else pairs.diagonal())
        return pairs.tocsr()


def score(trainer: Trainer, data: Data, bags: tuple[Any, Any]) -> list[float]:
    """Return the nll given items bought and given new items, the share of hits, and that of recommendations.

    A new item of a basket is a hit if one of the `TOPN` most probable items given it is in the basket. It is
    recommended if it is among the `TOPN` new items i with the highest mean of log p(c | i) - log p(c) over the items c
    of the basket; ties share the ranks.
    """
    later = data.later_bought, data.later_new
    nll = [trainer.nll(data.beside(items), bags=own) for items, own in zip(later, bags, strict=True)]
    rows, items = data.later_new.nonzero()
    others = data.later_bought[rows]
    top = trainer.predict(bags[1], TOPN)[0]
    likely = np.zeros((len(data.new), len(data.bought)), bool)
    np.put_along_axis(likely, top, True, axis=1)
    hits = others.multiply(likely[items]).sum(axis=1) > 0
    scores = others @ (np.log(trainer.forward(bags[1])) - data.log_popularity()).T
    own = scores[np.arange(len(items)), items][:, None]
    better, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return [*nll, float(hits.mean()), float(np.clip((TOPN - better) / equal, 0, 1).mean())]


def contest(name: str, data: Data, attributes: dict[str, list[str]], dim: int, seed: int) -> list[float]:
    """Fit one contestant, and return its scores.

    Row 0 is in each bag and stays 0, so that no bag is empty.
    """
    parts = [
        [["", *(item,) * ("own row" in name), *attributes.get(item, []) * ("attributes" in name)] for item in items]
        for items in (data.bought, data.new)
    ]
    names = {part: n for n, part in enumerate(dict.fromkeys(part for row in parts[0] for part in row))}
    bags = as_bags(parts[0], names), as_bags(parts[1], names)
    embedding = np.random.default_rng(seed).standard_normal((len(names), dim)).astype(np.float32) / np.float32(dim**0.5)
    embedding[0] = 0
    linear = np.zeros((dim, len(data.bought)), np.float32)
    trainer = Trainer(embedding, linear, bias=data.log_popularity(), loss_scale=1)
    trainer.fit_counts(data.counts, bags=bags[0], frozen_rows=[0], seed=seed)
    return score(trainer, data, bags)


def main() -> None:
    """Measure for each seed, and print means."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("baskets", type=Path)
    parser.add_argument("attributes", type=Path)
    parser.add_argument("--min-count", type=int, default=50)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print_facts("Items with attributes")
    attributes = read_attributes(options.attributes)
    found: dict[str, list[list[float]]] = {name: [] for name in CONTESTANTS}
    for seed in range(options.seeds):
        data = Data.read(options.baskets, options.min_count, seed)
        print(f"{len(data.bought):,} items bought, {len(data.new):,} new, held out {data.later_new.nnz:,} times")
        for name, scores in found.items():
            scores.append(contest(name, data, attributes, options.dim, seed))
    rows = [
        (name, *(f"{m:.3f} ± {d:.3f}" for m, d in zip(np.mean(each, axis=0), np.std(each, axis=0), strict=True)))
        for name, each in found.items()
    ]
    print_table(("an item is", "nll beside items bought", "nll beside new items", "hits", "recommended"), rows)


if __name__ == "__main__":
    main()
