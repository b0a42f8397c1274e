"""Every format of vectors: what is written comes back, real readers read it, and theirs is read here."""

import csv
import gzip
import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed import Vectors, formats

EXTRAS = {"parquet": "pyarrow", "arrow": "pyarrow"}
SINGLE = {"word2vec", "word2vec-binary", "fasttext", "glove", "tsv"}
TEXT = {"word2vec": "v.txt", "word2vec-binary": "v.bin", "fasttext": "v.vec", "glove": "v.glove"}
PATHS = [
    form.suffixes[0] and f"v{suffix}{packed}"
    for form in formats.FORMATS.values()
    for suffix in form.suffixes
    if suffix
    for packed in (["", ".gz"] if form.gzip else [""])
]

# Not one of these is white space of ASCII; some are for other readers, others have been taken for numbers or line ends
TOKENS = [
    "the",
    "größe",
    "日本",
    "😀",
    "e\u0301",
    "3",
    "1e5",
    "-0.5",
    "nan",
    "2",
    "#",
    '"',
    "'quoted'",
    '"",',
    "\\n",
    "</s>",
    "\ufeffbom",
    "a\ufeff",
    "next\u0085line",
    "no\u00a0break",
    "\u00a0edge\u2003",
    "line\u2028separator",
    "\u2029paragraph",
    "\x00",
    "unit\x1fseparator",
    "__label__x",
    "\U0010ffff",
    "NULL",
    "None",
]
ODD = ["", " ", "new york", "tab\there", "new\nline", "return\r", "\x0b", "form\x0cfeed", "\u3000", "\ufeff", "\x1c"]


def need(name):
    """Skip without the format's library. pytest.importorskip sets filters of warnings, and so needs a single thread."""
    library = EXTRAS.get(name)
    if library and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def numbers(rows, dtype=np.float32, dim=6, seed=0):
    """Finite numbers of every size."""
    unsigned = {4: np.uint32, 8: np.uint64}[np.dtype(dtype).itemsize]
    bits = np.random.default_rng(seed).integers(0, np.iinfo(unsigned).max, rows * dim * 2, unsigned, endpoint=True)
    values = bits.view(dtype)
    values = values[np.isfinite(values)]
    limits = np.finfo(dtype)
    values[:7] = 0.0, -0.0, limits.smallest_subnormal, -limits.smallest_subnormal, limits.max, limits.tiny, 0.1
    return values[: rows * dim].reshape(rows, dim)


def same_bits(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


def test_each_suffix_and_each_name_tells_one_format():
    suffixes = [suffix for form in formats.FORMATS.values() for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for name, form in formats.FORMATS.items():
        assert form.name == name
        assert formats.format_of("a.txt", name) is form
        assert form.description
        for suffix in form.suffixes:
            assert formats.format_of(f"folder.txt/v{suffix.upper()}") is form
            assert f"``{suffix}``" in Vectors.save.__doc__ or not suffix or suffix in (".arrow", ".feather")
        assert f"``{name}``" in Vectors.save.__doc__


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("v.npz", None, "'v.npz': the suffix '.npz' tells no format; name one of safetensors, word2vec, "),
        ("v.pkl.gz", None, "the suffix '.pkl' tells no format"),
        ("v.txt", "pickle", "format must be one of safetensors, .*, got 'pickle'"),
        ("v.npy.gz", None, "the format 'npy' are not compressed with gzip"),
        ("v.gz", "safetensors", "the format 'safetensors' are not compressed with gzip"),
    ],
)
def test_unknown_formats_are_refused(tmp_path, path, name, message):
    with pytest.raises(ValueError, match=message):
        formats.format_of(path, name)
    with pytest.raises(ValueError, match=message):
        formats.check_output(path, name)
    with pytest.raises(ValueError, match=message.replace("'v.npz'", "v.npz'")):
        Vectors(["a"], np.eye(1)).save(tmp_path / path, name)
    with pytest.raises(ValueError, match=message.replace("'v.npz'", "v.npz'")):
        Vectors.load(tmp_path / path, name)
    assert not list(tmp_path.iterdir())


def test_a_name_that_cannot_be_written_is_refused_early(tmp_path):
    formats.check_output(tmp_path / "v.vec")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        formats.check_output(tmp_path / "nowhere" / "v.vec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("path", PATHS)
def test_everything_comes_back(tmp_path, path, dtype):
    form = formats.format_of(path)
    need(form.name)
    matrix = numbers(len(TOKENS), dtype)
    if form.name in SINGLE:
        matrix = np.where(np.abs(matrix) < 1e38, matrix, 1).astype(dtype)
    counts = np.arange(len(TOKENS)) * 2**40
    formats.save(TOKENS, matrix, tmp_path / path, counts=counts)
    found = formats.load(tmp_path / path)
    assert found.tokens == TOKENS
    same_bits(found.matrix, matrix.astype(np.float32) if form.name in SINGLE else matrix)
    assert not found.matrix.flags.writeable
    if form.name in ("safetensors", "tsv", "parquet", "arrow"):
        same_bits(found.counts, counts)
    else:
        assert found.counts is None
    del found  # Windows replaces no file that is mapped
    formats.save(TOKENS, matrix, tmp_path / path)  # over the old one, without counts
    assert formats.load(tmp_path / path).counts is None


@pytest.mark.parametrize("path", [path for path in PATHS if formats.format_of(path).name in SINGLE])
def test_float32_comes_back_bit_for_bit(tmp_path, path):
    matrix = numbers(20000)
    tokens = [f"größe{i}" for i in range(len(matrix))]
    formats.save(tokens, matrix, tmp_path / path)
    found = formats.load(tmp_path / path)
    assert found.tokens == tokens
    same_bits(found.matrix, matrix)


@pytest.mark.parametrize("layout", ["fortran", "strided"])
@pytest.mark.parametrize("path", PATHS)
def test_any_memory_order_is_written(tmp_path, path, layout):
    need(formats.format_of(path).name)
    matrix = numbers(4)
    given = {
        "fortran": np.asfortranarray(matrix),
        "strided": np.repeat(matrix, 2, axis=1)[:, ::2],
    }[layout]
    formats.save(list("abcd"), given, tmp_path / path)
    same_bits(formats.load(tmp_path / path).matrix, matrix)


@pytest.mark.parametrize("path", PATHS)
def test_every_odd_token_comes_back_or_is_refused_by_name(tmp_path, path):
    name = formats.format_of(path).name
    need(name)
    refused = {
        **dict.fromkeys(TEXT, ODD[:-3]),
        "npy": ["new\nline", "return\r"],
        "tsv": [t for t in ODD if t not in ("new york", "form\x0cfeed")],
    }.get(name, [])
    for token in ODD:
        if token in refused:
            with pytest.raises(ValueError, match=f"^token {re.escape(repr(token))} (is|contains) "):
                formats.save(["fine", token], np.eye(2), tmp_path / path)
            assert not list(tmp_path.iterdir())
    kept = ["fine", *(token for token in ODD if token not in refused)]
    formats.save(kept, np.eye(len(kept)), tmp_path / path)
    assert formats.load(tmp_path / path).tokens == kept


@pytest.mark.parametrize("path", [path for path in PATHS if not path.endswith((".gz", ".feather"))])
def test_any_tokens_come_back_or_one_is_refused_by_name(tmp_path_factory, path):
    need(formats.format_of(path).name)
    folder = tmp_path_factory.mktemp("tokens")
    characters = st.one_of(st.characters(), st.sampled_from(" \t\r\n\x0b\x85\u2028\ufeff\udc80\x00\"'0"))

    @settings(max_examples=200, database=None)
    @given(st.lists(st.text(characters, max_size=4), min_size=1, max_size=5, unique=True))
    def check(tokens):
        matrix = np.ones((len(tokens), 2))
        try:
            formats.save(tokens, matrix, folder / path)
        except ValueError as error:
            message = str(error)
        else:
            assert formats.load(folder / path).tokens == tokens
            return
        assert any(message.startswith(f"token {token!r} ") for token in tokens)

    check()


@pytest.mark.parametrize("path", PATHS)
def test_a_lone_surrogate_is_refused_by_name(tmp_path, path):
    need(formats.format_of(path).name)
    with pytest.raises(ValueError, match=r"token '\\udc80' has no UTF-8 form"):
        formats.save(["fine", "\udc80"], np.eye(2), tmp_path / path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PATHS)
def test_equal_contents_are_equal_files(tmp_path, path):
    need(formats.format_of(path).name)
    written = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        formats.save(["a", "b"], np.eye(2), tmp_path / folder / path, counts=np.array([3, 1]))
        written.append({file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()})
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tokens": ["a", "a"]}, ValueError, "'a' is in rows 0 and 1"),
        ({"tokens": ["a", 2]}, TypeError, "every token must be a str, got 2"),
        ({"tokens": ["a"]}, ValueError, r"must have the shape \(1, D\)"),
        ({"tokens": [], "matrix": np.empty((0, 2))}, ValueError, "at least one vector, got none"),
        ({"matrix": np.empty((2, 0))}, ValueError, r"at least one column, got the shape \(2, 0\)"),
        ({"matrix": [[1.0], [2.0]]}, TypeError, "float32 or float64, got list"),
        ({"matrix": np.eye(2, dtype=int)}, TypeError, "float32 or float64, got int64"),
        ({"matrix": np.array([[1, 2], [np.nan, 1]])}, ValueError, r"finite, got nan at \[1, 0\], 'b'"),
        ({"matrix": np.array([[1, -np.inf], [1, 1]])}, ValueError, r"finite, got -inf at \[0, 1\], 'a'"),
        ({"counts": np.array([1.0, 2.0])}, TypeError, "counts must be .*integers"),
        ({"counts": np.array([1])}, ValueError, r"counts must have the shape \(2,\)"),
        ({"counts": np.array([1, -1])}, ValueError, "got -1 for 'b'"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, change, error, message):
    parts = {"tokens": ["a", "b"], "matrix": np.eye(2)} | change
    with pytest.raises(error, match=message):
        formats.save(path=tmp_path / "v.txt", **parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_what_float32_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"float32, at most 3\.4028235e\+38; got 1e\+300"):
        formats.save(["a", "b"], np.array([[1, 2], [3, -1e300]]), tmp_path / "v", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["glove", "tsv"])
def test_one_number_a_vector_is_refused_where_it_is_ambiguous(tmp_path, name):
    with pytest.raises(ValueError, match="vectors of one number"):
        formats.save(["2", "a", "b"], np.ones((3, 1)), tmp_path / "v", name)  # "2 1" would promise what follows


def test_safetensors_are_mapped_and_keep_settings(tmp_path):
    formats.save(["a"], np.ones((1, 3)), tmp_path / "v", settings={"dim": 3})
    found = formats.load(tmp_path / "v")
    assert found.settings == {"dim": 3}
    for matrix in (found.matrix, Vectors.load(tmp_path / "v").matrix):
        bases = [matrix]
        while bases[-1] is not None:
            bases.append(getattr(bases[-1], "base", None))
        assert any(isinstance(base, np.memmap) for base in bases)


def test_vectors_keep_counts_where_the_format_can(tmp_path):
    vectors = Vectors(["a", "b"], np.eye(2), counts=np.array([7, 3]))
    for path in ("v.safetensors", "v.tsv"):
        vectors.save(tmp_path / path)
        np.testing.assert_array_equal(Vectors.load(tmp_path / path).counts, [7, 3])


# Real readers


@pytest.fixture(scope="module")
def keyedvectors():
    return pytest.importorskip("gensim.models.keyedvectors", reason="gensim is not installed").KeyedVectors


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # gensim's
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize(("name", "path"), TEXT.items())
def test_gensim_reads_ours_and_we_read_gensims(tmp_path, keyedvectors, name, path, packed):
    options = {"binary": name == "word2vec-binary", "no_header": name == "glove"}
    ours, theirs = str(tmp_path / f"ours-{path}{packed}"), str(tmp_path / f"theirs-{path}{packed}")
    matrix = np.random.default_rng(0).normal(size=(len(TOKENS), 5)).astype(np.float32)
    Vectors(TOKENS, matrix).save(ours)
    peer = keyedvectors.load_word2vec_format(ours, **options)
    assert peer.index_to_key == TOKENS
    same_bits(peer.vectors, matrix)
    peer.save_word2vec_format(theirs, binary=options["binary"], write_header=not options["no_header"])
    found = Vectors.load(theirs)
    assert list(found.tokens) == TOKENS
    same_bits(found.matrix, matrix)


def test_gensim_names(tmp_path, keyedvectors):
    vectors = Vectors(["a", "b"], np.eye(2))
    for binary in (False, True):
        vectors.save_word2vec_format(tmp_path / "v.gz", binary=binary)
        assert keyedvectors.load_word2vec_format(str(tmp_path / "v.gz"), binary=binary).index_to_key == ["a", "b"]
        assert Vectors.load_word2vec_format(tmp_path / "v.gz", binary=binary).tokens == ("a", "b")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_gensim_and_back(keyedvectors, dtype):
    matrix = np.random.default_rng(0).normal(size=(len(TOKENS), 5)).astype(dtype)
    vectors = Vectors(TOKENS, matrix, counts=np.arange(len(TOKENS)))
    peer = vectors.to_gensim()
    assert isinstance(peer, keyedvectors)
    assert peer.index_to_key == TOKENS
    same_bits(peer.vectors, matrix)
    assert [peer.get_vecattr(token, "count") for token in TOKENS] == list(range(len(TOKENS)))
    assert peer.most_similar("the", topn=1)[0][0] == vectors.most_similar("the", topn=1)[0][0]
    back = Vectors(peer.index_to_key, peer.vectors)
    assert back.tokens == vectors.tokens
    same_bits(back.matrix, matrix)
    peer.vectors[:] = 0  # its own memory
    assert vectors.matrix.all()


def test_numpy_reads_ours_and_we_read_numpys(tmp_path):
    matrix = numbers(len(TOKENS), np.float64)
    Vectors(TOKENS, matrix).save(tmp_path / "v.npy")
    same_bits(np.load(tmp_path / "v.npy", allow_pickle=False), matrix)
    with (tmp_path / "v.tokens.txt").open(encoding="utf-8") as file:  # universal newlines
        assert [line.removesuffix("\n") for line in file] == TOKENS
    for order in "CF":
        np.save(tmp_path / "w.npy", np.asarray(matrix, ">f8", order=order))
        (tmp_path / "w.tokens.txt").write_text("\n".join(TOKENS), encoding="utf-8")  # no last line end
        found = Vectors.load(tmp_path / "w.npy")
        assert list(found.tokens) == TOKENS
        same_bits(found.matrix, matrix)


@pytest.mark.parametrize("counts", [None, np.array([5, 0, 2**62])])
def test_a_plain_csv_reader_reads_our_pair_and_we_read_its(tmp_path, counts):
    tokens = ["größe", '"', "new york"]
    matrix = numbers(3)
    formats.save(tokens, matrix, tmp_path / "vectors.tsv", counts=counts)
    rows = []
    for name in ("vectors.tsv", "metadata.tsv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            rows.append(list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)))
    same_bits(np.array(rows[0], np.float32), matrix)
    if counts is None:
        assert rows[1] == [[token] for token in tokens]
    else:
        expected = [[token, str(count)] for token, count in zip(tokens, counts, strict=True)]
        assert rows[1] == [["token", "count"], *expected]
    for name, content in zip(("w.tsv", "w.metadata.tsv"), rows, strict=True):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, "excel-tab", quoting=csv.QUOTE_NONE, quotechar=None).writerows(
                content
            )  # ends lines by \r\n
    found = formats.load(tmp_path / "w.tsv")
    assert found.tokens == tokens
    same_bits(found.matrix, matrix)
    assert (found.counts is None) == (counts is None)
    assert counts is None or np.array_equal(found.counts, counts)


def test_metadata_with_other_columns(tmp_path):
    (tmp_path / "vectors.tsv").write_text("1\t2\n3\t4\n", encoding="utf-8")
    (tmp_path / "metadata.tsv").write_text("Word\tclass\tcount\none\tx\t7\ntwo\ty\t3\n", encoding="utf-8")
    found = formats.load(tmp_path / "vectors.tsv")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.counts, [7, 3])
    (tmp_path / "metadata.tsv").write_text("Word\tclass\none\tx\ntwo\ty\n", encoding="utf-8")
    assert formats.load(tmp_path / "vectors.tsv").counts is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
def test_pyarrow_and_pandas_read_ours_and_we_read_theirs(tmp_path, suffix, dtype):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    from pyarrow import feather, parquet

    read, write = (
        (parquet.read_table, parquet.write_table)
        if suffix == "parquet"
        else (feather.read_table, feather.write_feather)
    )
    tokens, matrix, counts = [*TOKENS, *ODD], numbers(len(TOKENS + ODD), dtype), np.arange(len(TOKENS + ODD))
    ours, theirs = tmp_path / f"ours.{suffix}", tmp_path / f"theirs.{suffix}"
    formats.save(tokens, matrix, ours, counts=counts)
    table = read(ours)
    assert table.schema.names == ["token", "vector", "count"]
    assert table["token"].to_pylist() == tokens
    assert table["vector"].type == pyarrow.list_(pyarrow.from_numpy_dtype(dtype), 6)
    same_bits(np.array(table["vector"].to_pylist(), dtype), matrix)
    assert table["count"].to_pylist() == counts.tolist()
    frame = (pandas.read_parquet if suffix == "parquet" else pandas.read_feather)(ours)
    assert frame["token"].tolist() == tokens
    same_bits(np.stack(frame["vector"]), matrix)
    chunked = pyarrow.concat_tables([table.slice(0, 3), table.slice(3)])
    write(chunked.append_column("other", [["x"] * len(tokens)]), theirs)
    frame["vector"] = list(matrix)
    for written in (
        lambda: None,
        lambda: (frame.to_parquet if suffix == "parquet" else frame.to_feather)(theirs),  # lists of any length
    ):
        written()
        found = formats.load(theirs)
        assert found.tokens == tokens
        same_bits(found.matrix, matrix)
        assert np.array_equal(found.counts, counts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_pandas_and_back(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    tokens, matrix = [*TOKENS, *ODD], numbers(len(TOKENS + ODD), dtype)
    vectors = Vectors(tokens, matrix)
    frame = vectors.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "token"
    same_bits(frame.loc["größe"].to_numpy(), matrix[1])
    found = Vectors.from_pandas(frame)
    assert list(found.tokens) == tokens
    same_bits(found.matrix, matrix)
    np.testing.assert_array_equal(Vectors.from_pandas(frame[[2, 0]]).matrix, matrix[:, [2, 0]])
    frame.iloc[0, 0] = 7  # neither is the other's memory
    assert vectors.matrix[0, 0] == found.matrix[0, 0] == 0
    with pytest.raises(TypeError, match=r"a pandas\.DataFrame expected, got list"):
        Vectors.from_pandas([1])
    with pytest.raises(TypeError, match="every token must be a str, got 0"):
        Vectors.from_pandas(frame.reset_index(drop=True))
    with pytest.raises(TypeError, match="float32 or float64, got object"):
        Vectors.from_pandas(frame.reset_index())
    with pytest.raises(ValueError, match="'the' is in rows 0 and 1"):
        Vectors.from_pandas(frame.iloc[[0, 0]])
    with pytest.raises(ValueError, match=r"token '\\ud800' has no UTF-8 form"):
        Vectors(["\ud800"], np.eye(1)).to_pandas()


@pytest.mark.parametrize(
    ("use", "module", "extra"),
    [
        (lambda vectors, path: vectors.save(path / "v.parquet"), "pyarrow.parquet", "parquet"),
        (lambda vectors, path: formats.check_output(path / "v.feather"), "pyarrow", "parquet"),
        (lambda vectors, path: Vectors.load(path / "v.arrow"), "pyarrow", "parquet"),
        (lambda vectors, path: vectors.to_gensim(), "gensim.models.keyedvectors", "gensim"),
        (lambda vectors, path: vectors.to_pandas(), "pandas", "pandas"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, use, module, extra):
    top = module.partition(".")[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        monkeypatch.delitem(sys.modules, name)

    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == top:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    with pytest.raises(
        ImportError, match=rf"^{module} cannot be imported \(No .*{top}.*\): install .* the extra \[{extra}\]$"
    ):
        use(Vectors(["a"], np.eye(1)), tmp_path)
    assert not list(tmp_path.iterdir())


# Files of other tools


def test_binary_without_newlines_and_with_bytes_that_look_like_text(tmp_path):
    # gensim writes no newline after a vector; the first bytes of a vector may be any, a space or a newline among them
    rows = np.frombuffer(b"\n\n\n\n    \n \n    \n", dtype="<f4").reshape(2, 2)
    (tmp_path / "v.bin").write_bytes(b"2 2\none " + rows[0].tobytes() + b"two " + rows[1].tobytes())
    found = formats.load(tmp_path / "v.bin")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.matrix, rows)


@pytest.mark.parametrize("size", [1 << 18, (1 << 20) + 3])
def test_binary_records_across_blocks(tmp_path, size):
    matrix = np.random.default_rng(0).normal(size=(5, size // 4)).astype(np.float32)
    tokens = ["a" * 100000, "b", "c", "d" * 1200000, "e"]
    formats.save(tokens, matrix, tmp_path / "v.bin")
    found = formats.load(tmp_path / "v.bin")
    assert found.tokens == tokens
    same_bits(found.matrix, matrix)


def test_text_of_other_tools(tmp_path):
    # trailing spaces as fastText writes them, \r\n, no last line end
    (tmp_path / "v.vec").write_bytes(b"2 3\r\none 1 2e0 -3.5 \r\ntwo 0.5 .25 1 ")
    found = formats.load(tmp_path / "v.vec")
    assert found.tokens == ["one", "two"]
    np.testing.assert_array_equal(found.matrix, np.array([[1, 2, -3.5], [0.5, 0.25, 1]], np.float32))
    (tmp_path / "v.vec.gz").write_bytes(gzip.compress(b"1 1\none 1") + gzip.compress(b"5\n"))  # two members
    assert formats.load(tmp_path / "v.vec.gz").matrix[0, 0] == 15
