from . import classifier as classifier
from . import corpus as corpus
from . import counts as counts
from . import evaluation as evaluation
from . import formats as formats
from . import plotting as plotting
from . import recommender as recommender
from . import reference as reference
from . import skipgram as skipgram
from . import trainer as trainer
from . import vectors as vectors
from . import vocabulary as vocabulary
from ._versions import show_versions as show_versions
from .classifier import Classifier as Classifier
from .counts import Counts as Counts
from .recommender import Recommender as Recommender
from .skipgram import SkipGram as SkipGram
from .trainer import Trainer as Trainer
from .trainer.parameters import TrainingDivergedError as TrainingDivergedError
from .vectors import Vectors as Vectors
from .vocabulary import Vocabulary as Vocabulary

__version__: str
