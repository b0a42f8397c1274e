"""`Classifier` in scikit-learn: the checks of an estimator of documents, and searches."""

import numpy as np
import pytest

from fastembed import Classifier

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import check_estimator


@pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning", "ignore:Can.t test estimator")
def test_the_checks_of_scikit_learn_for_an_estimator_of_documents_pass():
    check_estimator(Classifier(threads=1), on_skip=None)


def test_it_is_an_estimator_of_scikit_learn(labelled):
    model = Classifier(threads=1)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    assert cross_val_score(model, *labelled, cv=3).min() > 0.8
    search = GridSearchCV(model, {"l2": [0.3, 1.0]}, cv=2).fit(*labelled)
    assert search.best_score_ > 0.8


def test_one_classifier_per_label_predicts_what_is_more_probable_than_not(labelled):
    """`OneVsRestClassifier` goes by the sign of `decision_function`. A third of the labels are wrong, one is rare."""
    texts, labels = labelled[0][:120], [*labelled[1][:80], *labelled[1][100:140]]
    y = np.array([[label == "animals", label == "fruit" and i % 4 == 0] for i, label in enumerate(labels)])
    model = OneVsRestClassifier(Classifier(threads=1)).fit(texts, y)
    assert np.array_equal(model.predict(labelled[0]), model.predict_proba(labelled[0]) > 0.5)
