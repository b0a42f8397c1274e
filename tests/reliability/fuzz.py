"""Reads mutated files of every kind that the library reads: `make check-fuzz SEED=1 SECONDS=600`.

Each is a good file in which bytes have been changed, cut, repeated, inserted or taken from another file; of compressed
files often what is inside, and of safetensors files often the header, with its length set right. In half of the tries
one bit is flipped and nothing else. Then the file

- is read, and is sound: finite numbers, as many tokens as rows, and it answers questions; or
- is rejected with ValueError, OSError or UnicodeError (a ValueError), which the functions document.

A file of ours with one flipped bit is read as it was, or rejected by an error that names it: it holds its SHA-256. In
the other tries that is not compared: what somebody has written with a right one may raise anything, but neither ends
nor hangs the process. All of that happens within `TRY_SECONDS`, and the process never takes `MORE_MB` beyond what it
took after the good files. A try depends on the seed and its number alone.

    python fuzz.py [--seed N] [--seconds N] [--tries N] [--only WORD ...] [--times N] [--per-round N]

A file that is read otherwise is copied into the folder `fuzz-SEED-NUMBER`.
"""

from __future__ import annotations

import argparse
import bz2
import collections
import faulthandler
import gzip
import hashlib
import json
import lzma
import pickle
import random
import re
import shutil
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastembed import Classifier, Counts, Recommender, SkipGram, Trainer, Vectors, Vocabulary, formats
from fastembed.corpus import FileCorpus, Reading
from fastembed.formats import tensors

DOCUMENTED = (ValueError, OSError)
TRY_SECONDS = 60
MORE_MB = 200
# Pieces that mean something to one of the readers
PIECES = [
    b"", b"\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"-1", b"0", b"99999999999",
    b"18446744073709551615", b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"1e400", b"0x10", b"1_0",
    b" ", b"\n", b"\r", b"\r\n", b"\t", b"\x0b", b"\x0c", b'"', b"'", b"\\", b"\\u0000", b"\\ud800",
    b"\xf0\x9f", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"[" * 40, b"{" * 40, b"]", b"}", b",", b":", b"null", b"true", b"[]", b"{}",
    b"F16", b"BF16", b"I64", b"__metadata__", b"shape", b"PAR1",
    b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd",
]  # fmt: skip


# ---------------------------------------------------------------- mutations


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to four changes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        size = min(len(data) - at, int(rng.expovariate(0.1)))
        way = rng.randrange(8)
        if way == 0:  # a bit
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data
        elif way == 1:
            data = data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at + rng.choice((0, 1, 4, 8)) :]
        elif way == 2:
            data = data[:at] + rng.choice(PIECES) + data[at + rng.choice((0, 1, 4, size)) :]
        elif way == 3:  # a cut out
            data = data[:at] + data[at + size :]
        elif way == 4:  # a cut off
            data = data[:at]
        elif way == 5:  # again
            data = data[: at + size] + data[at : at + size] * rng.choice((1, 1, 2, 50)) + data[at + size :]
        elif way == 6 and other:
            start = rng.randrange(len(other))
            data = data[:at] + other[start : start + size] + data[at + rng.choice((0, size)) :]
        elif way == 7:  # one number of the text
            spots = list(re.finditer(rb"\d+", data[at : at + 400]))
            if spots:
                spot = rng.choice(spots)
                value = rng.choice((0, 1, int(spot[0]) + rng.choice((-1, 1)), 2**31, 2**63, 10 ** rng.randint(1, 40)))
                data = data[: at + spot.start()] + str(value).encode() + data[at + spot.end() :]
    return data


def mutated_header(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file whose header was mutated, with its length set right."""
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.5:  # the JSON stays JSON
        try:
            value = json.loads(header)
            text = json.dumps(changed(value, rng), ensure_ascii=rng.random() < 0.5)
            header = text.encode(errors="surrogatepass")
        except RecursionError:
            pass
    else:
        header = mutated(header, other[8:600], rng)
    return struct.pack("<Q", len(header)) + header + rest


def changed(value: Any, rng: random.Random) -> Any:
    """Return a value of JSON with a change in it."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        way = rng.randrange(10)
        if way == 0:
            return {name: item for name, item in value.items() if name != key}
        if way == 1:
            return value | {rng.choice(["x", "", "matrix", "bias", "tokens.utf8", "\ud800"]): value[key]}
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    if isinstance(value, str) and value[:1] in "{[" and rng.random() < 0.8:  # JSON inside
        try:
            return json.dumps(changed(json.loads(value), rng))
        except ValueError:
            pass
    odd = [
        None, True, 0, -1, 1, 1.5, 2**31, 2**63, 2**64, 10**40, 1e400, float("nan"), "", "x", "F64", [], [0], {},
        {"a": 1}, "\ud800",
    ]  # fmt: skip
    return rng.choice(odd)


PACKERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    ".gz": (lambda data: gzip.compress(data, 1, mtime=0), gzip.decompress),
    ".bz2": (lambda data: bz2.compress(data, 1), bz2.decompress),
    ".xz": (lambda data: lzma.compress(data, preset=0), lzma.decompress),
}
if sys.version_info >= (3, 14):
    from compression import zstd

    PACKERS[".zst"] = (zstd.compress, zstd.decompress)
elif find_spec("backports.zstd"):
    from backports import zstd

    PACKERS[".zst"] = (zstd.compress, zstd.decompress)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with one bit flipped, often one of the first 1,000."""
    at = rng.randrange(min(len(data), rng.choice((1000, len(data)))))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def mutated_file(name: str, data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a mutation of a file that suits its name: of its contents, or of its bytes."""
    suffix = Path(name).suffix
    if suffix in PACKERS and rng.random() < 0.6:
        pack, unpack = PACKERS[suffix]
        return pack(mutated(unpack(data), unpack(other), rng))
    if suffix == ".safetensors" and rng.random() < 0.6:
        return mutated_header(data, other, rng)
    if data.startswith(b"# fastembed"):  # without the line of the SHA-256 it is as a list that somebody wrote
        data = data.partition(b"\n")[2]
    return mutated(data, other, rng)


@contextmanager
def without_digests() -> Iterator[None]:
    """Let all SHA-256 of safetensors files be the same, so that the checks behind them are tried, too."""
    same = SimpleNamespace(digest=lambda: b"", hexdigest=lambda: 64 * "0")
    tensors.hashlib = SimpleNamespace(sha256=lambda _: same)
    try:
        yield
    finally:
        tensors.hashlib = hashlib


# ---------------------------------------------------------------- the kinds of files


@dataclass
class Kind:
    """A kind of files: two good examples of it, each of some files, and how one is read and used.

    A kind of ours also has examples that were written without SHA-256, and for each example what is read, pickled.
    """

    examples: list[dict[str, bytes]]
    read: Callable[[Path], object]
    is_corpus: bool = False
    without_digests: list[dict[str, bytes]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)


def use_vectors(vectors: Vectors) -> None:
    assert len(vectors.tokens) == len(vectors.matrix) == len(set(vectors.tokens)) > 0
    assert np.isfinite(vectors.matrix).all()
    assert vectors.counts is None or (len(vectors.counts) == len(vectors.tokens) and vectors.counts.min() >= 0)
    if np.abs(vectors.matrix).max() < 1e15 and vectors.matrix[0].any():
        vectors.most_similar(vectors.tokens[0], topn=2)


def use_model(model: SkipGram) -> None:
    use_vectors(model.vectors)
    assert len(model.vocabulary) == len(model.vectors.tokens)
    model.predict_output(model.vocabulary.tokens[0], topn=2)


def use_trainer(trainer: Trainer) -> None:
    assert np.isfinite(trainer.forward(0)).all()
    trainer.step(0, 0, learning_rate=0.0)


def use_counts(counts: Counts) -> None:
    assert np.isfinite(counts.total)
    assert counts.total >= 0
    matrix = counts.to_scipy()
    assert matrix.nnz == 0 or matrix.data.min() >= 0  # a product of tiny factors is 0
    (counts + counts).total  # noqa: B018


def kinds() -> dict[str, Kind]:
    """Return the kinds by name."""
    texts = [["the", "größe", "日本", "3", "e"] * 3, ["a", "b", "c", "d"] * 4]
    return saved_kinds(texts) | corpus_kinds(texts)


def saved_kinds(texts: list[list[str]]) -> dict[str, Kind]:
    """Return the kinds of files that objects are saved to; models are fitted to the texts."""
    rng = np.random.default_rng(0)
    found: dict[str, Kind] = {}
    vectors = [
        Vectors(["the", "größe", "日本", "3", "e"], rng.normal(size=(5, 4)).astype("f4"), counts=[9, 7, 5, 3, 1]),
        Vectors([f"t{i}" for i in range(12)], rng.normal(size=(12, 2)), counts=range(12, 0, -1)),
    ]
    models = [
        SkipGram(dim=2, window=1, min_count=1, epochs=1, seed=seed, threads=1).fit([texts[seed]]) for seed in (0, 1)
    ]

    def add(
        name: str, path: str, objects: list[Any], load: Callable[[Path], Any], use: Callable[[Any], object]
    ) -> None:
        def read(path: Path) -> object:
            use(value := load(path))
            return value

        found[name] = Kind([saved(value, path) for value in objects], read)
        if name != f"vectors {path}" or path.endswith(".safetensors"):
            with without_digests():
                found[name].without_digests = [saved(value, path) for value in objects]

    for form in formats.FORMATS.values():
        if form.suffixes:
            for packed in ["", ".gz"] if form.gzip else [""]:
                name = f"v{form.suffixes[0]}{packed}"
                add(f"vectors {name}", name, vectors, Vectors.load, use_vectors)
    add("model", "m.safetensors", models, partial(SkipGram.load, threads=1), use_model)
    add("trainer", "t.safetensors", [m.trainer for m in models], partial(Trainer.load, threads=1), use_trainer)
    counts = [models[0].count([texts[0]]), Counts.from_baskets([texts[1]], models[1].vocabulary)]
    add("store", "s", counts, lambda path: Counts.open(path.parent), use_counts)
    labels = [str(number % 2) for number in range(20)]
    documents = [f"a{number % 2} b{number % 3}" for number in range(20)]
    classifiers = [Classifier(seed=seed, epochs=2, threads=1).fit(documents, labels) for seed in (0, 1)]
    add("classifier", "k.safetensors", classifiers, partial(Classifier.load, threads=1), lambda c: c.predict(["a0 b1"]))
    recommenders = [Recommender(dim=2, epochs=2, threads=1).fit([text, ["a", *text[:3]]]) for text in texts]
    add(
        "recommender",
        "r.safetensors",
        recommenders,
        partial(Recommender.load, threads=1),
        lambda r: r.recommend([["a"]]),
    )
    return found


def corpus_kinds(texts: list[list[str]]) -> dict[str, Kind]:
    """Return the kinds of files that have the texts."""
    found: dict[str, Kind] = {}
    lines = [" ".join(text[i : i + 4]) for text in texts for i in range(0, len(text), 4)]
    plain = ["\n".join(lines).encode(), ("\n\n".join(lines[::-1]).upper() + ". A b-\nc.").encode()]

    def read_text(path: Path, *, field: Any = None, skip_bad: bool = False, **how: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            corpus = FileCorpus([path], reading=Reading(**how), field=field, skip_bad=skip_bad)
            vocabulary = Vocabulary.from_corpus(corpus, min_count=1, threads=1)
            counts = Counts.from_corpus(corpus, vocabulary, window=2, threads=1)
        assert vocabulary.encode(vocabulary.tokens).tolist() == list(range(len(vocabulary)))
        use_counts(counts)

    def add_corpus(name: str, contents: list[bytes], **options: Any) -> None:
        for suffix in ["", *PACKERS]:
            pack = PACKERS[suffix][0] if suffix else bytes
            examples = [{name + suffix: pack(content)} for content in contents]
            found[f"corpus {name}{suffix}"] = Kind(examples, lambda path: read_text(path, **options), True)

    add_corpus("c.txt", plain)
    for unit in ("paragraph", "sentence"):
        add_corpus(f"{unit}s.txt", plain, words=True, unit=unit, lowercase=True)
    add_corpus("replaced.txt", plain, errors="replace")
    rows = [
        [json.dumps({"id": i, "text": line}, ensure_ascii=a) for i, line in enumerate(lines)] for a in (True, False)
    ]
    add_corpus("c.jsonl", ["\n".join(of_file).encode() for of_file in rows], field="text")
    tables = [
        f"id{mark}text\n" + "".join(f'{i}{mark}"{line}"\n' for i, line in enumerate(lines)) for mark in (",", "\t")
    ]
    add_corpus("c.csv", [table.encode() for table in tables[:1]] * 2, field="text")
    add_corpus("c.tsv", [table.encode() for table in tables[1:]] * 2, field="text")
    add_corpus("skipped.csv", [tables[0].encode()] * 2, field="text", skip_bad=True)
    add_corpus(
        "skipped.jsonl", [b'{"text": ["a", "b"]}\n{"text": 3}\n', b'{"text": "a b"}\n'], field="text", skip_bad=True
    )
    if find_spec("pyarrow"):
        for name, content in tables_of_arrow(lines):
            found[f"corpus {name}"] = Kind([{name: content}] * 2, lambda path: read_text(path, field="text"), True)
    return found


def saved(value: Any, path: str) -> dict[str, bytes]:
    """Return the files that saving makes, the named one first."""
    with tempfile.TemporaryDirectory() as folder:
        value.save(Path(folder, path))
        files = [file for file in Path(folder).rglob("*") if file.is_file() and file.name != ".lock"]
        files.sort(key=lambda file: (file.name != path, file.name))
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def tables_of_arrow(lines: list[str]) -> list[tuple[str, bytes]]:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"id": list(range(len(lines))), "text": lines})
    found = []
    for name in ("c.parquet", "lists.parquet"):
        sink = pa.BufferOutputStream()
        columns = table if "lists" not in name else pa.table({"text": [line.split() for line in lines]})
        parquet.write_table(columns, sink)
        found.append((name, sink.getvalue().to_pybytes()))
    return found


# ---------------------------------------------------------------- the tries


def peak_mb() -> int:
    """Return the peak memory of this process in MB; 0 if the system does not provide it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def write_files(place: Path, files: dict[str, bytes]) -> Path:
    """Write files; return the first, which is read."""
    for name, data in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(data)
    return place / next(iter(files))


def try_once(kind: Kind, place: Path, rng: random.Random) -> bool:
    """Write a mutation of an example, in one of its files, and read it; return whether it can be read.

    Raises
    ------
    Exception
        If that goes otherwise than it should.
    """
    flip = rng.random() < 0.5
    checked = flip or not kind.without_digests
    examples = kind.examples if checked else kind.without_digests
    number = rng.randrange(2)
    example, other = examples[number], examples[1 - number]
    target = rng.choice(list(example))
    same = [data for name, data in other.items() if Path(name).suffix == Path(target).suffix]
    data = example[target]
    mutation = flipped(data, rng) if flip else mutated_file(target, data, same[0], rng)
    path = write_files(place, example | {target: mutation})
    try:
        with nullcontext() if checked else without_digests():
            found = kind.read(path)
    except Exception as error:
        if checked and not isinstance(error, DOCUMENTED):
            raise
        if flip and kind.contents and str(place) not in str(error):
            raise AssertionError(f"an error that does not name the file: {error}") from error
        return False
    if flip and kind.contents and pickle.dumps(found) != kind.contents[number]:
        raise AssertionError(f"one flipped bit of {target!r} is read as something else")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Read mutated files of every kind.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tries", type=int, default=sys.maxsize, help="at most")
    parser.add_argument("--only", nargs="+", default=[""], help="kinds whose names have one of these words")
    parser.add_argument("--times", type=int, default=25, help="how often other kinds come per corpus")
    parser.add_argument("--per-round", type=int, default=50, help="tries of one kind, one after another")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = {name: kind for name, kind in kinds().items() if any(word in name for word in arguments.only)}
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for kind in chosen.values():  # the good ones
        contents = [pickle.dumps(kind.read(write_files(folder, example))) for example in kind.examples]
        kind.contents = contents if kind.without_digests else []
    usual = peak_mb()
    print(f"{len(chosen)} kinds of files, seed {arguments.seed}, {usual} MB; the last file is in {folder}", flush=True)
    tries, read, problems = collections.Counter[str](), collections.Counter[str](), []
    number, end = 0, time.monotonic() + arguments.seconds
    order = [name for name in chosen for _ in range(1 if chosen[name].is_corpus else arguments.times)]
    random.Random(arguments.seed).shuffle(order)
    while number < arguments.tries and time.monotonic() < end:
        name = order[number // arguments.per_round % len(order)]
        faulthandler.dump_traceback_later(TRY_SECONDS, exit=True)
        rng = random.Random(f"{arguments.seed} {number}")
        problem = None
        try:
            read[name] += try_once(chosen[name], folder, rng)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if number % arguments.per_round == arguments.per_round - 1 and usual and peak_mb() > usual + MORE_MB:
            problem = f"{peak_mb()} MB, in this try or one of the {arguments.per_round} before it"
            usual = peak_mb()
        if problem:
            kept = Path(f"fuzz-{arguments.seed}-{number}")
            kept.mkdir(parents=True, exist_ok=True)
            for file in chosen[name].examples[0]:
                shutil.copy(folder / file, kept / Path(file).name)
            problems.append(f"{name}, try {number}: {problem}; kept in {kept}")
            print(problems[-1], flush=True)
        tries[name] += 1
        number += 1
    faulthandler.cancel_dump_traceback_later()
    for name in chosen:
        print(f"{name}: {tries[name]:,} tries, {read[name]:,} read")
    corpora = sum(tries[name] for name in chosen if chosen[name].is_corpus)
    print(f"{number - corpora:,} other files, {corpora:,} corpora, {peak_mb()} MB, {len(problems)} problems")
    shutil.rmtree(folder)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
