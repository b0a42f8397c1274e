"""Classification of documents: :class:`Classifier`, its evaluation, and explanations of predicted labels."""

from typing import TYPE_CHECKING

from fastembed._base.optional import lazy_names

if TYPE_CHECKING:
    from fastembed.classifier.classifier import Classifier
    from fastembed.classifier.metrics import Evaluation, LabelExplanation, LabelScore, calibration_error

__all__ = ["Classifier", "Evaluation", "LabelExplanation", "LabelScore", "calibration_error"]

__getattr__, __dir__ = lazy_names(
    __name__, {"classifier": "Classifier", "metrics": "Evaluation LabelExplanation LabelScore calibration_error"}
)
