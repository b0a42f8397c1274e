"""Fixtures for the tests of the commands: calls of the command line, and input files."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastembed import cli
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

TEXT = "the cat sat on the mat\nthe dog sat on the cat\n" * 20


@pytest.fixture
def run(capsys):
    """Run a command line; return its exit code, stdout and stderr."""

    def run_command(*argv):
        code = cli.main([str(argument) for argument in argv])
        return code, *capsys.readouterr()

    return run_command


@pytest.fixture
def document(run):
    """Run a command line; return the output of --json."""

    def parse_output(*argv):
        code, out, err = run(*argv, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return parse_output


@pytest.fixture
def saved(tmp_path):
    """A file of four vectors."""
    path = tmp_path / "v.safetensors"
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]])
    Vectors(["man", "woman", "king", "queen"], matrix).save(path)
    return path


@pytest.fixture
def composing(tmp_path, write_fasttext):
    """A binary model of fastText: four words, and n-grams."""
    path = tmp_path / "model.bin"
    write_fasttext(path, ["man", "woman", "king", "queen"], dim=3, buckets=9, lengths=(4, 6))
    return path


@pytest.fixture
def text(tmp_path):
    """A text of seven words."""
    path = tmp_path / "text"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model_bytes(tmp_path_factory):
    """A model of that text."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    SkipGram(dim=3, min_count=1, sample=None, epochs=2).fit([TEXT]).save(path)
    return path.read_bytes()


@pytest.fixture
def model(tmp_path, model_bytes):
    """The file of a model of that text."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes)
    return path


@pytest.fixture
def workplace(tmp_path, monkeypatch, text, model, saved):
    """The current folder, with a text, a model of it, vectors, and word pairs."""
    monkeypatch.chdir(tmp_path)
    model.rename("model")
    saved.rename("v")
    (tmp_path / "pairs").write_text("cat dog 5\ncat mat 2\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def stdin(monkeypatch):
    """Put bytes into standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.fixture
def corpus(tmp_path):
    """A file of 300 lines: walks on a ring of 40 words, and one more word per line that occurs only there."""
    rng = np.random.default_rng(0)
    walks = (rng.integers(40, size=(300, 1)) + np.cumsum(rng.integers(0, 2, size=(300, 20)), axis=1)) % 40
    lines = [" ".join(f"w{step:02d}" for step in walk) + f" once{i}" for i, walk in enumerate(walks)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
