"""`SkipGram` in scikit-learn: the checks of estimators, output as tables, searches and pipelines over processes."""

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
from sklearn.utils.estimator_checks import check_estimator

SETTINGS = {"dim": 4, "window": 2, "min_count": 1, "sample": None, "epochs": 2}


@pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning", "ignore:Can.t test estimator")
def test_the_checks_of_scikit_learn_for_an_estimator_of_documents_pass():
    check_estimator(SkipGram(dim=2), on_skip=None)


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
    model.set_output(transform="default")
    with config_context(transform_output="pandas"):
        assert isinstance(model.transform(["lamb"]), np.ndarray)  # the model's own choice counts
        assert isinstance(SkipGram(**SETTINGS).fit_transform(labelled[0]), pandas.DataFrame)
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
