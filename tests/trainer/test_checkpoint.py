"""Checkpoints of `Trainer.fit_counts`: the same bits after any interruption; errors for what does not go together."""

import json
import threading
from _thread import interrupt_main
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, Trainer
from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.fit import Snapshot

ROWS, OUTPUTS = 30, 1100  # two shards
OPTIONS = {"epochs": 3, "block_size": 6, "learning_rate": 0.2}


class Stop(Exception):
    """The exception that interrupts a fit in these tests, like a Ctrl-C."""


@pytest.fixture
def new(model):
    """Make a trainer, always the same."""

    def make(threads=1, dtype="float32", seed=0, dim=5):
        embedding, linear, bias = model(ROWS, OUTPUTS, dim, dtype, seed)
        return Trainer(embedding, linear, bias=bias, threads=threads)

    return make


@pytest.fixture
def counts(make_counts):
    """Counts of all rows but every third, and others to validate on."""
    return make_counts(ROWS, OUTPUTS)[1], make_counts(ROWS, OUTPUTS, 1)[1]


@pytest.fixture
def path(tmp_path):
    """A file for a checkpoint."""
    return tmp_path / "checkpoint"


@pytest.fixture
def interrupted_after(monkeypatch):
    """Let a call be interrupted after so many blocks, those of validation not counted; return whether it was."""

    def interrupted(blocks, call):
        left, step = [blocks], BlockSteps._step

        def counted(self, rows, next_rows, decay, number):
            nll = step(self, rows, next_rows, decay, number)
            if decay:
                left[0] -= 1
                if left[0] == 0:
                    raise Stop
            return nll

        with monkeypatch.context() as patch:
            patch.setattr(BlockSteps, "_step", counted)
            try:
                call()
            except Stop:
                return True
        return False

    return interrupted


def bits(trainer):
    return [array.tobytes() for array in (trainer.embedding, trainer.linear, *trainer.squares)]


@pytest.fixture(params=["float32", "float64", "early stopping", "bags", "a store", "weight decay"])
def case(request, new, counts, tmp_path, set_constant):
    """Return a function that makes a trainer, one that fits it to its data, and the options of the fit."""
    options = dict(OPTIONS)
    if request.param in ("early stopping", "a store"):
        options |= {"validation_counts": counts[1], "n_iter_no_change": 2}
    if request.param == "bags":
        bags = sparse.random_array((ROWS, ROWS), density=0.2, random_state=np.random.default_rng(3), format="csr")
        options |= {"bags": bags, "row_rates": np.linspace(0, 1, ROWS)}
    if request.param == "weight decay":
        options |= {"linear_l2": 0.5, "optimizer": "sgd"}
    if request.param != "a store":
        dtype = "float64" if request.param == "float64" else "float32"
        return partial(new, dtype=dtype), lambda trainer, **more: trainer.fit_counts(counts[0], **options | more)
    set_constant("fastembed.counts.groups.GROUP_ROWS", 2)  # groups are read while it trains
    for matrix, name in zip(counts, ("counts", "held out"), strict=True):
        Counts.from_scipy(matrix).save(tmp_path / name)

    def fit(trainer, **more):
        options["validation_counts"] = Counts.open(tmp_path / "held out")
        return trainer.fit_counts(Counts.open(tmp_path / "counts"), **options | more)

    return new, fit


def test_a_fit_that_is_interrupted_after_any_block_ends_in_the_same_bits(case, path, interrupted_after):
    """With a callback that fails, too: it is called when an epoch is complete."""
    make, fit = case
    expected = make()
    history = fit(expected)

    def fail(record):
        if record["epoch"] == blocks // 4:
            raise Stop

    for blocks in range(1, 12):
        left = make()
        assert interrupted_after(blocks, lambda left=left: fit(left, checkpoint=path, on_epoch_end=fail))
        for trainer in (left, make(1 + blocks % 3)):
            found = fit(trainer, checkpoint=path)
            assert bits(trainer) == bits(expected)
            assert found == history
        path.unlink()


def test_an_exception_leaves_the_trainer_as_the_last_epoch_left_it(new, counts, interrupted_after):
    """As two epochs do whose learning rates are those of three; a callback that fails belongs to its epoch."""
    expected, kept = new(), []
    expected.fit_counts(counts[0], **OPTIONS, on_epoch_end=lambda record: record["epoch"] == 2)

    def fail(record):
        kept.append(bits(trainer))
        if record["epoch"] == 3:
            raise Stop

    for blocks in (9, 100):  # in the third epoch, and in its callback
        trainer = new()
        assert interrupted_after(blocks, lambda t=trainer: t.fit_counts(counts[0], **OPTIONS, on_epoch_end=fail))
        assert bits(trainer) == bits(expected) == kept[1]
    first = new()
    assert interrupted_after(2, lambda: first.fit_counts(counts[0], **OPTIONS))
    assert bits(first) == bits(new())


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_go_on_and_end_where_they_would_have(new, counts, path, interrupted_after, name):
    def generator():
        return np.random.Generator(getattr(np.random, name)(7))

    expected, rng = new(), generator()
    expected.fit_counts(counts[0], seed=rng, **OPTIONS)
    following = rng.random()
    for in_another_process in (False, True):
        trainer, given = new(), generator()
        assert interrupted_after(
            6, lambda t=trainer, g=given: t.fit_counts(counts[0], seed=g, checkpoint=path, **OPTIONS)
        )
        if in_another_process:
            trainer, given = new(), generator()
        trainer.fit_counts(counts[0], seed=given, checkpoint=path, **OPTIONS)
        assert bits(trainer) == bits(expected)
        assert given.random() == following
        path.unlink()


def test_a_finished_fit_has_its_result_at_once(new, counts, path, monkeypatch):
    options = OPTIONS | {"validation_counts": counts[1], "n_iter_no_change": 1, "learning_rate": 1.5}
    first, second = new(), new()
    history = first.fit_counts(counts[0], checkpoint=path, **options)
    monkeypatch.setattr(BlockSteps, "_step", lambda *_: pytest.fail("a step was made"))
    assert second.fit_counts(counts[0], checkpoint=path, **options) == history
    assert bits(second) == bits(first)
    with pytest.raises(ValueError, match="is of a fit with another seed or start: delete it, or pass another path"):
        second.fit_counts(counts[0], checkpoint=path, **options)  # it would train nothing


def test_a_callback_is_not_called_again_for_epochs_in_the_file(new, counts, path, interrupted_after):
    def callback(record):
        calls.append(record["epoch"])
        if fails and record["epoch"] == 2:
            raise Stop
        return record["epoch"] == 3

    options, calls, fails = OPTIONS | {"epochs": 5, "checkpoint": path, "on_epoch_end": callback}, [], True
    with pytest.raises(Stop):
        new().fit_counts(counts[0], **options)
    fails = False
    assert interrupted_after(2, lambda: new().fit_counts(counts[0], **options))
    trainer, expected = new(), new()
    for _ in range(2):
        assert [record["epoch"] for record in trainer.fit_counts(counts[0], **options)] == [1, 2, 3]
        trainer, first = new(), trainer
    assert calls == [1, 2, 2, 3]
    expected.fit_counts(counts[0], **options | {"checkpoint": None})
    assert bits(first) == bits(expected)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"epochs": 4}, "epochs=3 instead of 4: delete it, or pass another path"),
        ({"seed": 1}, "seed=0 instead of 1"),
        ({"frozen_rows": [1]}, "other row_rates:"),
        ({"bags": sparse.eye_array(ROWS)}, "other bags:"),
        ({"counts": 1}, "other counts:"),
        ({"validation_counts": 0}, "other validation_counts:"),
        ({"of": 1}, "other bias:"),
        ({"moved": True}, "another seed or start:"),
    ],
)
def test_a_checkpoint_of_another_call_is_an_error_that_says_what_differs(
    new, counts, path, interrupted_after, change, what
):
    given = {"counts": counts[0], "validation_counts": counts[1], "checkpoint": path, **OPTIONS}
    assert interrupted_after(6, lambda: new().fit_counts(**given))
    change = dict(change)
    before, trainer = path.read_bytes(), new(seed=change.pop("of", 0))
    if change.pop("moved", False):
        trainer.step(0, 3)
    start = bits(trainer)
    swapped = {name: counts[change[name]] for name in ("counts", "validation_counts") if name in change}
    with pytest.raises(ValueError, match=f"is of a fit with {what}"):
        trainer.fit_counts(**given | change | swapped)
    assert bits(trainer) == start
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["fastembed", "kernels", "numpy", "scipy", "BLAS", "products of BLAS"])
def test_a_checkpoint_from_elsewhere_is_an_error_that_says_where(new, counts, path, name):
    new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    tensors, fields = map_tensors(path)
    tensors = {key: np.array(array) for key, array in tensors.items()}
    write_tensors(path, tensors, fields | {"settings": json.dumps(json.loads(fields["settings"]) | {name: "other"})})
    with pytest.raises(ValueError, match=f"with ({name}='other' instead of '|other {name}:)"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)


def test_a_write_that_fails_ends_the_fit_and_leaves_the_last_checkpoint(
    new, counts, path, interrupted_after, monkeypatch
):
    assert interrupted_after(6, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device", str(path))

    trainer, expected = new(), new()
    with monkeypatch.context() as patch:
        patch.setattr("fastembed.trainer.checkpoint.write_tensors", fail)
        with pytest.raises(OSError, match="No space left"):
            trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    expected.fit_counts(counts[0], **OPTIONS)
    assert bits(trainer) == bits(expected)


def test_a_path_that_no_checkpoint_can_have_is_an_error_before_anything_is_trained(new, counts, path, tmp_path):
    new().save(path)
    for wrong, message in ((7, "checkpoint"), (tmp_path / "no" / "c", "does not exist"), (path, "parameters")):
        trainer = new()
        with pytest.raises((TypeError, ValueError, OSError), match=message):
            trainer.fit_counts(counts[0], **OPTIONS, checkpoint=wrong)
        assert bits(trainer) == bits(new())


@pytest.mark.thread_unsafe(reason="a Ctrl-C reaches the main thread alone")
@pytest.mark.parametrize("way", ["take", "restore"])
def test_a_ctrl_c_while_parameters_are_copied_leaves_none_half_copied(way):
    """The Ctrl-C comes after the first of four arrays."""
    arrays = {name: np.zeros(3_000_000) for name in "abcd"}
    snapshot = Snapshot(arrays)
    snapshot.take()
    for array in arrays.values():
        array[:] = 1
    first, changed = (snapshot.copies["a"], 1) if way == "take" else (arrays["a"], 0)

    def interrupt():
        while first[0] != changed:
            pass
        interrupt_main()

    thread = threading.Thread(target=interrupt)

    def copy():
        thread.start()
        getattr(snapshot, way)()
        thread.join()

    with pytest.raises(KeyboardInterrupt):
        copy()
    copied = snapshot.copies if way == "take" else arrays
    assert [(array == changed).all() for array in copied.values()] == [True] * 4
