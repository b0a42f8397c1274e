"""Lets every allocation and every call on a file fail once, and checks what is left: `make test-failures`.

Each operation below is repeated with its first allocation failing, then with its second, and so on until it ends
without one that failed; and so with calls on files: open, read, write, fsync, rename, mmap, close. After each failure

- the process lives, and what was raised is MemoryError, OSError, or one of the other documented exceptions;
- no file is open, no thread runs (but one that Python's executor has lost for lack of memory), and no temporary file
  lies about that was not there before;
- files hold what they held before, or the whole of what was to be written;
- objects are as they were, or in another state that their documentation names;
- the operation, done again, gives the same result as ever.

The operations run in another process, with `failing.c` loaded before the C library. If that process dies, this is
reported, and another one goes on with the next failure. What happens inside Python, NumPy or SciPy when they get no
memory, below the last of our functions, is counted apart, as theirs.

    python failures.py [--only WORD ...] [--share N] [--seed N]

`--share N` tries about one of N allocations, chosen by the seed, and all calls.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import faulthandler
import gc
import gzip
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Code whose allocations fail: Python, NumPy, SciPy's sparse matrices, our kernels. Others end the process where they
# get no memory, as Rust and OpenBLAS do by design.
TESTED_CODE = ("/bin/python", "libpython", "_multiarray_umath", "/fastembed/_kernels/", "_sparsetools")
THEIRS = "(theirs) "
# What waits for a thread that Python has lost
LOST = (
    "threading.py start",
    "threading.py join",
    "threading.py acquire",
    "_base.py result",
    "_base.py wait",
    "_base.py done",
)
SECONDS = 60  # after which one try is taken to hang, on a busy machine too
DOCUMENTED = (MemoryError, OSError, ValueError)  # ValueError: a file that cannot be read whole
KINDS = {  # allocations or calls on files; whether all later ones fail too; the error number
    "allocation": (True, False, 0),
    "call": (False, False, errno.EIO),
    "full-disk": (False, True, errno.ENOSPC),
}


# ---------------------------------------------------------------- the operations


@dataclass
class Operation:
    """Something to try again and again.

    Attributes
    ----------
    start : callable
        ``start()`` makes the state in which each try begins.
    run : callable
        ``run(state)`` is what is tried. Its result must not depend on earlier failures.
    look : callable
        ``look(state)`` describes the objects of the state: equal descriptions, equal bits.
    partly : callable
        ``partly(state)`` says whether the state is one that the documentation names for a failure, where it may be
        neither the one before nor the one after.
    """

    start: Callable[[], Any]
    run: Callable[[Any], Any]
    look: Callable[[Any], Any] = lambda _: None
    partly: Callable[[Any], bool] = lambda _: False


def digest(*parts: Any) -> str:
    """Return a hash of arrays, bytes, and whatever else has a repr that tells all."""
    import numpy as np

    sha = hashlib.sha256()
    for part in parts:
        sha.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return sha.hexdigest()


def bits(model: Any) -> str | None:
    """Return a hash of all that a SkipGram has learned; None if it is not fitted."""
    if not model.__sklearn_is_fitted__():
        return None
    trainer = model.trainer
    return digest(
        model.vectors.matrix, trainer.linear, trainer.bias, *trainer.squares, model.centre_, model.counts_sha256_,
        model.vocabulary.tokens, [record["nll"] for record in model.history],
    )  # fmt: skip


def whole(model: Any) -> bool:
    """Whether a model that was not fitted before is as good as one of fewer epochs: "keeps what it has learned"."""
    import numpy as np

    return len(model.history) <= 2 and bool(np.isfinite(model.vectors.matrix).all())


def trainer_bits(trainer: Any) -> str:
    """Return a hash of the parameters of a Trainer."""
    return digest(trainer.embedding, trainer.linear, trainer.bias, *trainer.squares)


def sound(trainer: Any) -> bool:
    """Whether steps were made, and no parameter is lost: "leaves the steps made so far"."""
    import numpy as np

    return all(np.isfinite(array).all() for array in (trainer.embedding, trainer.linear, *trainer.squares))


def counted(found: Any) -> str:
    """Return a hash of Counts."""
    matrix = found.to_scipy()
    return digest(matrix.data, matrix.indices, matrix.indptr, found.ledger)


def new_trainer() -> Any:
    """Return a Trainer with random parameters, always the same ones."""
    from fastembed import Trainer

    return Trainer.random(5, 3, output_size=7, seed=0, threads=1)


def on_file(path: Path, run: Callable[[Path], Any]) -> Operation:
    """Return an operation on a file that it does not change."""
    return Operation(lambda: path, run)


def fitting_again(fitted: Any, *given: Any) -> Operation:
    """Return the operation of fitting a classifier or a recommender again."""

    def answers(model: Any) -> str:
        return digest(model.predict_proba(given[0]))

    return Operation(lambda: deepcopy(fitted), lambda model: answers(model.fit(*given)), answers)


class Samples:
    """The texts and the models that operations share.

    Parameters
    ----------
    folder : Path
        Of the files.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np

        from fastembed import Classifier, Recommender, SkipGram, Vectors

        rng = np.random.default_rng(0)
        self.folder = folder
        self.lines = [" ".join(f"w{i}" for i in rng.zipf(1.6, 6).clip(max=9)) for _ in range(12)]
        self.text = folder / "text.txt.gz"
        self.text.write_bytes(gzip.compress("\n".join(self.lines).encode()))
        self.settings = {"dim": 3, "window": 2, "min_count": 1, "epochs": 2, "threads": 1}
        self.fitted = SkipGram(**self.settings).fit(self.text)
        self.other = SkipGram(**self.settings, seed=1).fit(self.text)
        self.counts = self.fitted.count(self.text)
        self.labels, self.baskets = [1, 2, 3] * 4, [line.split() for line in self.lines]
        self.classifiers = [Classifier(epochs=n, threads=1).fit(self.lines, self.labels) for n in (1, 2)]
        self.recommenders = [Recommender(dim=2, epochs=n, threads=1).fit(self.baskets) for n in (1, 2)]
        tokens = [f"t{i}" for i in range(9)]
        self.old_vectors, self.vectors = (
            Vectors(tokens, rng.normal(size=(9, 4)).astype("f4"), counts=range(9, 0, -1)) for _ in range(2)
        )


def operations(folder: Path) -> dict[str, Operation]:
    """Return the operations by name; `folder` holds their files."""
    from fastembed._base import memory

    memory.LEAST = 1  # so that a few counts exceed it, and go to disk
    samples = Samples(folder)
    return training_operations(samples) | reading_operations(samples) | file_operations(samples)


def training_operations(samples: Samples) -> dict[str, Operation]:
    """Return the operations that train, and those that use a model."""
    import numpy as np
    from scipy import sparse

    from fastembed import SkipGram

    text, lines, counts, settings = samples.text, samples.lines, samples.counts, samples.settings
    fitted, other = samples.fitted, samples.other
    pairs = sparse.csr_array(np.arange(35.0).reshape(5, 7) % 4)
    target = pairs[[1]]
    return {
        "fit": Operation(lambda: SkipGram(**settings), lambda model: bits(model.fit(text)), bits, whole),
        "fit in two threads": Operation(
            lambda: SkipGram(**settings | {"threads": 2}), lambda model: bits(model.fit(text)), bits, whole
        ),
        "fit again": Operation(lambda: deepcopy(other), lambda model: bits(model.fit(text)), bits),
        "fit counts": Operation(lambda: deepcopy(other), lambda model: bits(model.fit(counts)), bits),
        "fit more": Operation(lambda: deepcopy(fitted), lambda model: bits(model.partial_fit(text)), bits),
        "fit a classifier": fitting_again(samples.classifiers[0], lines, samples.labels),
        "fit a recommender": fitting_again(samples.recommenders[0], samples.baskets),
        "train on counts": Operation(
            new_trainer, lambda trainer: trainer.fit_counts(pairs, epochs=2)[-1]["nll"], trainer_bits, sound
        ),
        "train on examples": Operation(
            new_trainer, lambda trainer: trainer.train([0, 1, 2], [3, 4, 5], update_linear=True), trainer_bits, sound
        ),
        "step": Operation(new_trainer, lambda trainer: trainer.step(2, target), trainer_bits),
        "nearest": Operation(lambda: samples.vectors, lambda vectors: vectors.most_similar("t3", topn=3)),
        "transform": Operation(lambda: fitted, lambda model: digest(model.transform(lines))),
    }


def reading_operations(samples: Samples) -> dict[str, Operation]:
    """Return the operations that read text and count."""
    from fastembed import Counts, Vocabulary
    from fastembed.corpus import FileCorpus, Phrases, Reading

    folder, lines, text, vocabulary = samples.folder, samples.lines, samples.text, samples.fitted.vocabulary
    jsonl, table = folder / "rows.jsonl", folder / "rows.csv"
    jsonl.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    table.write_text("text\n" + "\n".join(lines), encoding="utf-8")

    def reading(*, field: Any = None, **options: Any) -> Callable[[Path], Any]:
        def count(path: Path) -> Any:
            corpus = FileCorpus([path], reading=Reading(**options), field=field)
            found = Vocabulary.from_corpus(corpus, min_count=1, threads=1)
            return found.tokens, found.counts.tolist()

        return count

    found = {
        "vocabulary": on_file(text, reading()),
        "vocabulary of words": on_file(text, reading(words=True)),
        "vocabulary of JSON lines": on_file(jsonl, reading(field="text")),
        "vocabulary of CSV": on_file(table, reading(field="text")),
        "counts": on_file(text, lambda path: counted(Counts.from_corpus(path, vocabulary, window=2, threads=1))),
        "counts on disk": on_file(
            text,
            lambda path: counted(
                Counts.from_corpus(path, vocabulary, window=2, sample=1e-2, threads=1, memory_limit=1)
            ),
        ),
        "counts of baskets": on_file(text, lambda path: counted(Counts.from_baskets(path, vocabulary, threads=1))),
        "counts of pairs": Operation(
            lambda: None, lambda _: counted(Counts.from_pairs(list("abc") * 4, list("bcd") * 4, range(12)))
        ),
        "phrases": on_file(
            text, lambda path: repr(Phrases.from_corpus(path, min_count=1, threshold=-1.0, threads=1).phrases)
        ),
    }
    if find_spec("pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"text": lines}), folder / "rows.parquet")
        found["vocabulary of Parquet"] = on_file(folder / "rows.parquet", reading(field="text"))
    return found


def file_operations(samples: Samples) -> dict[str, Operation]:
    """Return the operations that save objects and load them."""
    from fastembed import Counts, SkipGram, Trainer, Vectors, Vocabulary, formats
    from fastembed.corpus import Phrases

    found = {}

    def add(name: str, path: str, before: Any, after: Any, load: Callable[[Path], Any]) -> None:
        found[f"save {name}"] = saving(samples.folder / f"save {name}", path, before, after)
        good = samples.folder / f"load {name}"
        good.mkdir()
        after.save(good / path)
        found[f"load {name}"] = on_file(good / path, load)

    for form in formats.FORMATS.values():
        if form.suffixes and (form.library is None or find_spec(form.library)):
            for packed in ["", ".gz"] if form.gzip else [""]:
                add(
                    f"vectors as {form.name}{packed}", f"v{form.suffixes[0]}{packed}", samples.old_vectors,
                    samples.vectors, lambda place: digest((v := Vectors.load(place)).matrix, v.tokens, v.counts),
                )  # fmt: skip
    fitted = samples.fitted
    add("model", "m.safetensors", samples.other, fitted, lambda path: bits(SkipGram.load(path, threads=1)))
    add(
        "trainer", "t.safetensors", new_trainer(), fitted.trainer,
        lambda path: trainer_bits(Trainer.load(path, threads=1)),
    )  # fmt: skip
    for pair, asked in ((samples.classifiers, samples.lines), (samples.recommenders, samples.baskets)):
        name, load = type(pair[0]).__name__, partial(type(pair[0]).load, threads=1)
        add(name, "k.safetensors", *pair, lambda path, load=load, asked=asked: digest(load(path).predict_proba(asked)))
    few = Counts.from_pairs(["a", "b"], ["b", "a"])
    add("counts", "c.safetensors", few, samples.counts, lambda path: counted(Counts.load(path)))
    add(
        "vocabulary", "v.txt", Vocabulary(["a"], [1]), fitted.vocabulary,
        lambda path: Vocabulary.load(path).counts.tolist(),
    )  # fmt: skip
    add(
        "phrases", "p.txt", Phrases(["a b"]), Phrases(["new york", "vis a vis"], [0.5, 0.2]),
        lambda path: repr(Phrases.load(path).phrases),
    )  # fmt: skip
    return found


def saving(place: Path, path: str, before: Any, after: Any) -> Operation:
    """Return the operation that saves `after` over `before`, in a folder of its own."""

    def files(place: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in place.iterdir()}

    place.mkdir()
    before.save(place / path)
    contents = files(place)

    def start() -> Path:
        if files(place) != contents:
            for file in place.iterdir():
                file.unlink()
            for file, content in contents.items():
                (place / file).write_bytes(content)
        return place

    return Operation(start, lambda _: after.save(place / path), files)


# ---------------------------------------------------------------- one process, which tries one operation


class Failing:
    """The functions of `failing.c`, which is loaded already."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(None)
        self._begin, self._end = self._library.failing_begin, self._library.failing_end
        self._begin.argtypes = (ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int)
        self._begin.restype, self._end.restype = None, ctypes.c_long
        ranges = code_ranges()
        array = (ctypes.c_size_t * (2 * len(ranges)))(*(edge for pair in ranges for edge in pair))
        self._library.failing_watch(os.fsencode(folder), array, len(ranges))

    def during(self, kind: str, number: int, run: Callable[[], Any]) -> tuple[Any, BaseException | None, int]:
        """Run with this failure; return the result, the exception, and the number of calls."""
        memory, to_end, error = KINDS[kind]
        result = raised = None
        begin, end = self._begin, self._end
        begin(memory, number, to_end, error)
        try:
            result = run()
        except BaseException as problem:  # whatever it is, it is judged below
            raised = problem
        return result, raised, end()


def code_ranges() -> list[tuple[int, int]]:
    """Return the addresses of the code whose allocations fail."""
    found = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        edges, rights, _, _, _, *name = line.split(maxsplit=5)
        if "x" in rights and name and any(word in name[0] for word in TESTED_CODE):
            first, last = edges.split("-")
            found.append((int(first, 16), int(last, 16)))
    return found


def open_files() -> list[str]:
    """Return the open files of this process, except its three standard streams."""
    found = []
    for link in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(link))  # noqa: PTH115 - "pipe:[1]" is no path
    return sorted(found)


def busy_threads() -> int:
    """Return the number of threads without idle ones, whose number depends on past parallelism."""
    from fastembed._base.threads import _executor

    return threading.active_count() - _executor.value._idle_semaphore._value


def numbers(first: int, share: int, seed: str) -> Iterator[int]:
    """Yield the numbers of the failures to try from `first` on: all, or about one of `share`."""
    rng, number = random.Random(seed), 0
    while True:
        number += 1 if share == 1 else rng.randint(1, 2 * share - 1)
        if number >= first:
            yield number


def try_failures(
    plan: list[tuple[str, str]] | None,
    words: list[str],
    kinds: list[str],
    first: int,
    share: int,
    seed: int,
    folder: Path,
) -> None:
    """Try the failures of some operations, of the first one from number `first` on.

    Without a plan, it is made of the operations that have one of the words, and printed. Each number is printed before
    it is tried, and so is what is found.
    """
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None  # what is raised where nobody can catch it, such as in a finalizer
    threading.excepthook = lambda _: None
    known, failing = operations(folder), None
    if plan is None:
        plan = [(name, kind) for name in known if any(word in name for word in words) for kind in kinds]
        print(f"plan {json.dumps(plan)}", flush=True)
    gc.collect()
    gc.freeze()  # what is there already need not be looked at again
    for name, kind in plan:
        print(f"begin {name}/{kind}", flush=True)
        operation = known[name]
        for _ in range(3):  # caches are filled, modules imported, threads started
            expected = operation.run(operation.start())
        failing = failing or Failing(folder)
        attempt = Attempt(operation, kind, expected, failing, folder)
        for number in numbers(first, share if kind == "allocation" else 1, f"{seed} {name} {kind}"):
            print(f"try {number}", flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            if not attempt(number):
                break
        faulthandler.cancel_dump_traceback_later()
        print(f"end {attempt.calls}", flush=True)
        first = 1


class Attempt:
    """The n-th failure of an operation, and the state that must be that before or that after it."""

    def __init__(self, operation: Operation, kind: str, expected: Any, failing: Failing, folder: Path) -> None:
        self._operation, self._kind, self._expected = operation, kind, expected
        self._failing, self._folder, self.calls = failing, folder, 0
        state = operation.start()
        self._before = operation.look(state)
        operation.run(state)
        self._after = operation.look(state)
        del state
        gc.collect()
        self._files, self._threads, self._things = open_files(), busy_threads(), self._found()

    def _found(self) -> set[str]:
        return set(map(str, self._folder.rglob("*")))

    def __call__(self, number: int) -> bool:
        """Let the n-th call fail; return whether there was an n-th call. Problems are printed."""
        operation = self._operation
        state = operation.start()
        result, raised, self.calls = self._failing.during(self._kind, number, lambda: operation.run(state))
        if self.calls < number:
            return False
        where, look = trace_of(raised), operation.look(state)
        problems = []
        if raised is not None and not isinstance(raised, DOCUMENTED):
            inside = traceback.extract_tb(raised.__traceback__)[-1].filename
            # How NumPy and Python say it; a path that cannot be turned into text for lack of memory is "not a path"
            odd = isinstance(raised, SystemError) or re.search("can't allocate|not PosixPath", str(raised))
            problems.append(f"{THEIRS if odd else theirs(inside)}raised {type(raised).__name__}: {raised}")
        if look not in (self._before, self._after) and not operation.partly(state):
            problems.append("the state is neither the one before nor the one after")
        if raised is None and (look != self._after or result != self._expected):
            problems.append("it ended well, but with another result")
        raised = state = None
        problems += self._left()
        again = operation.start()
        if operation.run(again) != self._expected or operation.look(again) != self._after:
            problems.append("done again, it gives another result")
        for problem in problems:
            print(f"problem {number} {problem} | {where}", flush=True)
        return True

    def _left(self) -> Iterator[str]:
        """Yield the leftovers of the last try: open files, threads, files."""
        for _ in range(200):  # a thread may not yet have dropped the call that it has made, with its error
            if open_files() == self._files:
                break
            gc.collect()
            time.sleep(0.05)
        if (files := open_files()) != self._files:
            yield f"left open: {sorted(set(files) - set(self._files))}"
            self._files = files
        for _ in range(200):
            if busy_threads() > self._threads:
                time.sleep(0.05)
        if (threads := busy_threads()) > self._threads:
            # The shutdown of an executor that gets no memory leaves its threads behind
            whose = THEIRS if self._kind == "allocation" else ""
            yield f"{whose}{threads} busy or lost threads instead of {self._threads}"
            self._threads = threads
        if left := self._found() - self._things:
            yield f"left behind: {sorted(left)}"
            for path in left:
                Path(path).unlink()


def theirs(file: str) -> str:
    """Return a mark for failures in code that is not ours, otherwise an empty str."""
    return "" if "/fastembed/" in file or file == __file__ else THEIRS


def trace_of(error: BaseException | None) -> str:
    """Return where an exception comes from, in one line."""
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {place}"


# ---------------------------------------------------------------- the process that starts the others


def compiled(folder: Path) -> Path:
    """Return `failing.c` as a shared library."""
    library = folder / "failing.so"
    source = Path(__file__).with_name("failing.c")
    command = [*os.environ.get("CC", "gcc").split(), "-O1", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return library


def try_all(
    words: list[str], kinds: list[str], share: int, seed: int, library: Path
) -> Iterator[tuple[str, str, int, int, list[str]]]:
    """Yield each operation with its kind of failure, the numbers of tries and calls, and the problems found."""
    environment = os.environ | {"PYTHONMALLOC": "malloc", "LD_PRELOAD": str(library), "PYTHONHASHSEED": "0"}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    plan: list[tuple[str, str]] | None = None
    tried, first, found = 0, 1, list[str]()
    while plan is None or plan:
        last = 0
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
            order = json.dumps([plan, words, kinds, first, share, seed, folder])
            command = [sys.executable, "-P", "-X", "faulthandler", __file__, "--child", order]
            own = environment | {"TMPDIR": folder}
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8", env=own) as child:
                assert child.stdout is not None
                for line in child.stdout:
                    word, _, rest = line.strip().partition(" ")
                    if word == "plan":
                        plan = [(name, kind) for name, kind in json.loads(rest)]
                    assert plan
                    if word == "begin":
                        last = 0
                    elif word == "try":
                        last, tried = int(rest), tried + 1
                    elif word == "problem":
                        found.append(f"{'/'.join(plan[0])} {rest}")
                    elif word == "end":
                        yield *plan[0], tried - 1, int(rest), found
                        plan, tried, first, found = plan[1:], 0, 1, []
            errors.seek(0)
            printed = errors.read()
        if child.returncode == 0:
            return
        code = child.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not (plan and last):
            raise RuntimeError(f"{plan and plan[0]} ended the process before its first failure: {how}\n{printed}")
        of_thread = (
            printed.rpartition("(most recent call first)")[2] if code > 0 else printed.partition("Current thread")[2]
        )
        stack = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', of_thread or printed)[:8]
        place = " < ".join(f"{Path(file).name}:{line} {where}" for file, line, where in stack)
        # Python waits without end for a thread that gets no memory, before it runs or while it takes its task
        files = ("threading.py", "futures/_base.py")
        waiting = [f"{Path(file).name} {where}" for file, _, where in stack if file.endswith(files)]
        lost = code > 0 and waiting[-1:] and waiting[-1] in LOST
        whose = THEIRS if lost else theirs(stack[0][0]) if stack and code < 0 else ""
        found.append(f"{'/'.join(plan[0])} {last} {whose}ended the process: {how} | {place or printed[-800:]}")
        first = last + 1


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        *order, folder = json.loads(sys.argv[2])
        try_failures(*order, Path(folder))
        return 0
    parser = argparse.ArgumentParser(description="Let every allocation and every call on a file fail once.")
    parser.add_argument("--only", nargs="+", default=[""], help="operations whose names have one of these words")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--share", type=int, default=1, help="try about one of so many allocations")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begin, problems, of_others, total = time.monotonic(), 0, 0, dict.fromkeys(KINDS, 0)
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        order = arguments.only, arguments.kinds, arguments.share, arguments.seed
        for name, kind, tried, calls, found in try_all(*order, library):
            own = sum(THEIRS not in problem for problem in found)
            total[kind] += tried
            problems, of_others = problems + own, of_others + len(found) - own
            print(f"{name}: {kind}: {tried:,} tried of {calls:,}, {own} problems", flush=True)
            for problem in found:
                print(f"    {problem}", flush=True)
    print(", ".join(f"{number:,} of kind {kind}" for kind, number in total.items()), end="; ")
    print(f"{problems} problems, {of_others} inside other libraries; {time.monotonic() - begin:.0f} s")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
