"""`SkipGram` in scikit-learn: the checks of estimators, output as tables, searches and pipelines over processes."""

import warnings
from unittest import SkipTest

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import SkipGram

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 2}


class OfNumbers(SkipGram):
    """A SkipGram of tables of numbers, which is what scikit-learn's checks pass: a row is a sequence of its columns.

    They stand in the order of their numbers. Without it the checks would end at the tag of an estimator of documents.
    """

    __init__ = SkipGram.__init__

    def fit(self, X, y=None, **options):
        return super().fit(self.documents(X, reset=True), **options)

    def partial_fit(self, X, y=None, **options):
        return super().partial_fit(self.documents(X, reset=not hasattr(self, "n_features_in_")), **options)

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X)

    def transform(self, X):
        check_is_fitted(self)
        return super().transform(self.documents(X, reset=False))

    def documents(self, table, *, reset):
        if isinstance(table, list) and np.asarray(table[0]).dtype.kind == "U":
            return table  # by the first call of partial_fit, which is a fit
        table = validate_data(self, table, reset=reset)
        return [[f"x{column}" for column in np.argsort(-row, kind="stable")] * 2 for row in table]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.requires_fit = True, False, True
        return tags


def checks(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not inherit from BaseEstimator, and has no X of numbers
        found = list(estimator_checks_generator(estimator, mark=None))
    return [pytest.param(each, check, id=getattr(check, "func", check).__name__) for each, check in found]


@pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), checks(OfNumbers(dim=2, min_count=1, epochs=1)))
def test_the_checks_of_scikit_learn_pass(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.skip(str(reason))


def test_scikit_learn_has_checks_for_it():
    assert len(checks(OfNumbers(dim=2))) > 20


@pytest.mark.parametrize(("estimator", "check"), checks(SkipGram(dim=2)))
def test_the_checks_of_an_estimator_of_documents_pass(estimator, check):
    check(estimator)


def test_transform_returns_a_table_if_asked(labelled):
    pandas = pytest.importorskip("pandas")
    documents = pandas.Series(labelled[0][:20], index=range(100, 120))
    model = SkipGram(**SETTINGS).fit(documents)
    rows = model.transform(documents)
    assert isinstance(rows, np.ndarray)
    assert model.set_output(transform="pandas") is model
    for each in (model, clone(model).fit(documents)):
        frame = each.transform(documents)
        assert list(frame.columns) == ["skipgram0", "skipgram1", "skipgram2", "skipgram3"]
        assert list(frame.index) == list(range(100, 120))
        assert_array_equal(frame.to_numpy(), rows)
    assert list(model.transform(labelled[0][:2]).index) == [0, 1]
    assert isinstance(model.set_output(transform=None).transform(["lamb"]), pandas.DataFrame)
    assert isinstance(model.set_output(transform="default").transform(["lamb"]), np.ndarray)
    with config_context(transform_output="pandas"):
        assert isinstance(model.transform(["lamb"]), np.ndarray)  # the model's own choice counts
        assert isinstance(SkipGram(**SETTINGS).fit_transform(labelled[0]), pandas.DataFrame)
        assert make_pipeline(SkipGram(**SETTINGS)).fit_transform(labelled[0]).shape == (240, 4)
    pipeline = make_pipeline(SkipGram(**SETTINGS)).set_output(transform="pandas")
    assert isinstance(pipeline.fit_transform(labelled[0]), pandas.DataFrame)
    with pytest.raises(ValueError, match="transform must be one of default, pandas, got 'table'"):
        model.set_output(transform="table")
    with config_context(transform_output="polars"), pytest.raises(ValueError, match="one of default, pandas"):
        SkipGram(**SETTINGS).fit_transform(labelled[0])


def test_a_search_over_processes_gives_what_one_process_gives(labelled):
    documents, labels = labelled
    pipeline = make_pipeline(SkipGram(**SETTINGS), LogisticRegression())
    searches = [
        GridSearchCV(pipeline, {"skipgram__dim": [2, 4], "skipgram__seed": [0, 1]}, cv=2, n_jobs=jobs).fit(
            documents, labels
        )
        for jobs in (1, 2)
    ]
    assert searches[0].best_params_ == searches[1].best_params_
    assert_array_equal(searches[0].cv_results_["mean_test_score"], searches[1].cv_results_["mean_test_score"])
    assert_array_equal(searches[0].predict(documents), searches[1].predict(documents))
    assert searches[1].best_score_ > 0.5


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_search_reports_wrong_parameters(labelled):
    """They are set one after the other, so each may be wrong until the fit."""
    search = GridSearchCV(SkipGram(**SETTINGS), {"dim": [0, 2]}, cv=2, scoring=lambda model, documents, _: model.dim)
    with pytest.warns(match="dim must be at least 1, got 0"):
        search.fit(*labelled)
    assert search.best_params_ == {"dim": 2}
