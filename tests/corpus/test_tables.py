"""Structured files: every format, every way to name a field, and every way in which a row or a file can be bad."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tracemalloc

import pytest

from fastembed import Vocabulary
from fastembed.corpus import FileCorpus, Ledger, Reading, sources
from fastembed.corpus.tables import field_rows, row_place

TEXTS = ["The cat", "sat\non the mat", "", 'größe 猫 , "quoted"\t;']
EXPECTED = [["The", "cat"], ["sat"], ["on", "the", "mat"], [], ["größe", "猫", ",", '"quoted"', ";"]]
LISTS = [["new york", "the"], [], ["", "a\nb", " "], ["größe"]]


def json_lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def separated(records, delimiter=","):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(records[0])
    writer.writerows(record.values() for record in records)
    return text.getvalue().encode()


def parquet(records, row_group_size=3):
    pyarrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    pq.write_table(pyarrow.Table.from_pylist(records), stream, row_group_size=row_group_size)
    return stream.getvalue()


WRITERS = {
    "t.jsonl": json_lines,
    "t.ndjson": json_lines,
    "t.json": json_lines,
    "t.csv": separated,
    "t.tsv": lambda records: separated(records, "\t"),
    "T.JSONL.GZ": lambda records: gzip.compress(json_lines(records)),
    "t.csv.gz": lambda records: gzip.compress(separated(records)),
    "t.jsonl.bz2": lambda records: bz2.compress(json_lines(records)),
    "t.tsv.xz": lambda records: lzma.compress(separated(records, "\t")),
    "t.parquet": parquet,
}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


def read_field(path, field="text", *, header=True, skip_bad=False, **reading):
    ledger = Ledger()
    corpus = FileCorpus(path, reading=Reading(**reading), field=field, header=header, skip_bad=skip_bad)
    return list(corpus.sequences(ledger)), ledger


@pytest.mark.parametrize("name", WRITERS)
def test_a_field_of_every_format_holds_texts(name, write):
    path = write(name, WRITERS[name]([{"id": n, "text": text, "more": "x"} for n, text in enumerate(TEXTS)]))
    sequences, ledger = read_field(path)
    assert sequences == EXPECTED
    assert (ledger.lines, ledger.empty_lines, ledger.tokens_read) == (5, 1, 11)
    assert ledger.bytes == sum(len(text.encode()) for text in TEXTS)
    vocabulary = Vocabulary.from_corpus(
        FileCorpus(path, reading=Reading(lowercase=True), field="text"), min_count=1, threads=2
    )
    assert vocabulary.counts[vocabulary["the"]] == 2


@pytest.mark.parametrize("name", [name for name in WRITERS if "csv" not in name and "tsv" not in name])
def test_a_list_is_a_sequence_of_tokens_exactly_as_they_are(name, write):
    path = write(name, WRITERS[name]([{"id": n, "tokens": tokens} for n, tokens in enumerate(LISTS)]))
    assert read_field(path, "tokens", lowercase=True)[0] == LISTS
    upper = read_field(path, "tokens", tokenizer=str.upper)[0]
    assert upper == LISTS, "a tokenizer is for texts"
    found = Vocabulary.from_corpus(FileCorpus(path, field="tokens"), min_count=1)
    same = Vocabulary.from_corpus(LISTS, min_count=1)
    assert (found.tokens, found.counts.tolist()) == (same.tokens, same.counts.tolist())


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
@pytest.mark.parametrize("field", [2, "2"])
def test_a_field_may_be_given_by_its_number(name, field, write):
    path = write(name, WRITERS[name]([{"id": "7", "text": text} for text in TEXTS]))
    assert read_field(path, field)[0] == EXPECTED


def test_a_name_of_digits_comes_before_a_number_and_two_fields_of_one_name_need_one(write):
    path = write("t.csv", b"2,1\na,b\n")
    assert read_field(path, "1")[0] == [["b"]]
    assert read_field(path, 1)[0] == [["a"]]
    path = write("t.csv", b"text,text\na,b\n")
    with pytest.raises(ValueError, match=r"t\.csv' has 2 fields 'text': pass the number of one: 1, 2"):
        read_field(path)
    assert read_field(path, 2)[0] == [["b"]]


def test_csv_may_have_no_header(write):
    path = write("t.csv", b"1,first of all that are here\n2,second")
    assert read_field(path, 2, header=False)[0] == [["first", "of", "all", "that", "are", "here"], ["second"]]
    with pytest.raises(ValueError, match="header=False needs the number of a field, got field='first'"):
        FileCorpus(path, field="first", header=False)


def test_a_row_of_csv_without_header_and_field_is_a_list(write):
    path = write("t.csv", b'a, b c,,"d,e"\n\nf,\n')
    assert read_field(path, None, header=False)[0] == [["a", "b c", "d,e"], ["f"]]
    with pytest.raises(ValueError, match=r"line 3: 2 fields instead of 4 \(without a field, rows are lists\)"):
        read_field(path, 1, header=False)
    with pytest.raises(ValueError, match=r"t\.txt' is read by rows, so its name must end in one of"):
        read_field(write("t.txt", b"a,b"), None, header=False)


def test_csv_may_have_semicolons_tabs_or_bars(write):
    for delimiter in ";\t|":
        path = write("t.csv", separated([{"id": 1, "text": "a, b"}, {"id": 2, "text": f"c{delimiter}d"}], delimiter))
        assert read_field(path, tokenizer=list)[0] == [list("a, b"), list(f"c{delimiter}d")]
        assert read_field(write("l.csv", f"a b{delimiter}c\nd\n".encode()), None, header=False)[0] == [
            ["a b", "c"],
            ["d"],
        ]
    assert read_field(write("t.csv", b"text\na;b\n"))[0] == [["a;b"]]
    assert read_field(write("t.csv", b"a;b\n"), 1, header=False)[0] == [["a;b"]]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", b'\xef\xbb\xbftext,id\r\nthe cat,1\r\n"sat\r\ndown",2\r\n', [["the", "cat"], ["sat"], ["down"]]),
        ("t.jsonl", b'\xef\xbb\xbf{"text": "a"}\r\n \n\n{"text": "b"}', [["a"], ["b"]]),
        ("t.csv", b"id,text\n\n1,a\n\n", [["a"]]),
        ("e.jsonl", b"", []),
        ("e.csv", b"", []),
    ],
)
def test_byte_order_marks_line_ends_of_windows_and_blank_lines_are_no_text(name, content, expected, write):
    assert read_field(write(name, content))[0] == expected


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet"])
def test_an_empty_text_of_a_labelled_row_is_a_text(name, write):
    rows = field_rows(
        sources.find_files(write(name, WRITERS[name]([{"text": "", "label": "x"}])))[0], ["text", "label"]
    )
    assert [row for _, row in rows] == [("", "x")]


def test_a_text_of_a_dictionary_that_stands_in_all_rows_does_not_fill_the_memory(write):
    path = write("t.parquet", parquet([{"text": "x " * 50_000}] * 1024, row_group_size=1024))
    tracemalloc.start()
    try:
        assert sum(len(row[0]) for _, row in field_rows(sources.find_files(path)[0], ["text"])) == 102_400_000
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_long_file_is_read_in_pieces_and_rows_that_cross_them_are_whole(write, set_constant):
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 7)
    records = [{"text": f"größe {n}\nline"} for n in range(600)]
    expected = [line for n in range(600) for line in (["größe", str(n)], ["line"])]
    for name in ("t.jsonl", "t.csv", "t.csv.gz"):
        assert read_field(write(name, WRITERS[name](records)))[0] == expected


@pytest.mark.parametrize("like", ["t.jsonl", "t.parquet"])
def test_the_first_bytes_tell_the_format_where_the_name_does_not(like, write):
    assert read_field(write("rows", WRITERS[like]([{"text": "a b"}])))[0] == [["a", "b"]]
    with pytest.raises(ValueError, match=r"README\.md' .* must end in one of \.jsonl"):
        read_field(write("README.md", b"no row"))


def test_folders_are_read_without_their_other_files(write, tmp_path):
    for name, like in (("b.jsonl", "t.jsonl"), ("a.csv", "t.csv"), ("README.md", "t.csv")):
        write(name, WRITERS[like]([{"text": name}]))
    assert read_field(tmp_path)[0] == [["a.csv"], ["b.jsonl"]]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv.xz", "t.parquet"])
def test_a_table_needs_a_field(name, write):
    with pytest.raises(ValueError, match=rf"{name}' has fields: name one by field"):
        FileCorpus(write(name, WRITERS[name]([{"id": 1, "text": "a"}])))


def test_json_lines_may_hold_texts_and_lists_without_fields(write):
    path = write("t.jsonl", json_lines(["the cat", ["sat down"], [3, -1], [], "c"]))
    assert read_field(path, None)[0] == [["the", "cat"], ["sat down"], ["3", "-1"], [], ["c"]]
    with pytest.raises(ValueError, match=r"t\.jsonl', line 2: a record with \['a'\]: name the field"):
        read_field(write("t.jsonl", json_lines(["a", {"a": 1}])), None)


BAD_ROWS = [
    ("t.jsonl", b'{"text": "fine"', "line 2: no JSON, Expecting ',' delimiter", "no JSON"),
    ("t.jsonl", b'["fine"]', "line 2: ['fine'], where one object per line is expected", "no JSON object"),
    ("t.jsonl", b'{"txt": "a", "id": 3}', "line 2: no field 'text' among 'txt', 'id'", "no field 'text'"),
    ("t.jsonl", b'{"text": null}', "line 2: null instead of a text or a list of tokens", "null"),
    ("t.jsonl", b'{"text": 3}', "line 2: it is 3", "no text"),
    ("t.jsonl", b'{"text": ["a", null]}', "line 2: it holds None", "no text"),
    ("t.jsonl", b'{"text": "a \xff"}', r"line 2: not valid UTF-8: b'\xff'; iconv -f", "not valid UTF-8"),
    ("t.csv", b"3,a,b", "line 2: 3 fields instead of 2 (is a quote missing?)", "wrong number of fields"),
    ("t.csv", b'3,"a" b', "line 2: no CSV, ',' expected after '\"'", "no CSV"),
    ("t.csv", b"3,a\rb", "line 2: no CSV, new-line character", "no CSV"),
    ("t.csv", b'3,"a\n\xff"', "line 2: not valid UTF-8", "not valid UTF-8"),
]


@pytest.mark.parametrize(("name", "row", "message", "reason"), BAD_ROWS)
def test_a_bad_row_is_named_or_skipped_and_counted(name, row, message, reason, write):
    first, last = (b"id,text", b"7,fine here") if "csv" in name else (b'{"text": "first"}', b'{"text": "fine here"}')
    path = write(name, b"\n".join((first, row, last)))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared below, where no character has a meaning
        read_field(path)
    assert f"{name}', {message}" in str(caught.value)
    sequences, ledger = read_field(path, skip_bad=True)
    assert sequences[-1] == ["fine", "here"]
    assert ledger.skipped == {reason: 1}
    assert (ledger + ledger).skipped == {reason: 2}
    assert ledger.summary().endswith(f"; skipped 1 row (1 {reason})")
    assert ledger.lines == len(sequences) == (1 if "csv" in name else 2)


def test_invalid_utf8_matters_in_the_field_alone_and_can_be_replaced(write):
    path = write("t.jsonl", b'{"id": "\xff", "text": "a\xe4\xb8 b\xff \\ud800"}\n{"text": ["c\xff"]}\n')
    sequences, ledger = read_field(path, errors="replace")
    assert sequences == [["a\ufffd", "b\ufffd", "\ufffd"], ["c\ufffd"]]
    assert ledger.replaced == 4
    assert read_field(write("u.jsonl", b'{"id": "\xff", "text": "a"}'))[0] == [["a"]]


@pytest.mark.parametrize("content", [b'id,text\n1,"a\n2,b\n', b'id,text\n1,a\n2,"b'])
def test_a_quote_that_is_never_closed_is_an_error_even_when_bad_rows_are_skipped(content, write):
    for options in ({}, {"skip_bad": True}):
        with pytest.raises(ValueError, match=r"line \d: .* is a quote not closed"):
            read_field(write("t.csv", content), **options)


@pytest.mark.parametrize(
    ("name", "field", "message"),
    [
        ("t.csv", "txt", r"t\.csv' has no field 'txt'; its fields are 'id', 'text'"),
        ("t.csv", 3, r"t\.csv' has no field 3; its fields are 'id', 'text'$"),
        ("t.csv", "0", r"t\.csv' has no field '0'"),
        ("t.parquet", "txt", r"t\.parquet' has no field 'txt'; its fields are 'id', 'text'"),
        ("t.jsonl", 2, r"t\.jsonl' .* got field=2"),
        ("t.csv", 0, "field must be .* got 0"),
    ],
)
def test_a_field_that_a_file_does_not_have_is_an_error_even_when_bad_rows_are_skipped(name, field, message, write):
    path = write(name, WRITERS[name]([{"id": 1, "text": "a"}]))
    for options in ({}, {"skip_bad": True}):
        with pytest.raises(ValueError, match=message):
            read_field(path, field, **options)


def test_a_file_cut_short_is_an_error(write):
    whole = parquet([{"text": f"some words {n}"} for n in range(5000)])
    for length in (0, 3, len(whole) // 2, len(whole) - 20):
        with pytest.raises(OSError, match=r"cannot read '.*t\.parquet' beyond row \d+: "):
            read_field(write("t.parquet", whole[:length]), skip_bad=True)


def test_bad_rows_of_tables_have_their_number(write):
    path = write("t.parquet", parquet([{"text": "a"}, {"text": None}, {"text": "b"}]))
    with pytest.raises(ValueError, match=r"t\.parquet', row 2: null instead of"):
        read_field(path)
    sequences, ledger = read_field(path, skip_bad=True)
    assert (sequences, ledger.skipped) == ([["a"], ["b"]], {"null": 1})
    path = write("t.parquet", parquet([{"text": ["a", "b"]}, {"text": ["a", None]}, {"text": None}]))
    sequences, ledger = read_field(path, skip_bad=True)
    assert (sequences, ledger.skipped) == ([["a", "b"]], {"no text": 1, "null": 1})


def test_every_type_of_text_and_list_in_parquet_is_read(tmp_path):
    pyarrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    text, lists = ["a b", "c"], [["a", "b"], ["c", "d"]]
    kinds = pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    columns = [pyarrow.array(text, kind) for kind in (*kinds, pyarrow.binary())]
    columns += [pyarrow.array(lists), pyarrow.array(lists, pyarrow.list_(pyarrow.string(), 2))]
    pq.write_table(pyarrow.table(columns, [str(n) for n in range(6)]), tmp_path / "t.parquet")
    for column in range(1, 7):
        found = read_field(tmp_path / "t.parquet", column)[0]
        assert found == ([["a", "b"], ["c"]] if column <= 4 else lists), columns[column - 1].type


def test_invalid_utf8_in_a_table_is_a_bad_row(tmp_path):
    pyarrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path, bad = tmp_path / "t.parquet", pyarrow.array([b"a", b"\xff b"]).view(pyarrow.string())
    pq.write_table(pyarrow.table({"text": bad, "tokens": pyarrow.ListArray.from_arrays([0, 1, 2], bad)}), path)
    with pytest.raises(ValueError, match=r"t\.parquet', row 2: not valid UTF-8"):
        read_field(path)
    with pytest.raises(ValueError, match=r"t\.parquet' has a token that is not valid UTF-8"):
        read_field(path, "tokens")
    assert read_field(path, errors="replace")[0] == [["a"], ["\ufffd", "b"]]
    (file,) = sources.find_files(path)
    assert [row for _, row in field_rows(file, ["text"], errors="replace")] == [("a",), ("\ufffd b",)]


@pytest.mark.parametrize("name", WRITERS)
def test_several_fields_of_a_row_are_values_as_the_file_holds_them(tmp_path, name):
    path = tmp_path / name
    rows = [{"user": 7, "tags": ["a", "größe"], "item": "größe 猫"}, {"user": -1, "tags": [], "item": "x"}]
    path.write_bytes(WRITERS[name](rows))
    (file,) = sources.find_files(path)
    fields = ["item", "user"] if "sv" in name.lower() else ["item", "user", "tags"]
    found = [values for _, values in field_rows(file, fields)]
    expected = [tuple(row[field] for field in fields) for row in rows]
    assert found == ([(item, str(user)) for item, user in expected] if "sv" in name.lower() else expected)


def test_bad_rows_of_several_fields_say_what_is_wrong_and_where(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1, "b": "x\xff"}\n{"a": 1}\n[2]\n{"b": null, "a": ["\xff", 3]}\n')
    (file,) = sources.find_files(path)
    (_, first), (_, second), (number, third), (_, fourth) = field_rows(file, ["a", "b"])
    assert [bad.reason for bad in (first, second, third, fourth)] == [
        "not valid UTF-8", "no field 'b'", "no JSON object", "not valid UTF-8",
    ]  # fmt: skip
    assert row_place(file, number) == f"{str(path)!r}, line 3"
    replaced = [row for _, row in field_rows(file, ["a", "b"], errors="replace")]
    assert (replaced[0], replaced[3]) == ((1, "x\ufffd"), (["\ufffd", 3], None))


@pytest.mark.parametrize(
    ("name", "end", "message"),
    [("t.jsonl", b"x", "more than 1,024 bytes"), ("t.csv", b"x", "more"), ("t.csv", b"3,a\n", "larger than field")],
)
def test_a_row_that_is_too_long_is_an_error_without_being_held(write, set_constant, name, end, message):
    set_constant("fastembed.corpus.tables.LONGEST_ROW", 1 << 10)
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 1 << 10)
    with pytest.raises(ValueError, match=rf"line 2: .*{message}"):
        read_field(write(name, b'text\n"' + end * (1 << 16)), skip_bad=True)
