"""Classification of documents: :class:`Classifier`, its evaluation, and explanations of predicted labels."""

from fastembed._base.optional import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
