"""The forms of files of scores and questions, and their errors."""

import pytest

from fastembed.evaluation import Section, Similarity, analogies, word_similarity


@pytest.mark.parametrize(
    "text",
    [
        "cat\tdog\t9\ncar\tsun\t8.5\ncat\tcar\t3\ncat\tsun\t1\n",
        "# title\n# Word 1\tWord 2\tmean\ncat\tdog\t9.0\n\ncar\tsun\t8.5\r\n   \ncat\tcar\t3\n#end\ncat\tsun\t1",
        "Word 1,Word 2,Human (mean)\ncat,dog,9\ncar, sun ,8.5\ncat,car,3\ncat,sun,1\n",
        '"word1","word2","score"\n"cat","dog","9"\n"car","sun","8.5"\ncat,"car",3\n"cat","sun",1e0\n',
        "cat dog 9\ncar   sun 8.5\n cat car 3\ncat\u00a0sun 1",
        "cat;dog;9\ncar;sun;8.5\ncat;car;3\ncat;sun;1\n",
        "word1\tword2\tPOS\tscore\tconc\ncat\tdog\tN\t9\t1\ncar\tsun\tN\t8.5\t2\ncat\tcar\tN\t3\t3\ncat\tsun\tN\t1\t4\n",
        "\ufeffCat\tDOG\t9\nCAR\tsun\t8.5\ncat\tcar\t3\t7\t7\ncat\tsun\t1\t0\n",
    ],
    ids=["tabs", "comments", "commas", "quotes", "white space", "semicolons", "more columns", "BOM and case"],
)
def test_similarity_files_of_many_forms_hold_the_same_pairs(words, text, written):
    assert word_similarity(words, written(text)) == Similarity(pytest.approx(1), pairs=4, covered=4, unknown=())


def test_a_word_may_hold_spaces_commas_and_quotes(words, written):
    path = written('"a, ""b""",c d,1\n')
    assert word_similarity(words, path).unknown == ('a, "b"', "c d")
    assert word_similarity(words, str(path)).unknown == ('a, "b"', "c d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pair of words with a score"),
        ("# only\n\nword word score", "holds no pair"),
        ("cat dog 9\ncat sun", "line 2: two words and a finite score expected, got 'cat sun'"),
        ("#\ncat dog 9\n\ncat sun one", "line 4: two words"),
        ("w w s\nw w s\ncat dog 9", "line 2: two words"),
        ("cat dog nan\ncat dog inf", "line 2: two words"),
        ("cat dog 9\ncat dog inf", "line 2: two words and a finite score expected, got 'cat dog inf'"),
        ("cat,dog,N,9\ncat,sun,9", "line 2: two words and a finite score in field 4 expected, got 'cat,sun,9'"),
        (",dog,9", "line 1: two words"),
        ('cat,dog,9\n"cat,dog,9', "line 2: unexpected end of data in '\"cat,dog,9'"),
    ],
)
def test_a_wrong_line_of_a_similarity_file_is_named(words, text, message, written):
    path = written(text)
    with pytest.raises(ValueError, match=r"scores\.txt") as caught:
        word_similarity(words, path)
    assert message in str(caught.value)


@pytest.mark.parametrize("read", [word_similarity, analogies])
def test_files_that_are_missing_or_not_utf8_are_named(words, tmp_path, read, written):
    with pytest.raises(ValueError, match=r"scores.txt', line 2: not valid UTF-8: invalid"):
        read(words, written("cat dog 9\ncaf\xe9 dog 9", "latin-1"))
    with pytest.raises(FileNotFoundError, match="absent"):
        read(words, tmp_path / "absent.txt")


@pytest.mark.parametrize("separator", [" ", "\t", ",", " ; "])
def test_analogy_files_of_many_forms_hold_the_same_questions(words, separator, written):
    line = separator.join(["cat", "dog", "car", "sun"])
    path = written(f"# comment\n{line}\n:  one, two\n\n: two\r\n{line}\r\n{line.replace('sun', 'owl')}")
    assert analogies(words, path).sections == (
        Section("", 1, 1, 1),
        Section("one, two", 0, 0, 0),
        Section("two", 1, 1, 2),
    )


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, ValueError, "scores.txt' holds no analogy"),
        (": a\n# b", {}, ValueError, "holds no analogy"),
        (": a\na b c", {}, ValueError, r"scores.txt', line 2: four words, or : and .* expected, got 'a b c'"),
        ("a b c d\n\na b c d e", {}, ValueError, "line 3: four words"),
        ("a,b,,d", {}, ValueError, "line 1: four words"),
        ("a b c d", {"method": "cosadd"}, ValueError, "method must be one of 3CosAdd, 3CosMul, got 'cosadd'"),
        ("a b c d", {"restrict": 0}, ValueError, "restrict must be at least 1, got 0"),
        ("a b c d", {"restrict": 1.5}, TypeError, "restrict must be an integer, got 1.5"),
    ],
)
def test_a_wrong_line_or_option_of_analogies_is_named(words, text, options, error, message, written):
    with pytest.raises(error, match=message):
        analogies(words, written(text), **options)
