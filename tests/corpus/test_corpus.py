"""A corpus: every form, every way to get one wrong, what it is known by, and advice on how to read it."""

import io
import os
import re
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import DocumentCorpus, FileCorpus, Ledger, Phrases, Reading
from fastembed.corpus.corpus import as_corpus, check_same_corpus, corpus_identity
from fastembed.corpus.sources import Spool


def test_documents_may_be_made_anew_by_each_iteration():
    class Anew:
        def __iter__(self):
            yield ("a", "b")
            yield iter("cd")

    corpus, seen = as_corpus(Anew()), []
    for _ in range(2):
        sequences = list(corpus.sequences(Ledger(), lambda *now: seen.append(now)))
        assert sequences == [["a", "b"], ["c", "d"]]
    assert seen[-1] == (2, None)


@pytest.mark.parametrize("once", [(line for line in [["a"]]), iter([["a"]]), map(list, ["a"])])
def test_what_can_be_read_only_once_is_rejected(once):
    with pytest.raises(TypeError, match=f"a {type(once).__name__} does not allow"):
        as_corpus(once)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "item 1 of the corpus: 3, where a text or a list of tokens is expected"),
        ({"text": "a"}, "item 1 of the corpus: {'text': 'a'}, .* expected; field=... names that of records"),
        (np.nan, "item 1 of the corpus: null, where .*: leave out what is missing"),
        ([3, "a"], r"item 1 of the corpus: the list mixes strings and integers: \[3, 'a'\]"),
        (bytearray(b"ab"), "item 1 of the corpus: the list is bytearray"),
    ],
)
def test_an_item_that_is_no_document_is_rejected(item, message, read):
    with pytest.raises(TypeError, match=message):
        read([["fine"], item])


def test_strings_of_one_token_need_to_be_allowed(read):
    message = "2 of the first 2 strings, such as 'b.txt', have one token at most, and no pair: .* pathlib.Path objects "
    message += "for files; a tokenizer, or of Chinese and Japanese words=True, separates words without spaces"
    for use in (as_corpus, SkipGram(min_count=1).fit, Vocabulary.from_corpus):
        with pytest.raises(ValueError, match=message):
            use(["a.txt", "b.txt"])
    with pytest.warns(UserWarning, match="99 of the first 101 strings, such as 'b', have one token"):
        as_corpus(["a b", "a c"] + ["b"] * 99)
    with pytest.warns(UserWarning, match="10,001 of the first 10,002 strings"):
        as_corpus(["b"] * 10_001 + ["a long text of words"] * 5_000)
    with pytest.raises(ValueError, match=r"all texts are names of files: pass \[pathlib.Path\('.*test_corpus.py'\), "):
        SkipGram(reading=Reading(words=True)).fit([__file__, __file__])
    assert read(as_corpus([__file__, "a b"]))[0] == [[__file__], ["a", "b"]]
    assert read(as_corpus(["a", "b"], single=True))[0] == [["a"], ["b"]]
    assert read(as_corpus(["a", "b", "c d"]))[0] == [["a"], ["b"], ["c", "d"]]


def test_integers_stand_for_their_digits(read):
    assert read([[3, -1], np.array([7, 3]), range(2), []])[0] == [["3", "-1"], ["7", "3"], ["0", "1"], []]


@pytest.mark.parametrize(
    ("corpus", "error", "message"),
    [
        ([[0], [1, 4]], ValueError, r"item 1 of the corpus must be ids from 0 to 3, but item 1 of the corpus\[1\] is"),
        ([[0], ["a"]], TypeError, "item 1 of the corpus must hold integers"),
        ([[0], 3], TypeError, "item 1 of the corpus is 3, where a list of ids"),
        (__file__, TypeError, "vocabulary=4 says that the corpus consists of ids, so it cannot be files"),
    ],
)
def test_ids_are_read_and_checked(corpus, error, message):
    counts = Counts.from_corpus([[3, 1], np.array([2], np.uint8), range(2), []], 4, window=1)
    assert counts.to_scipy().nonzero()[0].tolist() == [0, 1, 1, 3]
    assert (counts.ledger.lines, counts.ledger.empty_lines, counts.ledger.tokens_read) == (4, 1, 5)
    with pytest.raises(error, match=message):
        Counts.from_corpus(corpus, 4)


@pytest.mark.parametrize(
    "edge", [(0, 1, 5), ("a", "b", 5), ("a", "b", 0.5), (0, 1, np.float32(2)), ("a", "b", {"w": 1})]
)
@pytest.mark.parametrize(
    "read",
    [
        lambda edges: Vocabulary.from_corpus(edges, 1),
        lambda edges: Counts.from_corpus(edges, 9),
        lambda edges: SkipGram(min_count=1).fit(edges),
    ],
)
def test_an_edge_with_a_weight_is_no_sequence_of_three_tokens(edge, read):
    with pytest.raises(TypeError, match=r"may be an edge with a weight: pass Counts\.from_pairs\(sources, targets,"):
        read([edge, edge])


@pytest.fixture
def file(tmp_path):
    """A file of two lines."""
    path = tmp_path / "a.txt"
    path.write_text("a b\nb c\n", encoding="utf-8")
    return path


def test_files_are_known_by_name_size_and_time(file):
    identity = corpus_identity(file)
    assert identity == corpus_identity(FileCorpus(file))
    assert identity["files"] == [{"name": str(file), "bytes": 8, "changed": file.stat().st_mtime_ns}]
    os.utime(file, ns=(0, 0))
    assert corpus_identity(file) != identity


@pytest.mark.parametrize("options", [{"reading": Reading(lowercase=True)}, {"skip_bad": True}])
def test_files_are_known_by_how_they_are_read(file, options):
    with pytest.raises(ValueError, match="the text is read in another way than when 'x' was counted"):
        check_same_corpus(corpus_identity(file), corpus_identity(FileCorpus(file, **options)), "x")


def test_pipes_are_known_by_their_bytes(file):
    found = []
    for text in (b"a b", b"a b", b"a c"):
        corpus = FileCorpus(file)
        corpus._files = [Spool("standard input", io.BytesIO(text))]
        found.append(corpus_identity(corpus))
    assert found[0] == found[1] != found[2]
    with pytest.raises(ValueError, match="'standard input' has changed since 'x' was counted from it: sha256 was"):
        check_same_corpus(found[0], found[2], "x")


@pytest.mark.parametrize("other", [[["a"], ["b", "c"]], [["a", "b", "c"]], [["a", "b"], ["d"]], ["a b c"]])
def test_documents_are_known_by_their_tokens_and_how_they_are_read(other):
    identity = corpus_identity([["a", "b"], ["c"]])
    assert identity == corpus_identity((("a", "b"), "c"))
    with pytest.raises(ValueError, match="the sequences in memory have changed since 'x' was counted from them"):
        check_same_corpus(identity, corpus_identity(other), "x")
    corpora = (DocumentCorpus(other), DocumentCorpus(other, reading=Reading(lowercase=True)))
    assert corpus_identity(corpora[0]) != corpus_identity(corpora[1])


WRAPPED = """It was a bright cold day in the city, and the clocks of all towers were
striking one after the other; nobody counted them, since it was known to
everyone that no two of them agreed about the hour or even about the day

"""
PLAIN = WRAPPED.replace(",", "").replace(";", "")


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (WRAPPED * 20, {}, r"7 % of the tokens end .* 'city,', .*wrapped.*\(words=True, unit='paragraph'\) reads"),
        (WRAPPED * 20, {"words": True}, r"^the text looks wrapped, .*True, unit='paragraph'\) reads whole paragraphs$"),
        (WRAPPED * 20, {"unit": "sentence"}, r"^7 % of .*\(unit='sentence', words=True\) reads words without it$"),
        (WRAPPED * 20, {"unit": "sentence", "words": True}, None),
        (PLAIN * 20, {}, "^the text looks wrapped.*'paragraph'"),
        (PLAIN.replace("\n\n", "\n") * 20, {}, "wrapped, without empty lines .*unit='sentence'"),
        (PLAIN.replace("\n\n", "\n") * 20, {"unit": "paragraph"}, "wrapped, without empty lines .*unit='sentence'"),
        (PLAIN.replace("\n", " ") * 20, {}, None),
        (">chr1 a\n" + 40 * f"{'ACGTTGCAAC' * 6}\n", {}, None),
        (PLAIN.replace("\n", ".\n") * 20, {"words": True}, None),
        ("a tokenised,split text , with spaces\naround punctuation .\n" * 20, {}, None),
        ("a." * 1_000 + " b", {}, "^.{,240}$"),  # an example is cut to a line
        ("我们今天去了北京的颐和园 那里很漂亮\n" * 20, {}, r"no spaces between words.*Reading\(words=True\)"),
        ("我们今天去了北京的颐和园 那里很漂亮\n" * 20, {"words": True}, None),
        ("قال، إن القطة نائمة؟ نعم\n" * 20, {}, r"^40 % of the tokens end in punctuation, .*Reading\(words=True\)"),
        ("我们 今天 去 了 北京 的 颐和园\n" * 20, {}, None),
        ("red tea,jam,old ale\nsoup,saw\n" * 9, {}, r"^50 % .* 'tea,jam,old'; .*_pattern='\[\^,\]\+'\) reads what"),
        ("__label__b some text\n__label__c\n" * 10, {}, "^'__label__b' is a label of fastText, and so a word"),
        ("a paragraph of a line\n" * 40, {"unit": "paragraph"}, "^the text has no empty lines.*unit='line'"),
        ("a model, as\0 bytes. " * 99, {}, None),
        ('{"id": 1, "text": "a, b"}\n' * 9, {}, r"^the lines are JSON: field=\.\.\. reads a field of files, or"),
        ("cafe\u0301 noir", {}, r"^accents are characters beside their letters \(NFD\): uconv -x nfc"),
        ("good<br />film &amp; more\n" * 20, {"words": True}, "^the text has HTML, such as '<br />', which becomes"),
        ("a\u3000b c\n" * 20, {}, r"^spaces such as '\\u3000' are parts of tokens"),
        ("a\u3000b c\n" * 20, {"words": True}, None),
        ("10\u00a0000 euros\n" * 20, {}, None),
        ("\u3000\u3000a b c\n" * 20, {}, r"^spaces such as '\\u3000' are parts of tokens: ' '.join"),
        ("the <unk> said __label__x </s> vector<int> a<b@c.org>\n" * 20, {}, None),
        ("two lines\ror more\r" * 20, {}, r"^the lines end in a carriage return.*tr '\\r'"),
        ("id,text,label\n" + '1,"a, b",x\n' * 20, {}, "the text looks like a table separated by ','"),
        ("สวัสดีครับผมชื่อสมชายและผมมาจาก สวัสดี\n" * 20, {"words": True}, r"no spaces .*Reading\(tokenizer=\.\.\.\)"),
    ],
)
def test_a_text_that_another_reading_would_suit_gets_a_warning_with_it(tmp_path, text, options, expected):
    (tmp_path / "text").write_text(text, encoding="utf-8")
    model = SkipGram(dim=1, min_count=1, reading=Reading(**options))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.count(tmp_path / "text")
    assert [bool(re.search(expected, str(each.message))) for each in caught] == [True] * (expected is not None)
    assert all(each.filename == __file__ for each in caught)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([["a cat sat on it", "pets"]] * 9, r"^tokens in lists have 3\.\d words each, such as 'a cat sat on it': if"),
        ([line.split() for line in WRAPPED.splitlines()], "^7% of the tokens in lists end in .* 'city,': .* str"),
        ([["Heat (1995)", "Speed (1994)", "x"], ["It 's", "the end", "."]], None),  # titles; words that are separated
        ([["__label__a", "good"]] * 20, "^'__label__a' is a label of fastText, and so a word"),
        ([["a", "b"], ["c", "b"]] * 11, "^each line is two tokens, such as 'a b': if they are edges of a graph"),
    ],
)
def test_lists_of_what_looks_like_raw_text_get_a_warning(lists, expected):
    for learn in (SkipGram(min_count=1).count, lambda each: Phrases.from_corpus(each, min_count=1, threshold=-1)):
        with pytest.warns(UserWarning, match=expected) if expected else nullcontext():
            learn(lists)
    baskets = SkipGram(min_count=1, baskets="share")
    baskets.count(lists)  # whose items may have any name
    with pytest.warns(UserWarning, match="most lines repeat others, such as 'item 0': is a line an item of a basket"):
        baskets.count([f"item {k % 25}" for k in range(101)])


def test_a_folder_of_small_files_is_looked_at_as_one_text(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(WRAPPED, encoding="utf-8")
    with pytest.warns(UserWarning, match="wrapped"):
        SkipGram(dim=1, min_count=1, epochs=1).fit(tmp_path)


@pytest.mark.parametrize("change", ["overwrite", "truncate", "append"])
@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_a_file_that_changes_while_it_is_read_is_named(tmp_path, set_constant, name, change):
    set_constant("fastembed.corpus.blocks.BLOCK_BYTES", 1000)
    path = tmp_path / name
    path.write_bytes(b"text\n" + b"a b c\n" * 5000)
    size = path.stat().st_size
    calls = []

    def progress(*done):
        calls.append(done)
        if len(calls) == 2:
            os.utime(path, ns=(0, 0))
            if change == "truncate":
                os.truncate(path, size // 2)
            elif change == "append":
                with path.open("ab") as file:
                    file.write(b"d\n")

    corpus = FileCorpus(path, field="text" if name == "t.csv" else None)
    if change == "append":  # as logs are: what was there is as it was
        assert Vocabulary.from_corpus(corpus, 1, threads=1, progress=progress).counts[0] == 5000
        return
    with pytest.raises(OSError, match=f"{name}' has changed while it was read|{name}' beyond byte .* become shorter"):
        Vocabulary.from_corpus(corpus, 1, threads=1, progress=progress)
