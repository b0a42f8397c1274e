"""Tokenizers of other libraries, as the page on them shows: in this process and in others."""

import importlib

import pytest

from fastembed import SkipGram
from fastembed.corpus import FileCorpus, Ledger, Reading

pytestmark = pytest.mark.thread_unsafe(reason="starts processes, which would be many")

SPACY = """
import spacy

nlp = spacy.blank("en")


def tokens(text):
    return [token.text for token in nlp(text)]
"""

JIEBA = """
import jieba


def tokens(text):
    return jieba.lcut(text)
"""

MECAB = """
import fugashi

tagger = fugashi.Tagger()


def tokens(text):
    return [word.surface for word in tagger(text)]
"""

PIECES = """
from pathlib import Path

from tokenizers import Tokenizer

bpe = Tokenizer.from_file(str(Path(__file__).with_name("bpe.json")))


def tokens(text):
    return bpe.encode(text, add_special_tokens=False).tokens
"""


def check(tmp_path, monkeypatch, name, code, lines):
    """Write a module, compare its tokenizer in one process and in two, and return the tokens of the lines."""
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    (tmp_path / "text").write_text("\n".join(lines * 20), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    tokenizer = importlib.import_module(name).tokens
    found = [
        list(
            FileCorpus(tmp_path / "text", reading=Reading(tokenizer=tokenizer, processes=processes)).sequences(Ledger())
        )
        for processes in (1, 2)
    ]
    assert found[0] == found[1]
    assert found[0] == found[0][: len(lines)] * 20
    model = SkipGram(dim=2).fit(FileCorpus(tmp_path / "text", reading=Reading(tokenizer=tokenizer)))
    assert set(model.vocabulary) == {token for tokens in found[0] for token in tokens}
    return found[0][: len(lines)]


def test_spacy_tokenizes_a_corpus(tmp_path, monkeypatch):
    pytest.importorskip("spacy")
    lines = ["Dr. Smith doesn't pay $3.50.", "The cat sat."]
    assert check(tmp_path, monkeypatch, "spacy_tokens", SPACY, lines) == [
        ["Dr.", "Smith", "does", "n't", "pay", "$", "3.50", "."],
        ["The", "cat", "sat", "."],
    ]


def test_jieba_tokenizes_a_corpus(tmp_path, monkeypatch):
    pytest.importorskip("jieba")
    lines = ["我来到北京清华大学", "北京大学在北京"]
    assert check(tmp_path, monkeypatch, "jieba_tokens", JIEBA, lines) == [
        ["我", "来到", "北京", "清华大学"],
        ["北京大学", "在", "北京"],
    ]


def test_mecab_tokenizes_a_corpus(tmp_path, monkeypatch):
    pytest.importorskip("fugashi")
    pytest.importorskip("unidic_lite")
    (tokens,) = check(tmp_path, monkeypatch, "mecab_tokens", MECAB, ["東京都に住んでいます"])
    assert "".join(tokens) == "東京都に住んでいます"
    assert "東京" in tokens


def test_byte_pair_encoding_trained_on_the_spot(tmp_path, monkeypatch):
    tokenizers = pytest.importorskip("tokenizers")
    lines = ["the lowest and the newest", "the widest and the lower"]
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=30, special_tokens=["[UNK]"], show_progress=False)
    bpe.train_from_iterator(lines, trainer)
    bpe.save(str(tmp_path / "bpe.json"))
    pieces = check(tmp_path, monkeypatch, "bpe_tokens", PIECES, lines)
    assert ["".join(line) for line in pieces] == [line.replace(" ", "") for line in lines]
    assert "the" in pieces[0]
    assert "".join(bpe.encode("slower").tokens) == "slower"  # of known pieces, though no line has it
