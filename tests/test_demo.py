"""The demo: the text that it reads from a library of Python sources, and a run on the real library."""

import numpy as np
import pytest

from fastembed import demo
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

pytestmark = pytest.mark.thread_unsafe(reason="ast counts its recursion in one place for all threads, in some Pythons")

MODULE = '''# coding: latin-1
# A comment about Sockets,
    # on two lines.
"""Module words: sock_stream."""
import nothing_that_exists

number = 1  # a remark behind code is left out
text = """Not a docstring."""

if number:
    class Thing:
        """Class words."""

        async def method(self):
            """M\xe9thode words."""
            def inner(): "Inner words."
try:
    def last(): """Last words."""
except ImportError:
    pass
'''


@pytest.fixture
def library(tmp_path):
    files = {
        "module.py": MODULE.encode("latin-1"),
        "pydoc_data/topics.py": b'# a comment\ntopics = {"a": "Topic one", "b": "Topic two"}\n',
        "pack/age.py": b'"""Deep words."""\n# no newline at the end',
        "broken.py": b"def (:\n# hidden\n",
        "null.py": b"\x00",
        "encoding.py": b'"""\xff"""\n',
        "cookie.py": b"# coding: no_such_encoding\n",
        "test/hidden.py": b"# hidden\n",
        "pack/tests/hidden.py": b"# hidden\n",
        "site-packages/hidden.py": b"# hidden\n",
        "notes.txt": b"# hidden\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_docstrings_comments_and_topics_are_read(library):
    found = demo.standard_library(library)
    assert [" ".join(tokens) for tokens in found.sequences] == [
        "module words sock_stream",
        "class words",
        "thode words",
        "inner words",
        "last words",
        "coding latin comment about sockets on two lines",
        "deep words",
        "no newline at the end",
        "topic one",
        "topic two",
    ]
    assert found.tokens == {"docstrings": 13, "comments": 13, "language reference": 4}
    assert found.files == 3


@pytest.fixture(scope="module")
def real_library():
    """The library of the running Python, which takes seconds to read."""
    return demo.standard_library()


@pytest.mark.slow
def test_run_shows_neighbours_an_analogy_and_the_file(tmp_path, capsys, monkeypatch, real_library):
    monkeypatch.setattr(demo, "standard_library", lambda: real_library)
    model = SkipGram(seed=0)
    demo.run(model, tmp_path / "v.safetensors")
    out = capsys.readouterr().out
    assert "process is to: processes" in out
    assert str(tmp_path / "v.safetensors") in out
    nll = [record["nll"] for record in model.history]
    assert nll == sorted(nll, reverse=True)
    vectors = Vectors.load(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(vectors.matrix, model.vectors.matrix)
    for word, near in [("lock", "acquire"), ("socket", "datagram"), ("coroutine", "async"), ("thread", "threads")]:
        assert near in {token for token, _ in vectors.most_similar(word, topn=20)}
