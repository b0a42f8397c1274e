"""Exact-softmax training of embeddings on a CPU."""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing itself takes longer to import than all that is imported here
if TYPE_CHECKING:
    from fastembed._base.errors import TrainingDivergedError
    from fastembed._versions import show_versions
    from fastembed.counts.counts import Counts
    from fastembed.skipgram.skipgram import SkipGram
    from fastembed.trainer.trainer import Trainer
    from fastembed.vectors.vectors import Vectors
    from fastembed.vocabulary import Vocabulary

__all__ = ["Counts", "SkipGram", "Trainer", "TrainingDivergedError", "Vectors", "Vocabulary", "show_versions"]

_MODULE_OF = {"TrainingDivergedError": "_base.errors", "show_versions": "_versions"} | {
    name: name.lower() for name in ("Counts", "SkipGram", "Trainer", "Vectors", "Vocabulary")
}
_MODULES = ("corpus", "evaluation", "formats", "reference", "windows", *_MODULE_OF.values())


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that the command line is in charge before the libraries are loaded."""
    if name in _MODULE_OF:
        value = globals()[name] = getattr(import_module(f"fastembed.{_MODULE_OF[name]}"), name)
        return value
    if name in _MODULES:
        return import_module(f"fastembed.{name}")
    raise AttributeError(f"module 'fastembed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
