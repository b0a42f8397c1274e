"""Exact-softmax training of embeddings on a CPU."""

__version__ = "0.1.0"

from fastembed._errors import TrainingDivergedError
from fastembed._versions import show_versions
from fastembed.counts import Counts
from fastembed.skipgram import SkipGram
from fastembed.trainer import Trainer
from fastembed.vectors import Vectors
from fastembed.vocabulary import Vocabulary

__all__ = ["Counts", "SkipGram", "Trainer", "TrainingDivergedError", "Vectors", "Vocabulary", "show_versions"]
