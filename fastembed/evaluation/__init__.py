"""How good vectors are: word similarity and analogies, scored as gensim scores them."""

from fastembed.evaluation.evaluation import Analogies, Section, Similarity, analogies, word_similarity

__all__ = ["Analogies", "Section", "Similarity", "analogies", "word_similarity"]
