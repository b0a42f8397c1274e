"""A password in a URL is neither printed nor stored."""

import re
import traceback

import pytest

from fastembed import Counts, SkipGram
from fastembed.corpus import FileCorpus, Ledger

fsspec = pytest.importorskip("fsspec", reason="needs the extra [remote]")
pytestmark = pytest.mark.thread_unsafe(reason="registers a file system")
TEXT = b"a b c d\nb c d e\n" * 20
SECRET = "s3cret"


@pytest.fixture(params=["user:s3cret", "user:s3cret@x", ":s3cret"])
def url(request, tmp_path):
    """The URL of a folder of a file system whose errors repeat the URL."""
    from fsspec.implementations.memory import MemoryFileSystem

    class Guarded(MemoryFileSystem):
        protocol = "guarded"
        store, pseudo_dirs = {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            if "broken" in path:
                raise ConnectionError(f"cannot reach {path.removeprefix('guarded://')}, which is {path}")
            return "/" + re.sub(r"^guarded://[^/]*/?|^/", "", path).rstrip("/")

    fsspec.register_implementation("guarded", Guarded, clobber=True)
    Guarded().pipe({"/text.txt": TEXT})
    return f"guarded://{request.param}@host"


def test_no_message_has_it(url):
    for path in (f"{url}/absent.txt", f"{url}/broken.txt"):
        with pytest.raises(OSError, match="host/") as caught:
            list(FileCorpus(path).sequences(Ledger()))
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    fsspec.filesystem("guarded").mkdir("/store")
    with pytest.raises(ValueError, match="host/store' is not a store") as caught:
        Counts.open(f"{url}/store")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_file_has_it(url, tmp_path):
    corpus = FileCorpus(f"{url}/text.txt")
    assert corpus.names == [re.sub(r":[^/]*@", ":***@", f"{url}/text.txt")]
    model = SkipGram(dim=2, min_count=1, epochs=1).fit(corpus, checkpoint=tmp_path / "checkpoint")
    model.save(tmp_path / "model.safetensors")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 2
    assert not any(SECRET.encode() in file.read_bytes() for file in files)


def test_a_command_prints_it_nowhere(url, capfd, tmp_path):
    from fastembed.cli import main

    commands = [
        ["count", f"{url}/text.txt", "-o", f"{url}/counts", "--min-count", "1"],
        ["train", "--counts", f"{url}/absent", "-o", f"{tmp_path}/m.safetensors"],
    ]
    assert [main(command) for command in commands] == [0, 1]
    assert SECRET not in "".join(capfd.readouterr())
