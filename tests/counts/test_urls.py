"""Texts and stores that have a URL: in memory, on this machine, and on a server that speaks S3."""

import bz2
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastembed import Counts, SkipGram, Vocabulary
from fastembed.corpus import FileCorpus
from fastembed.counts.counts import tiled_counts
from fastembed.counts.folders import UrlFolder

fsspec = pytest.importorskip("fsspec", reason="needs the extra [remote]")
TIME_LIMIT = 300  # seconds, for a server that does not start
TEXT = "\n".join(" ".join(f"w{word}" for word in np.random.default_rng(k).zipf(1.3, 40)) for k in range(200)).encode()


@pytest.fixture
def small_groups(set_constant):
    set_constant("fastembed.counts.groups.GROUP_ROWS", 200)


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory):
    """The URL of moto's server, in a separate process."""
    for name in ("moto", "s3fs", "flask"):
        pytest.importorskip(name, reason="needs a server and a client of S3")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]  # a port that is free
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + TIME_LIMIT
        while not (running := re.search(rb"Running on (http://127\.0\.0\.1:\d+)", log.read_bytes())):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "waited in vain for the server"
            time.sleep(0.05)
        yield running[1].decode()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["memory", "file", "s3"])
def url(request, tmp_path, monkeypatch):
    """The URL of an empty folder."""
    if request.param == "memory":
        yield f"memory://{tmp_path.name}"
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)
        return
    if request.param == "file":
        yield tmp_path.as_uri()
        return
    server = request.getfixturevalue("s3_server")
    values = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (values | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    bucket = f"bucket{abs(hash(tmp_path)) % 10**9}"
    system.mkdir(bucket)
    yield f"s3://{bucket}/folder"


def put(url, data):
    system, path = fsspec.core.url_to_fs(url)
    if "file" in system.protocol:
        Path(path).parent.mkdir(exist_ok=True)
    system.pipe_file(path, data)


pytestmark = [pytest.mark.thread_unsafe(reason="one server"), pytest.mark.filterwarnings("ignore")]


def test_text_that_has_a_url_is_read_as_a_file_is(url, tmp_path, set_constant):
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 1 << 10)
    (tmp_path / "local").mkdir()
    for name, data in (("a.txt", TEXT), ("b.txt.bz2", bz2.compress(TEXT)), (".hidden", b"x")):
        put(f"{url}/texts/{name}", data)
        (tmp_path / "local" / name).write_bytes(data)
    expected = Vocabulary.from_corpus(tmp_path / "local", min_count=1)
    for path in (f"{url}/texts", f"{url}/texts/*.*", FileCorpus([f"{url}/texts/a.txt", f"{url}/texts/b.txt.bz2"])):
        found = Vocabulary.from_corpus(path, min_count=1)
        assert (found.tokens, found.counts.tolist()) == (expected.tokens, expected.counts.tolist())
        assert found.ledger == expected.ledger
    assert FileCorpus(f"{url}/texts/a.txt").names[0].endswith("/texts/a.txt")


@pytest.mark.usefixtures("small_groups")
def test_a_store_that_has_a_url_is_that_of_a_folder(url, tmp_path, set_constant):
    set_constant("fastembed.corpus.tasks.TASK_BYTES", 1 << 13)
    set_constant("fastembed.corpus.chunks.CHUNK_BYTES", 1 << 10)
    put(f"{url}/text", TEXT)
    (tmp_path / "text").write_bytes(TEXT)
    vocabulary = Vocabulary.from_corpus(tmp_path / "text", min_count=1)
    counts = Counts.from_corpus(tmp_path / "text", vocabulary, window=3, directed=True)
    counts.save(tmp_path / "local.counts")
    with ThreadPoolExecutor(2) as executor:
        by_tasks = Counts.from_corpus(
            f"{url}/text", vocabulary, window=3, directed=True, executor=executor, store=f"{url}/a.counts"
        )
    direct = Counts.from_corpus(f"{url}/text", vocabulary, window=3, directed=True, store=f"{url}/b.counts")
    counts.save(f"{url}/b.counts")  # replaces it
    wanted = {file.name: file.read_bytes() for file in (tmp_path / "local.counts").iterdir() if file.suffix == ".tiles"}
    system, path = fsspec.core.url_to_fs(url)
    for name in ("a.counts", "b.counts"):
        found = {file.rpartition("/")[2]: system.cat_file(file) for file in system.ls(f"{path}/{name}", detail=False)}
        assert {key: value for key, value in found.items() if key.endswith(".tiles")} == wanted
    opened = Counts.open(f"{url}/a.counts")
    assert len({tiled_counts(each).sha256() for each in (opened, by_tasks, direct)}) == 1
    assert opened.ledger == counts.ledger
    models = [SkipGram(dim=4, epochs=1, threads=1).fit(each) for each in (counts, opened)]
    assert_array_equal(models[0].vectors.matrix, models[1].vectors.matrix)


def test_errors_name_the_url(url):
    with pytest.raises(FileNotFoundError, match=f"no such file: '{url}/missing"):
        Vocabulary.from_corpus(f"{url}/missing.txt")
    with pytest.raises(FileNotFoundError, match=rf"no such file: '{url}/\*\.gz'"):
        Vocabulary.from_corpus(f"{url}/*.gz")
    with pytest.raises((FileNotFoundError, ValueError), match=rf"there is no .*{url[-5:]}/missing"):
        Counts.open(f"{url}/missing.counts")
    put(f"{url}/a.counts/novel.txt", b"a")
    with pytest.raises(FileExistsError, match=r"a\.counts' holds other files, such as 'novel.txt'"):
        Counts.from_pairs(["a"], ["b"]).save(f"{url}/a.counts")
    with pytest.raises(ValueError, match=r"a\.counts' is not a store of counts"):
        Counts.open(f"{url}/a.counts")
    put(f"{url}/a.txt", b"a b\nc \xff")
    with pytest.raises(ValueError, match=r"/a\.txt' is not valid UTF-8 at line 2"):
        Vocabulary.from_corpus(f"{url}/a.txt")


def test_a_protocol_that_nothing_knows_is_named():
    with pytest.raises(OSError, match=r"'nothing://a/b' cannot be read or written: .*nothing"):
        Vocabulary.from_corpus("nothing://a/b")


def test_without_fsspec_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"install fastembed-cython with the extra \[remote\]"):
        Vocabulary.from_corpus("s3://a/b")


def test_structured_files_have_urls_too(url):
    put(f"{url}/texts/a.csv", b"id,text\n7,the dog\n8,barks")
    put(f"{url}/texts/b.txt", b"no field")
    assert Vocabulary.from_corpus(FileCorpus(f"{url}/texts", field="text"), min_count=1).ledger.tokens_read == 3


def test_an_empty_range_of_a_file_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", None)
    assert UrlFolder("memory://folder").read("file", 8, 8).size == 0
