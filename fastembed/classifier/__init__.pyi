from .classifier import Classifier as Classifier
from .metrics import Evaluation as Evaluation
from .metrics import LabelExplanation as LabelExplanation
from .metrics import LabelScore as LabelScore
from .metrics import calibration_error as calibration_error
