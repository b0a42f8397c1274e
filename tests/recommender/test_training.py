"""The objective of the recommender by independent programs, its strengths and threads."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse, special

from fastembed import Recommender, Trainer
from fastembed._base.threads import Pool
from fastembed.recommender import item_to_item, strengths, training
from fastembed.recommender.item_to_item import Ease, nearest_weights
from fastembed.recommender.model import DAMPING_EXPONENT, FLOOR, fold, log_probabilities
from fastembed.recommender.options import RecommenderOptions
from fastembed.trainer.run import Run

POOL = Pool(1)


def fit(x, options, pool):
    return training.trained_model(x, options, options.epochs or training.epochs_for(x.shape, x.nnz), Run(pool))


@pytest.fixture(scope="module")
def taken():
    """Weights of 40 items that 600 users of two kinds took, (600, 40)."""
    rng = np.random.default_rng(0)
    likely = np.full((600, 40), 0.08)
    likely[:300, :15] = likely[300:, 15:30] = 0.4
    return sparse.csr_array(((rng.random(likely.shape) < likely) * rng.integers(1, 4, likely.shape)).astype(np.float32))


@pytest.fixture(scope="module")
def fitted(taken):
    """The model and the rows of the users."""
    model, _ = fit(taken, RecommenderOptions(6, None, 0), POOL)
    return model, fold(taken, model, POOL)


def log_counts(x, model):
    """Return the counts of weights, (N, V), float64."""
    return np.log2(1 + x.toarray().astype(float) / model.median_weight)


def objective(d, n, model, ridge):
    """Return the objective of the row d of a user with the counts n, given W."""
    x = d @ model.linear.astype(float) + model.bias
    damping = (n.sum() / model.median_total) ** -DAMPING_EXPONENT
    return damping * (n.sum() * special.logsumexp(x) - n @ x) + ridge / 2 * d @ d


def test_the_row_of_a_user_is_the_optimum_that_scipy_finds(taken, fitted):
    model, rows = fitted
    for u, n in zip((0, 5, 599), log_counts(taken[[0, 5, 599]], model), strict=True):
        best = optimize.minimize(objective, np.zeros(6), (n, model, model.ridge), method="BFGS", options={"gtol": 1e-7})
        assert_allclose(rows[u], best.x, atol=1e-4)
    assert_allclose(fold(taken[[5, 3]], model, POOL), rows[[5, 3]], atol=1e-4)
    assert not fold(taken[:1] * 0, model, POOL).any()


def test_training_goes_down_the_gradient_in_w_of_the_objective(taken, fitted):
    """The gradient in a column of W by differences; a first step of `fit_counts` from there goes against it."""
    model, rows = fitted
    n, d = log_counts(taken, model), rows.astype(float)
    damping = (n.sum(axis=1) / model.median_total) ** -DAMPING_EXPONENT

    def loss(flat):
        x = d @ flat.reshape(6, 40) + model.bias
        return damping @ (n.sum(axis=1) * special.logsumexp(x, axis=1) - (n * x).sum(axis=1))

    w = model.linear.astype(float).ravel()
    gradient = optimize.approx_fprime(w, loss, 1e-6).reshape(6, 40)
    trainer = Trainer(rows, model.linear, bias=model.bias)
    totals = n.sum(axis=1)
    trainer.fit_counts(
        sparse.csr_array(n), epochs=1, learning_rate=0, linear_learning_rate=1e-2, block_size=600,
        input_weights=totals ** (1 - DAMPING_EXPONENT),
    )  # fmt: skip
    step = np.asarray(trainer.linear, float) - model.linear
    cosines = -(step * gradient).sum(axis=0) / np.linalg.norm(step, axis=0) / np.linalg.norm(gradient, axis=0)
    assert cosines.min() > 0.999
    assert_allclose(np.linalg.norm(step, axis=0), 1e-2, rtol=1e-3)


def test_a_column_of_the_item_to_item_model_is_a_ridge_regression_on_the_items_beside_it(taken):
    b = nearest_weights(taken, POOL, 300).toarray()
    x = taken.toarray().astype(float)
    ridges = 16 * np.sqrt(x.sum(axis=0))
    for item in (0, 17, 39):
        others = (x.T @ x[:, item] > 0) & (np.arange(40) != item)
        matrix = x[:, others].T @ x[:, others] + np.diag(ridges[others])
        right = x[:, others].T @ x[:, item]
        assert np.linalg.norm(matrix @ b[others, item] - right) < 1.1e-3 * np.linalg.norm(right)
        assert not b[~others, item].any()


@pytest.mark.parametrize("items", [1, 3, 65, 5000])
def test_the_counts_of_pairs_are_the_product_of_the_matrix_with_itself(items, monkeypatch):
    monkeypatch.setattr(item_to_item, "PAIRS_PER_TASK", 50)
    rng = np.random.default_rng(items)
    places = np.append(np.arange(items), rng.integers(items, size=2 * items)).astype(np.int32)  # each item has a user
    weights = (10.0 ** rng.uniform(-15, 3, 3 * items)).astype(np.float32)  # from the smallest that is taken
    n = sparse.csr_array((weights, (rng.integers(300, size=3 * items, dtype=np.int32), places)), (300, items))
    begins, ends, diagonals, ids, g = item_to_item.pair_counts(n.T.tocsr(), Pool(2))
    rows = np.repeat(np.arange(items), ends - begins[:-1])
    at = np.concatenate([np.arange(*each) for each in zip(begins, ends, strict=False)])
    expected = (n.astype(float).T @ n.astype(float)).tocsr()
    expected.sort_indices()
    assert_array_equal(np.stack([rows, ids[at]]), np.stack(expected.nonzero()))
    assert_allclose(g[at], expected.data, rtol=1e-5)
    assert_array_equal(ids[diagonals], np.arange(items))


@pytest.mark.parametrize("users", [600, 25])
def test_ease_is_the_ridge_regression_of_an_item_on_all_others(taken, users, monkeypatch):
    taken = taken[:users, np.flatnonzero(taken[:users].sum(axis=0))]
    x, b, c = taken.toarray().astype(float), Ease(taken).weights(4, POOL).toarray(), 0
    others = np.arange(1, len(b))
    matrix = x[:, others].T @ x[:, others] + np.diag(4 * np.sqrt(x[:, others].sum(axis=0)))
    assert_allclose(b[others, c], np.linalg.solve(matrix, x[:, others].T @ x[:, c]), atol=1e-5)
    assert not b.diagonal().any()
    assert_allclose(Ease(taken).predicted(taken, 4)[x == 0], (x @ b)[x == 0], atol=1e-5)
    alike = sparse.csr_array(np.ones((20, 500), np.float32))
    assert np.bincount(Ease(alike).weights(4, POOL).indices).max() == 300
    # where rounding makes the matrix of users singular
    found = item_to_item.item_weights(alike, POOL, ease_factor=1e-30)
    assert_array_equal(found.toarray(), nearest_weights(alike, POOL, 300).toarray())
    monkeypatch.setattr(item_to_item, "NEIGHBOURS", 3)
    few = Ease(taken).weights(4, POOL).toarray()
    assert set(np.flatnonzero(few[:, c])) == set(np.argsort(-np.abs(b[:, c]) * np.sqrt(x.sum(axis=0)))[:3])


@pytest.fixture
def chosen(monkeypatch):
    """The arguments and the result of each call of `choose_strengths`."""
    calls, choose = [], training.choose_strengths

    def spied(*given):
        calls.append((given, choose(*given)))
        return calls[-1][1]

    monkeypatch.setattr(training, "choose_strengths", spied)
    return calls


def test_the_item_to_item_model_has_the_nearest_neighbours_of_the_most_frequent_items(taken, monkeypatch):
    x = np.ones((100, 60), np.float32)
    x[1:, 55:] = 0
    assert np.bincount(nearest_weights(sparse.csr_array(x), POOL, 300).indices).tolist() == [50] * 55 + [32] * 5
    monkeypatch.setattr(item_to_item, "MOST_PAIRS", 400)
    b = nearest_weights(taken, POOL, 3).toarray()
    users = np.bincount(taken.indices, minlength=40)
    with_neighbours = np.flatnonzero(b.any(axis=0))
    assert len(with_neighbours) == 20
    assert users[with_neighbours].min() >= np.delete(users, with_neighbours).max()
    x = taken.toarray()[:, with_neighbours]
    cosines = x.T @ x / np.linalg.norm(x, axis=0) / np.linalg.norm(x, axis=0)[:, None]
    np.fill_diagonal(cosines, -1)
    for k, item in enumerate(with_neighbours):
        assert set(np.flatnonzero(b[:, item])) == set(with_neighbours[np.argsort(-cosines[:, k])[:3]])


def test_scores_are_the_product_of_both_models(taken, fitted):
    model, rows = fitted
    a, g, h = model.factors
    linked = np.log1p(np.maximum(log_counts(taken, model) @ model.item_weights.toarray(), 0) / FLOOR)
    expected = special.log_softmax(a * model.bias + g * (rows @ model.linear) + h * linked, axis=1)
    assert_allclose(log_probabilities(rows, taken, model), expected, atol=1e-4)


def calibrated(kind, first, second):
    """Return the best factors of two arrays of logits, of items of which 1 is seen and 2 hidden, by SciPy."""
    sizes = (kind == 2).sum(axis=1)

    def objective(factors):
        log_p = special.log_softmax(np.where(kind == 1, -np.inf, factors[0] * first + factors[1] * second), axis=1)
        of_users = np.where(kind == 2, log_p, 0).sum(axis=1) / np.maximum(sizes, 1)
        return 1.5 * ((factors - 1) ** 2).sum() - of_users @ sizes**0.5

    return optimize.minimize(objective, np.ones(2), bounds=[(0.05, None)] * 2).x


def best_strengths(model, shown, seen, hidden):
    """Return the ridge, that of `Ease`, and the factors that the hidden items choose, as the derivation says."""
    n, of_seen, bias = shown.toarray().astype(float), seen.toarray().astype(float), model.bias.astype(float)
    kind = (of_seen > 0) + 2 * (hidden.toarray() > 0)
    rows, columns = np.nonzero(kind == 2)
    ideal = np.cumsum(1 / np.log2(np.arange(2, 102)))[np.bincount(rows) - 1]

    def mixed(first, second, around, width):
        """Return the highest NDCG and the share of the second that is chosen, of those around one."""
        shares, ndcg = [0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.96, 1], {}
        for share in shares[max(0, shares.index(around) - width) : shares.index(around) + width + 1]:
            x = np.where(kind == 1, -np.inf, (1 - share) * first + share * second)
            above = (x[rows] > x[rows, columns][:, None]).sum(axis=1)
            ndcg[share] = np.bincount(rows, (above < 100) / np.log2(above + 2)) / ideal
        best = max(ndcg.values(), key=np.mean)
        near = [s for s, each in ndcg.items() if np.mean(best - each) <= np.std(best - each) / 2 / len(best) ** 0.5]
        return best.mean(), min(near, key=lambda share: abs(share - 0.6))

    def climbed(tried, middle, down, up, width=1, least=0):
        """Return the best (NDCG, share, value, factors, logits)."""
        start = best = tried(middle, 0.6, 9)
        for values in (down, up):
            for value in values if best is start and best[0] >= least else ():
                if (found := tried(value, best[1], width))[0] <= best[0]:
                    break
                best = found
        return best

    def alone(logits, place):
        a, factor = calibrated(kind, np.broadcast_to(bias, logits.shape), logits)
        return np.insert([a, 0.0], place, factor), a * bias + factor * logits

    def linked(b):
        return alone(np.log1p(np.maximum(of_seen @ b, 0) / 0.1), 2)

    def with_ridge(ridge, *around):
        weights = sparse.csr_array(model.median_weight * (2**of_seen - 1), dtype=np.float32)
        rows = fold(weights, replace(model, ridge=ridge), POOL)
        factors, x = alone(rows @ model.linear.astype(float), 1)
        return *mixed(x, nearest[1], *around), ridge, factors, x

    def with_ease(k, *around):
        inverse = np.linalg.inv(n.T @ n + np.diag(np.maximum(k * np.sqrt(n.sum(axis=0)), 1e-9)))
        factors, x = linked(-inverse / inverse.diagonal() * (1 - np.eye(len(bias))))
        return *mixed(low[4], x, *around), k, factors, x

    def with_bias_scale(scale, *around):
        parts = [x - (1 - scale) * factors[0] * bias for *_, factors, x in (low, second)]
        ndcg, share = mixed(*parts, *around)
        factors, x = ((1 - share) * one + share * other for one, other in ((low[3], second[3]), parts))
        return ndcg, share, scale, factors * [scale, 1, 1], x

    nearest = linked(model.item_weights.toarray().astype(float))
    low = climbed(with_ridge, 2, (0.75, 0.3), (5, 12))
    second = max((*low[:2], 0, *nearest), climbed(with_ease, 16, (4, 1), (64,), least=low[0]), key=lambda each: each[0])
    *_, factors, x = climbed(with_bias_scale, 0.5, (0.25, 0.1), (0.75, 1), 2)
    candidates = (np.where(kind == 1, -np.inf, each) for each in (x, np.broadcast_to(bias, x.shape)))
    found = [((each[rows] > each[rows, columns][:, None]).sum(axis=1) < 10).mean() for each in candidates]
    factors = calibrated(np.where((kind == 2) & ~n.any(axis=0), 0, kind), 0 * x, x)[1] * factors
    return low[2], second[2], *factors, *found


@pytest.mark.parametrize(("seed", "noise", "size"), [(5, 0.06, 10), (21, 0.2, 15), (16, 0.3, 20)])
def test_the_strengths_are_those_that_the_hidden_items_of_users_kept_away_choose(
    seed, noise, size, chosen, monkeypatch
):
    rng = np.random.default_rng(seed)
    likely = np.where(rng.integers(6, size=150) == rng.integers(6, size=(800, 1)), 1, noise) * rng.gamma(0.4, size=150)
    likely *= size * rng.gamma(2, 0.5, (800, 1)) / likely.sum(axis=1)[:, None]
    x = sparse.csr_array((rng.random(likely.shape) < likely) * rng.integers(1, 4, likely.shape), dtype=np.float32)
    calls, train = [], training.train
    monkeypatch.setattr(training, "train", lambda *given: calls.append(given[1]) or train(*given))
    monkeypatch.setattr(strengths, "CHOICE_TOLERANCE", 1e-5)
    model, records = fit(x, RecommenderOptions(6, None, 0), POOL)
    ((first, (shown, seen, hidden), _), strength), data = chosen[0], calls[1]
    ease = strength.ease_factor
    n, sizes = log_counts(x, model), np.diff(x.indptr)
    assert_allclose(data.input_weights, n.sum(axis=1) ** 0.5, rtol=1e-6)
    away = np.flatnonzero((np.diff(shown.indptr) == 0) & (sizes > 0))
    assert len(away) == round((sizes >= 2).sum() / 4)
    assert_array_equal(np.diff(hidden.indptr), np.maximum(1, np.round(0.2 * sizes[away])))
    n[away] -= seen.toarray() + hidden.toarray()
    assert_allclose(shown.toarray(), n, atol=1e-6)
    found = [records[-1][name] for name in ("found", "found_by_popularity")]
    expected = best_strengths(first, shown, seen, hidden)
    assert_allclose([model.ridge, ease, *model.factors, *found], expected, rtol=0.01)
    assert 0 < found[1] < found[0] < 1


def test_strengths_need_two_hundred_hidden_items():
    x = sparse.csr_array(np.ones((800, 2), np.float32))
    assert strengths.hide_items(x, 0).hidden.nnz == 200
    assert strengths.hide_items(x[4:], 0) is None


def test_heavy_users_count_less_in_pairs_of_items():
    n = sparse.csr_array([[1.0], [1], [1], [1], [1], [8], [400], [401]], dtype=np.float32)
    assert_allclose(item_to_item.damp_heavy_users(n).data, [1, 1, 1, 1, 1, 8 * 2**-0.25, 400 * 100**-0.25], rtol=1e-6)


@pytest.mark.parametrize("copies", [1, 20])
def test_a_few_baskets_have_moderate_probabilities(copies):
    baskets = ["bread butter jam", "bread butter", "bread jam", "nails hammer", "nails saw", "bread nails"] * copies
    model = Recommender(threads=1).fit([basket.split() for basket in baskets])
    (answer,) = model.recommend([["bread"]])
    assert {item for item, _ in answer[:2]} == {"butter", "jam"}
    assert max(p for _, p in answer) < 0.7
    assert min(p for _, p in answer) > 1e-3
    assert abs(model.explain([["bread"]], "butter").score) < 10


def test_the_first_fit_of_a_process_holds_every_blas_to_one_thread():
    """Also that of SciPy, which NumPy does not load."""
    code = """
import fastembed, threadpoolctl

class Progress:
    threads = []
    reading = counting = training = lambda self, *_: None
    def epoch(self, record):
        self.threads += [blas["num_threads"] for blas in threadpoolctl.threadpool_info() if blas["user_api"] == "blas"]

fastembed.Recommender(dim=2, epochs=1).fit([[1, 2]], progress=Progress())
assert set(Progress.threads) == {1}, Progress.threads
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "2"})


def test_what_training_needs_is_near_what_was_measured():
    """Megabytes at the peak, of users of whom each has a basket of another size."""
    for users, items, entries, measured in (
        (6_885, 170, 30_200, 34),
        (428, 5_757, 35_753, 86),
        (3_886, 16_901, 146_757, 313),
        (37_204, 52_356, 282_839, 571),
        (69_000, 13_500, 9_937_585, 963),
    ):
        found = training.bytes_needed((users, items), entries, 3 * entries**2 / users, 128)
        assert found / 1e6 == pytest.approx(measured, rel=0.3)


@pytest.mark.parametrize("x", [[[1.0, 0, 0]], [[0, 0, 2.0], [0, 1.0, 0], [0, 0, 0]], [[1.0, 1.0]]])
def test_the_smallest_data(x):
    x = sparse.csr_array(np.array(x, np.float32))
    model, _ = fit(x, RecommenderOptions(2, 2, 0), POOL)
    found = log_probabilities(fold(x, model, POOL), x, model)
    assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
