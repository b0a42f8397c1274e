"""`Classifier` in scikit-learn: the checks of estimators, on tables of numbers as bags of words, and searches."""

import warnings
from unittest import SkipTest

import numpy as np
import pytest

from fastembed import Classifier, Vectors

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

# Checks that fail, and why
EXPECTED = {
    "check_classifiers_regression_target": "a label that is a float is a TypeError, which names it",
    "check_sample_weight_equivalence_on_dense_data": "features and their weights count documents, not sample weights",
    "check_sample_weight_equivalence_on_sparse_data": "features and their weights count documents, not sample weights",
}


class OfNumbers(Classifier):
    """A Classifier of tables of numbers, which the checks pass: a column is a word, and its number how often."""

    __init__ = Classifier.__init__

    def fit(self, X, y=None, sample_weight=None):
        X, y = self.checked(X, y, reset=True)
        return super().fit(self.documents(X), y, sample_weight)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None):
        if self._model is None:
            return self.fit(X, y, sample_weight)
        X, y = self.checked(X, y, reset=False)
        return super().partial_fit(self.documents(X), y, sample_weight)

    def checked(self, X, y, *, reset):
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        several = isinstance(y, list | np.ndarray) and np.size(y) > len(y)
        X, y = validate_data(self, X, y, reset=reset, dtype=None, multi_output=several)
        return X, y.astype(np.int64) if y.dtype.kind == "f" and (y == y.astype(np.int64)).all() else y

    def documents(self, table):
        return [
            [f"x{c}{'+' if v > 0 else '-'}" for c, v in enumerate(row) for _ in range(1 + min(int(abs(v) * 2), 20))]
            for row in np.asarray(table, float)
        ]

    def asked(self, X):
        check_is_fitted(self)
        return self.documents(validate_data(self, X, reset=False))

    def predict(self, X):
        return super().predict(self.asked(X))

    def predict_proba(self, X):
        return super().predict_proba(self.asked(X))

    def decision_function(self, X):
        return super().decision_function(self.asked(X))

    def score(self, X, y, sample_weight=None):
        return float(np.average(self.predict(X) == y, weights=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        tags.classifier_tags.poor_score = True  # a table of coordinates is no bag of words
        return tags


def checks(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not inherit from BaseEstimator, and has no X of numbers
        found = list(estimator_checks_generator(estimator, mark=None))
    for each, check in found:
        name = getattr(check, "func", check).__name__
        marks = [pytest.mark.xfail(reason=EXPECTED[name], strict=True)] if name in EXPECTED else []
        yield pytest.param(each, check, id=name, marks=marks)


@pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning")
@pytest.mark.filterwarnings("ignore:.*documents have no known feature:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), list(checks(OfNumbers(threads=1))))
def test_the_checks_of_scikit_learn_pass(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("estimator", "check"), list(checks(Classifier(threads=1))))
def test_the_checks_of_an_estimator_of_documents_pass(estimator, check):
    check(estimator)


def test_it_is_an_estimator_of_scikit_learn(labelled):
    model = Classifier(threads=1)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    words = Vectors(["a"], np.eye(1))
    assert clone(Classifier("softmax", dim=1, pretrained=words)).pretrained.tokens == ("a",)
    assert cross_val_score(model, *labelled, cv=3).min() > 0.8
    search = GridSearchCV(model, {"l2": [0.3, 1.0]}, cv=2).fit(*labelled)
    assert search.best_score_ > 0.8
