from .estimate import Estimate as Estimate
from .options import FitProgress as FitProgress
from .skipgram import SkipGram as SkipGram
