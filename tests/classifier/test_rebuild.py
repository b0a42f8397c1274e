"""A whole fit of each loss, rebuilt from docs/derivation.md alone, in NumPy and SciPy and float64."""

import itertools
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, sparse, special

from fastembed import Classifier
from fastembed.classifier.calibration import FIRST


class Bags:
    """Words, and pairs of neighbouring words or ends, weighted by IDF and by what they say of labels or by counts."""

    def __init__(self, documents, y, weighting="supervised"):
        self.tfidf = weighting == "tfidf"
        found = [self.names_in(document) for document in documents]
        self.names = sorted(set(itertools.chain.from_iterable(found)))
        frequency = np.array([sum(name in each for each in found) for name in self.names])
        y = np.hstack([y, y.sum(axis=1, keepdims=True) == 0])
        self.y = y / y.sum(axis=1, keepdims=True)
        self.has = np.array([[name in each for name in self.names] for each in found])
        self.gains = np.array([0 if self.tfidf else self.gain(has) for has in self.has.T])
        self.weights = (np.log((1 + len(documents)) / (1 + frequency)) + 1) * (1 + self.gains)
        self.weights *= [(0.7 if self.tfidf else 0.6) ** (len(name) - 1) for name in self.names]

    def gain(self, documents):
        """Return the divergence of the shares of labels in some documents."""
        q = self.y.mean(axis=0)
        p = (self.y[documents].sum(axis=0) + 0.5 * q) / (documents.sum() + 0.5)
        return special.rel_entr(p, q).sum()

    def left_out(self, x, these):
        """Return rows of x (N, F) as if the weights were made without the labels of the document itself."""
        x = x[these]
        for row, document in zip(x, these, strict=True):
            for k in np.flatnonzero(row):
                others = self.has[:, k] & (np.arange(len(self.has)) != document)
                row[k] *= 1 if self.tfidf else ((1 + self.gain(others)) / (1 + self.gains[k])) ** 2
        return x

    @staticmethod
    def names_in(document):
        words = document.split()
        return Counter([*((word,) for word in words), *itertools.pairwise(["the start", *words, "the end"])])

    def matrix(self, documents):
        x = np.zeros((len(documents), len(self.names)))
        for row, document in zip(x, documents, strict=True):
            for name, count in self.names_in(document).items():
                if name in self.names:
                    k = self.names.index(name)
                    row[k] = self.weights[k] * (1 + math.log(count) * self.tfidf)
        return unit(x)


def unit(x):
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)


def one_versus_all(x, y, weights, l2, bias):
    """Return the weights and the bias at the minimum: a ridge regression of each label."""
    x = np.hstack([x, np.full((len(x), 1), 0.25)])  # the last feature is that of the bias
    start = np.zeros((x.shape[1], y.shape[1]))
    start[-1] = bias / 0.25
    weighted = x.T * weights
    found = start + np.linalg.solve(l2 * np.eye(len(start)) + weighted @ x, weighted @ (y - x @ start))
    return found[:-1], 0.25 * found[-1]


class Map:
    """The calibration of scores: its prior, its posterior maximum, and probabilities."""

    def __init__(self, several, shares):
        self.several, self.shares = several, shares
        self.first = np.array([math.log(2), math.log(0.06), -6.0 if several else 0.0])

    def logits(self, s, at):
        u, beta, third = math.exp(at[0]), math.exp(at[1]), at[2]
        q = special.expit(self.shares) if self.several else special.softmax(self.shares)
        if self.several:
            c = self.shares - np.log(q.mean())
            return c + third + u * np.arcsinh(s / (beta * np.exp(c / u)))
        return self.shares + u * (np.arcsinh((s - third) / beta) - np.arcsinh((q - third) / beta))

    def probabilities(self, s, at):
        x = self.logits(s, at)
        return special.expit(x) if self.several else special.softmax(x, axis=1)

    def fitted(self, s, y, weights, earlier=0):
        weights = np.minimum(weights / np.median(weights), 4)
        precision = 1 + 800 / len(s) + min(earlier, 1000) / 10

        def objective(at):
            x = self.logits(s, at)
            logs = (np.logaddexp(0, x) - y * x) if self.several else -y * special.log_softmax(x, axis=1)
            distance = (at - self.first) / [1, 1, 2 if self.several else 0.1]
            return weights @ logs.sum(axis=1) + precision * distance @ distance / 2

        return optimize.minimize(objective, self.first, method="Nelder-Mead", options=EXACT).x


EXACT = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000}


def shares_of(y, weights, one):
    """Return the probabilities of labels for a document without known features."""
    targets = y / y.sum(axis=1, keepdims=True) if one else y
    shares = weights @ targets / weights.sum()
    shares = np.maximum(shares, shares[shares > 0].min() / 2 * one)
    return shares / shares.sum() if one else shares


def rebuilt(documents, y, weights, l2, seed, weighting):
    """Return a function from documents to probabilities, of the loss "squared"."""
    bags = Bags(documents, y, weighting)
    x, count = bags.matrix(documents), len(documents)
    several = bool((y.sum(axis=1) > 1).any())
    balanced = y.sum() / (y.shape[1] * y.sum(axis=0))
    losses = weights * (y @ np.cbrt(balanced) / y.sum(axis=1))
    sums, total = losses @ y, losses.sum()
    half = min(sums[sums > 0].min(), (total - sums)[sums < total].min(initial=total), total / 2) / 2
    q = np.clip(sums, half, total - half) / total
    order = np.random.default_rng(seed).permutation(count)
    order = order[weights[order] > 0]
    size = max(1, min(1000, len(order) // 10))
    scores, left_out = [], []
    for first in range(0, min(1000, len(order)) - size + 1, size):
        these = order[first : first + size]
        others = np.setdiff1d(np.arange(count), these)
        w, b = one_versus_all(x[others], y[others], losses[others], l2, q)
        known = (x[others] > 0).any(axis=0)
        new = unit(bags.left_out(x, these) * known)
        some = (new > 0).any(axis=1) & (y[these] <= y[others].any(axis=0)).all(axis=1)
        scores.append((new @ w + b)[some])
        left_out.append(these[some])
    left_out = np.concatenate(left_out)
    shares = shares_of(y, weights, not several)
    shares = special.logit(shares) if several else np.log(shares)
    found = Map(several, shares.clip(-17, 17))
    at = found.fitted(np.concatenate(scores), y[left_out], weights[left_out])
    w, b = one_versus_all(x, y, losses, l2, q)
    return lambda new: found.probabilities(bags.matrix(new) @ w + b, at)


def rebuilt_softmax(documents, y, weights, l2, rate, epochs):
    """Return the same of loss="softmax"."""
    bags, alpha = Bags(documents, y), weights / weights[weights > 0].mean()
    x = bags.matrix(documents)
    largest = min(1, 64 / len(x)) * np.linalg.eigvalsh((x.T * alpha) @ x)[-1] + (alpha.max() if len(x) > 64 else 0)
    rate = rate or min(3, 6 / largest)
    e, bias = gradient_descent(x, y, weights, l2, rate, epochs)
    return lambda new: special.softmax(bags.matrix(new) @ e + bias, axis=1)


def gradient_descent(x, y, weights, l2, rate, epochs):
    """Return the weights and the bias of loss="softmax", with seed 0."""
    targets = y / y.sum(axis=1, keepdims=True)
    shares = weights @ targets / weights.sum()
    bias = np.log(np.maximum(shares, shares[shares > 0].min() / 2))
    e, rng, used = np.zeros((x.shape[1], y.shape[1])), np.random.default_rng(0), np.flatnonzero(weights)
    steps = range(0, len(used), 64)
    for epoch in range(epochs):
        order = rng.permutation(used)
        for k, first in enumerate(steps, epoch * len(steps)):
            block = order[first : first + 64]
            residual = (special.softmax(x[block] @ e + bias, axis=1) - targets[block]) * weights[block, None]
            e -= rate * (1 - 0.9 * k / epochs / len(steps)) * x[block].T @ residual / weights[used].mean()
        e *= math.exp(-l2 * rate * (1 - 0.9 * (epoch + 1) / epochs))
    return e, bias


@pytest.fixture(params=[(60, False), (60, True), (11, False), (11, True)], ids=str)
def weighted(request, labelled):
    """Documents, their labels as lists, these as a matrix, and weights, some of which are 0 or large."""
    count, several = request.param
    documents, labels = labelled[0][:count], [[label] for label in labelled[1][:count]]
    labels[9:11] = ["of one document"], ["of one without weight"]
    if several:
        labels = [[*each, "all"] if k % 3 else each for k, each in enumerate(labels)]
    weights = np.random.default_rng(0).choice([0, 0.5, 1, 3], count)
    weights[7], weights[10] = 50, 0
    classes = sorted(set(itertools.chain.from_iterable(labels)))
    return documents, labels, np.array([[float(c in each) for c in classes] for each in labels]), weights


@pytest.mark.parametrize(("l2", "weighting"), [(0.1, "supervised"), (1.0, "tfidf")])
def test_one_label_against_all_others(weighted, held_out, l2, weighting):
    documents, labels, y, weights = weighted
    parameters = {"l2": l2, "weighting": weighting, "tol": 0, "epochs": 3000, "seed": 3}
    model = Classifier(**parameters).fit(documents, labels, weights)
    expected = rebuilt(documents, y, weights, l2, 3, weighting)(held_out[0])
    assert_allclose(model.predict_proba(held_out[0]), expected, atol=1e-5)


@pytest.mark.parametrize("weighted", [(11, False), (60, True), (150, True)], ids=str, indirect=True)
@pytest.mark.parametrize("rate", [0.3, None])
def test_softmax(weighted, held_out, rate):
    documents, labels, y, weights = weighted
    model = Classifier(loss="softmax", l2=0.01, learning_rate=rate, epochs=20).fit(documents, labels, weights)
    expected = rebuilt_softmax(documents, y, weights, 0.01, rate, 20)(held_out[0])
    assert_allclose(model.predict_proba(held_out[0]), expected, atol=1e-5)


def test_documents_of_unknown_words_have_the_shares_of_the_labels(weighted):
    documents, labels, y, weights = weighted
    for loss in ("squared", "softmax"):
        model = Classifier(loss=loss).fit(documents, labels, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = model.predict_proba(["zzz"])[0]
        one = loss == "softmax" or (y.sum(axis=1) == 1).all()
        assert_allclose(found, shares_of(y, weights, one), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("count", "slope", "earlier"), [(30, 2, 0), (150, 2, 200), (150, -1, 0), (150, 0.3, 3000)])
def test_a_calibration_is_the_maximum(several, count, slope, earlier):
    rng, shares = np.random.default_rng(0), np.array([0.05, 0.1, 0.2, 0.65])
    prior = special.logit(shares) if several else np.log(shares)
    s = rng.normal(size=(count, 4))
    x = slope * s + prior / 2
    y = rng.random(s.shape) < special.expit(x) if several else rng.multinomial(1, special.softmax(x, axis=1))
    s, y, weights = (s + prior / 2) * 0.3, y.astype(float), rng.choice([0.5, 1, 9], count)
    found = FIRST[several].updated(s, sparse.csr_array(y), weights, prior, earlier)
    expected = Map(several, prior)
    p = special.expit(found.logits(s, prior)) if several else special.softmax(found.logits(s, prior), axis=1)
    assert_allclose(p, expected.probabilities(s, expected.fitted(s, y, weights, earlier)), atol=1e-4)


def test_a_document_without_a_label_is_an_example_of_one_label_more(labelled, scores_of):
    """Which the weights of features count like the others."""
    y = (np.array(labelled[1])[:, None] == sorted(set(labelled[1]))).astype(int)
    models = [Classifier(tol=0, class_weight={}).fit(labelled[0], each) for each in (y[:, :2], y)]
    two, three = (scores_of(model, labelled[0]) for model in models)
    assert_allclose(two, three[:, :2], atol=1e-5)


@pytest.mark.parametrize("shares", [(0.3, 0.7), (0.1, 0.1, 0.8), (0.2,) * 5])
@pytest.mark.parametrize("several", [False, True])
def test_texts_that_say_nothing_of_the_labels_leave_their_shares(shares, several):
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in row) for row in rng.integers(300, size=(3000, 12))]
    y = rng.random((3000, len(shares))) < shares if several else rng.multinomial(1, shares, 3000)
    model = Classifier().fit(texts[:1000], y[:1000].astype(int) if several else y[:1000].argmax(axis=1))
    answers = model.predict_proba(texts[1000:]), y[:1000].mean(axis=0)
    terms = [np.where(y[1000:], np.log(p), several * np.log1p(-p)) for p in answers]
    assert -terms[0].sum() / 2000 < -terms[1].sum() / 2000 + 0.005 * (1 + several)
