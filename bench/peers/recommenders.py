r"""Recommendation to users that training never saw: ours with its defaults, EASE and implicit's ALS tuned.

    python bench/peers/recommenders.py DATA... [--one-hidden] [--seeds 3] [--dim 128] [--ease 12000]
    python bench/peers/recommenders.py --made 138000 27000 20000000 [--dim 128]

A line of DATA has the items of a user, separated by commas in a .csv file and by spaces in others; it may be
compressed (.xz). A fifth of the users, drawn by the seed, are for the test, a tenth for validation, at most 10,000 and
5,000. A fifth of the items of each is hidden, or one. EASE (Steck 2019) and ALS have the strengths that are best on the
validation users by NDCG@100; ours never sees these. The seconds are those of one fit on one thread, tuning not
included: of EASE and ALS with their chosen strengths. With --made, only ours and ALS, on drawn users: time and memory.
"""

from __future__ import annotations

import argparse
import lzma
import resource
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_facts
from rounds import print_table
from scipy import linalg, sparse

from fastembed import Recommender

TOPN, RECALL, HITS = 100, 20, 10
EASE_RIDGES = (3, 10, 30, 100, 300, 1000, 3000)
ALS_STRENGTHS = tuple(product((1, 10, 40), (0.1, 3, 30, 100)))  # alpha, regularization
BLOCK = 256
Scores = Callable[[Any], Any]


def read(path: Path) -> Any:
    """Return the users and the items of a file, csr (U, V), binary."""
    separator = "," if path.suffix == ".csv" else None
    names: dict[str, int] = {}
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open(encoding="utf-8") as file:
        rows = [sorted({names.setdefault(item, len(names)) for item in line.strip().split(separator)}) for line in file]
    return matrix(rows, len(names))


def matrix(rows: Iterable[Any], items: int) -> Any:
    """Return csr (U, V) with a 1 for each item of each row."""
    rows = list(rows)
    ends = np.cumsum([0, *map(len, rows)])
    ids = np.concatenate(rows).astype(np.int32)
    return sparse.csr_array((np.ones(len(ids), np.float32), ids, ends), (len(rows), items))


def split(x: Any, seed: int, one: bool, most: int) -> tuple[Any, tuple[Any, Any], tuple[Any, Any]]:
    """Return the users to learn from, and the seen and hidden items of the validation and of the test users."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(x.shape[0])
    test, validation = min(len(order) // 5, 10_000), min(len(order) // 10, 5_000)
    train = x[order[test + validation :]]
    known = np.flatnonzero(train.sum(axis=0))

    def parts(users: Any) -> tuple[Any, Any]:
        part = x[users][:, known]
        part = part[np.diff(part.indptr) > 1][:most]
        rows = [rng.permutation(row) for row in np.split(part.indices, part.indptr[1:-1])]
        cuts = [1 if one else max(1, round(len(row) / 5)) for row in rows]
        hidden = matrix((row[:cut] for row, cut in zip(rows, cuts, strict=True)), len(known))
        return matrix((row[cut:] for row, cut in zip(rows, cuts, strict=True)), len(known)), hidden

    return train[:, known], parts(order[test : test + validation]), parts(order[:test])


def quality(scores: Scores, seen: Any, hidden: Any) -> Any:
    """Return NDCG@100, recall@20 and the hit rate at 10 of each user, (3, N): hits of the best items not seen.

    NDCG and recall are 1 at most: the number of hidden items, if it is smaller, takes the place of 100 and 20.
    """
    discounts = 1 / np.log2(np.arange(2, TOPN + 2))
    found = []
    for first in range(0, seen.shape[0], BLOCK):
        known, expected = seen[first : first + BLOCK], hidden[first : first + BLOCK].toarray() > 0
        s = np.array(scores(known), np.float32)
        s[known.nonzero()] = -np.inf
        most = min(TOPN, s.shape[1])
        best = np.argpartition(-s, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(s, best, axis=1), axis=1, kind="stable")
        hits = np.take_along_axis(expected, np.take_along_axis(best, order, axis=1), axis=1)
        count = expected.sum(axis=1)
        ideal = np.cumsum(discounts)[np.minimum(count, TOPN) - 1]
        found.append(
            [
                hits @ discounts[:most] / ideal,
                hits[:, :RECALL].sum(axis=1) / np.minimum(count, RECALL),
                hits[:, :HITS].any(axis=1),
            ]
        )
    return np.concatenate(found, axis=1)


def popularity(x: Any) -> Scores:
    shares = x.sum(axis=0)
    return lambda seen: np.broadcast_to(shares, seen.shape)


def cosine(x: Any) -> Scores:
    lengths = sparse.diags_array(1 / np.sqrt(x.sum(axis=0)))
    similar = (lengths @ (x.T @ x) @ lengths).tocsr()
    similar.setdiag(0)
    return lambda seen: (seen @ similar).toarray()


class Ease:
    """EASE with any ridge λ: B = I - P / diag(P) with P = (XᵀX + λ I)⁻¹, from the matrix of users or of items.

    With fewer users than items, P = (I - Xᵀ (XXᵀ + λ I)⁻¹ X) / λ, and the eigenvectors of XXᵀ serve all λ.
    """

    def __init__(self, x: Any) -> None:
        self.x, self.by_users = x, x.shape[0] < x.shape[1]
        gram = (x @ x.T if self.by_users else x.T @ x).toarray().astype(np.float64)
        self.values, basis = linalg.eigh(gram, overwrite_a=True)
        self.basis = basis.astype(np.float32)
        self.rotated = np.asarray(x.T @ self.basis).T if self.by_users else None

    def scores(self, ridge: float) -> Scores:
        """Return the scores with a ridge."""
        inverse = (1 / (np.maximum(self.values, 0) + ridge)).astype(np.float32)
        if self.rotated is None:
            p = (self.basis * inverse) @ self.basis.T
            b = -p / p.diagonal()
            np.fill_diagonal(b, 0)
            return lambda seen: seen @ b
        rotated = self.rotated
        diagonal = 1 - inverse @ rotated**2
        return lambda seen: (((seen @ self.x.T) @ self.basis * inverse) @ rotated - seen.toarray()) / diagonal


def als(x: Any, dim: int, alpha: float, regularization: float) -> Scores:
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=dim, alpha=alpha, regularization=regularization, iterations=15, num_threads=1, random_state=0
    )
    model.fit(x, show_progress=False)
    return lambda seen: model.recalculate_user(np.arange(seen.shape[0]), seen) @ model.item_factors.T


def ours(x: Any, dim: int) -> Scores:
    return Recommender(dim=dim, threads=1).fit(x).predict_proba


def tuned(fit: Callable[..., Scores], strengths: Iterable[Any], validation: Any) -> tuple[Any, Scores, float]:
    """Return the best strengths on the validation users, the scores with them, and the seconds of that fit."""
    best: tuple[float, Any, Any, float] = (-1.0, None, None, 0.0)
    for each in strengths:
        scores, seconds = timed(lambda each=each: fit(*each))
        ndcg = quality(scores, *validation)[0].mean()
        if ndcg > best[0]:
            best = ndcg, each, scores, seconds
    return best[1:]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def contest(x: Any, seed: int, options: argparse.Namespace) -> Iterable[tuple[str, Any, float]]:
    """Yield the name of each contestant, its quality per test user, and the seconds of its fit."""
    train, validation, test = split(x, seed, options.one_hidden, options.users)
    print(f"{train.shape[0]:,} users with {train.nnz:,} of {train.shape[1]:,} items; {test[0].shape[0]:,} for the test")
    for name, fit in {"popularity": popularity, "item cosine": cosine}.items():
        scores, seconds = timed(lambda fit=fit: fit(train))
        yield name, quality(scores, *test), seconds
    if min(train.shape) <= options.ease:
        ease, seconds = timed(lambda: Ease(train))
        strengths, scores, more = tuned(ease.scores, [(ridge,) for ridge in EASE_RIDGES], validation)
        print(f"EASE: ridge {strengths[0]}")
        yield "EASE, tuned", quality(scores, *test), seconds + more
    strengths, scores, seconds = tuned(lambda *each: als(train, options.dim, *each), ALS_STRENGTHS, validation)
    print(f"ALS: alpha {strengths[0]}, regularization {strengths[1]}")
    yield "implicit ALS, tuned", quality(scores, *test), seconds
    scores, seconds = timed(lambda: ours(train, options.dim))
    yield "ours", quality(scores, *test), seconds


def drawn(users: int, items: int, entries: int) -> Any:
    """Return a made matrix: log-normal numbers of items per user, which are drawn by Zipf's law."""
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(0, 1, users)
    shares = np.cumsum(1 / np.arange(1, items + 1))
    rows = np.repeat(np.arange(users), np.maximum(1, sizes * (1.6 * entries / sizes.sum())).astype(np.int64))
    columns = np.searchsorted(shares, rng.random(len(rows)) * shares[-1])
    x = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), (users, items))
    x.sum_duplicates()
    x.data[:] = 1
    return x


def main() -> None:
    """Measure, and print a table per file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--one-hidden", action="store_true", help="hide one item of each user, not a fifth")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dim", type=int, default=128, help="also the factors of ALS")
    parser.add_argument("--ease", type=int, default=12_000, help="largest number of users or items of EASE")
    parser.add_argument("--users", type=int, default=3_000, help="most users of the test and of the validation")
    parser.add_argument("--made", type=int, nargs=3, metavar=("USERS", "ITEMS", "ENTRIES"))
    parser.add_argument("--threads", type=int, default=2, help="of ours with --made")
    options = parser.parse_args()
    print_facts("Recommendation to new users", "implicit")
    if options.made:
        x = drawn(*options.made)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{x.shape[0]:,} users, {x.shape[1]:,} items, {x.nnz:,} entries; {before:.2f} GiB before", flush=True)
        model = Recommender(dim=options.dim, threads=options.threads)
        spent = time.process_time()
        seconds = timed(lambda: model.fit(x))[1]
        spent = time.process_time() - spent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{seconds:.0f} s; {spent:.0f} CPU s; {peak:.2f} GiB", flush=True)
        some = np.arange(2_000)
        for what in ("whose vectors are found first", "again"):
            print(
                f"{len(some) / timed(lambda: model.recommend(users=some))[1]:,.0f} users per second, {what}", flush=True
            )
        return
    for path in options.data:
        x = read(path)
        found: dict[str, list[Any]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            for name, per_user, spent in contest(x, seed, options):
                found.setdefault(name, []).append(per_user)
                seconds.setdefault(name, []).append(spent)
                print(f"  {seed}: {name}: {per_user.mean(axis=1).round(4)}, {spent:.1f} s", flush=True)
        rows_of_table = []
        for name, each in found.items():
            mean, users = np.mean([part.mean(axis=1) for part in each], axis=0), np.concatenate(each, axis=1)
            error = users.std(axis=1) / users.shape[1] ** 0.5
            cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)]
            rows_of_table.append((name, *cells, f"{np.mean(seconds[name]):.1f}"))
        print(f"{path.name}, {options.seeds} splits, D = {options.dim}")
        print_table((path.name, f"NDCG@{TOPN}", f"recall@{RECALL}", f"hit rate at {HITS}", "seconds"), rows_of_table)


if __name__ == "__main__":
    main()
