"""What a source is, and the files that a path stands for."""

import io
import os
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, Recommender, SkipGram
from fastembed.corpus import DocumentCorpus, FileCorpus, Ledger
from fastembed.corpus.corpus import as_corpus
from fastembed.corpus.sources import form_of


@pytest.mark.parametrize(
    ("form", "sources"),
    [
        ("files", ["a", Path("a"), [Path("a"), Path("b")], (Path("a"),)]),
        ("matrix", [sparse.dok_array((2, 3)), sparse.csr_array((2, 3)), np.ones((2, 3))]),
        ("table", [{"text": ["a"]}, {}]),
        (
            "items",
            [["a", Path("b")], [], [["a"]], np.array(["a"]), np.ones((1, 1, 1)), {"a"}, DocumentCorpus([])],
        ),
        ("other", [None, 3, b"a", bytearray(b"a"), 2.5]),
    ],
)
def test_each_source_has_one_form(form, sources):
    assert [form_of(source) for source in sources] == [form] * len(sources)


def test_a_str_in_a_list_is_a_text_or_a_path():
    assert [form_of(["a", Path("b")], texts=texts) for texts in (True, False)] == ["items", "files"]


@pytest.mark.parametrize(
    ("library", "make"), [("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "table"), ("networkx", "Graph")]
)
def test_tables_and_graphs_of_libraries_are_told_apart(library, make):
    module = pytest.importorskip(library)
    if library == "networkx":
        assert form_of(module.Graph([(1, 2)])) == "graph"
    else:
        table = getattr(module, make)({"text": ["a"]})
        assert (form_of(table), form_of(table["text"])) == ("table", "items")


def test_folders_and_patterns_stand_for_their_files_in_order(tmp_path, read):
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden", "deep/.git/x", "[odd].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    everything = [["[odd].txt"], ["a.txt"], ["b.txt"], ["deep/c.txt"]]
    assert read(tmp_path)[0] == everything
    assert read(f"{tmp_path}/**/*.txt")[0] == everything
    assert read(f"{tmp_path}/[ab].txt")[0] == [["a.txt"], ["b.txt"]]
    assert read(tmp_path / "[odd].txt")[0] == [["[odd].txt"]]
    assert read([tmp_path / "deep", tmp_path / "b.txt"])[0] == [["deep/c.txt"], ["b.txt"]]


@pytest.mark.parametrize("pattern", ["*/*.txt", "**/*.txt", "*/deep/*.txt"])
def test_a_folder_of_a_pattern_that_cannot_be_read_is_an_error(pattern, tmp_path, monkeypatch):
    for name in ("a/deep/x.txt", "b/deep/x.txt", "a/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    read_folder = os.scandir

    def fail(path="."):
        if os.fspath(path) == str(tmp_path / "b"):
            raise PermissionError(13, "Permission denied", path)
        return read_folder(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(PermissionError, match="b'"):
        FileCorpus(f"{tmp_path}/{pattern}")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".hidden").touch()
    for missing in ("missing", "[a-c]*"):
        with pytest.raises(FileNotFoundError, match=f"no such file: {re.escape(repr(missing))}; pass"):
            FileCorpus([missing])
        with pytest.raises(FileNotFoundError, match=f"no such file: {re.escape(repr(missing))}$"):
            FileCorpus([Path(missing)])
    with pytest.raises(FileNotFoundError, match=r"the folder '\.' holds no file"):
        FileCorpus(["."])


@pytest.mark.parametrize(
    "text", ["the cat", "two\nlines", "long " * 5000, "nul \0", "what?\n" * 9, "[a] " * 2000, "([" * 100_000]
)
def test_a_text_in_place_of_a_path_is_explained(text):
    with pytest.raises(FileNotFoundError, match=r"pass \[text\] if it is a text"):
        as_corpus(text)


def test_standard_input_is_kept_for_a_second_reading(monkeypatch, read):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("the cat\n\nübergroß 猫".encode()), encoding="utf-8"))
    for _ in range(2):
        seen = []
        sequences, ledger = read("-", lambda *now, seen=seen: seen.append(now))
        assert sequences == [["the", "cat"], [], ["übergroß", "猫"]]
        assert ledger.bytes == 23
        assert seen[-1] == (ledger.bytes, ledger.bytes)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="standard input is closed"):
        read("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_is_kept_for_a_second_reading(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a b\nc\n",))
    writer.start()
    corpus = FileCorpus(pipe)
    writer.join()
    for _ in range(2):
        assert list(corpus.sequences(Ledger())) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("read", [Counts.from_graph, Recommender().fit, lambda path: SkipGram(min_count=1).fit(path)])
def test_all_read_a_pipe_once(tmp_path, monkeypatch, read):
    data = b"a b\nb c\na c\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    read("-")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
        writer.start()
        read(tmp_path / "pipe")
        writer.join()


def test_what_is_no_path_is_named():
    with pytest.raises(TypeError, match=r"paths must be a path or several, .* got 5"):
        FileCorpus(["text", 5])
