"""Exact-softmax training of embeddings on a CPU."""

import collections.abc  # noqa: F401 - two threads that are the first to import it, at the same time, can fail
from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing itself takes longer to import than all that is imported here
if TYPE_CHECKING:
    from fastembed._versions import show_versions
    from fastembed.classifier import Classifier
    from fastembed.counts import Counts
    from fastembed.recommender import Recommender
    from fastembed.skipgram import SkipGram
    from fastembed.trainer import Trainer
    from fastembed.trainer.parameters import TrainingDivergedError
    from fastembed.vectors import Vectors
    from fastembed.vocabulary import Vocabulary

__all__ = [
    "Classifier",
    "Counts",
    "Recommender",
    "SkipGram",
    "Trainer",
    "TrainingDivergedError",
    "Vectors",
    "Vocabulary",
    "show_versions",
]

_MODULES = {  # the module that defines each public name
    "Classifier": "fastembed.classifier",
    "Counts": "fastembed.counts",
    "Recommender": "fastembed.recommender",
    "SkipGram": "fastembed.skipgram",
    "Trainer": "fastembed.trainer",
    "TrainingDivergedError": "fastembed.trainer.parameters",
    "Vectors": "fastembed.vectors",
    "Vocabulary": "fastembed.vocabulary",
    "show_versions": "fastembed._versions",
}
_PUBLIC_MODULES = (
    "classifier", "corpus", "counts", "evaluation", "formats", "plotting", "recommender", "reference", "skipgram",
    "trainer", "vectors", "vocabulary",
)  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name or module when it is first used: `import fastembed` itself loads no library."""
    if name in _MODULES:
        return globals().setdefault(name, getattr(import_module(_MODULES[name]), name))
    if name in _PUBLIC_MODULES:
        return import_module(f"fastembed.{name}")
    raise AttributeError(f"module 'fastembed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__, *_PUBLIC_MODULES])
