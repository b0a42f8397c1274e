"""Documents in blocks: texts and lists of tokens, without loss."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastembed import Vocabulary
from fastembed.corpus import DocumentCorpus, Ledger, Reading
from fastembed.corpus.corpus import as_corpus
from fastembed.corpus.memory import document_blocks
from fastembed.corpus.reading import join_tokens, split_tokens
from fastembed.vocabulary import encode_corpus

characters = st.text(st.one_of(st.sampled_from(" \t\n\v\f\ra"), st.characters(exclude_categories=["Cs"])), max_size=4)


@given(st.lists(characters))
def test_tokens_are_joined_and_split_without_loss(tokens):
    text = join_tokens(tokens)
    assert split_tokens(text) == tokens
    assert b"\n" not in text
    assert len(text.split()) == len(tokens)


@given(st.lists(st.lists(characters, min_size=1), min_size=1))
def test_any_tokens_are_counted_as_those_of_lists_in_memory_are(lists):
    found, same = (Vocabulary.from_corpus(corpus, min_count=1) for corpus in (DocumentCorpus(lists), lists))
    assert (found.tokens, found.counts.tolist()) == (same.tokens, same.counts.tolist())
    assert found.ledger == same.ledger
    ids, expected = (
        np.concatenate(list(encode_corpus(as_corpus(corpus), same, Ledger(), None, 1)))
        for corpus in (DocumentCorpus(lists), lists)
    )
    assert (ids == expected).all()


def test_texts_and_lists_are_in_blocks_of_their_own_and_in_order():
    blocks = list(document_blocks([b"a", b"b\n", ["c d"], b"e"]))
    assert [(block.documents, block.tokens) for block in blocks] == [
        ([b"a", b"b\n"], False),
        ([b"c\xf8d"], True),
        ([b"e"], False),
    ]
    assert [block.read(Reading()) for block in blocks] == [b"a\nb\n", b"c\xf8d\n", b"e\n"]


def test_a_block_has_a_bounded_size():
    blocks = list(document_blocks([b"x" * 100_000] * 50))
    assert [len(block.documents) for block in blocks] == [11, 11, 11, 11, 6]
