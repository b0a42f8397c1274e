"""Checkpoints of `Trainer.fit_counts`: the same bits after any interruption; errors for differences; failing writes."""

import json
import threading
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, Trainer, TrainingDivergedError
from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.checkpoint import Checkpoint
from fastembed.trainer.fit import Fit

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
    """Let a call be interrupted after so many blocks, those of validation not counted; return the error, if it was."""

    def interrupted(blocks, call, error=Stop):
        left, step = [blocks], BlockSteps._step

        def counted(self, rows, next_rows, decay, number):
            nll = step(self, rows, next_rows, decay, number)
            if decay:
                left[0] -= 1
                if left[0] == 0:
                    raise error
            return nll

        with monkeypatch.context() as patch:
            patch.setattr(BlockSteps, "_step", counted)
            try:
                call()
            except error as caught:
                return caught
        return None

    return interrupted


@pytest.fixture
def killed(monkeypatch):
    """Let a fit end without a last checkpoint, as after SIGKILL; a write in progress is completed."""

    def leave(self, error):
        self.steps.close()
        self.checkpoint.wait()

    monkeypatch.setattr(Fit, "_leave", leave)


def bits(trainer):
    return [array.tobytes() for array in (trainer.embedding, trainer.linear, *trainer.squares)]


def without_times(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


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
        Counts.from_scipy(matrix).store(tmp_path / name)

    def fit(trainer, **more):
        options["validation_counts"] = Counts.open(tmp_path / "held out")
        return trainer.fit_counts(Counts.open(tmp_path / "counts"), **options | more)

    return new, fit


def test_a_fit_that_is_interrupted_after_any_block_ends_in_the_same_bits(case, path, interrupted_after):
    """With a callback that fails, too: it is called when an epoch is complete."""
    make, fit = case
    expected = make()
    history = fit(expected)

    def fail(record, _):
        if record["epoch"] == blocks // 4:
            raise Stop

    for blocks in range(1, 12):
        assert interrupted_after(blocks, lambda: fit(make(), checkpoint=path, on_epoch_end=fail))
        trainer = make(1 + blocks % 3)
        found = fit(trainer, checkpoint=path)
        assert bits(trainer) == bits(expected)
        assert without_times(found) == without_times(history)
        assert all(record["seconds"] > 0 for record in found)
        path.unlink()


def test_a_fit_that_is_killed_goes_on_from_the_last_checkpoint(case, path, interrupted_after, killed):
    """A checkpoint is written after each block once the previous one is on disk, since the interval is short."""
    make, fit = case
    expected = make()
    fit(expected)
    within = 0
    for blocks in range(2, 12):
        often = {"checkpoint": path, "checkpoint_minutes": 1e-9}
        assert interrupted_after(blocks, lambda often=often: fit(make(), **often))
        if path.exists():
            within += json.loads(map_tensors(path)[1]["position"])["blocks"] > 0
        trainer = make(2)
        fit(trainer, **often)
        assert bits(trainer) == bits(expected)
        path.unlink()
    assert within


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_go_on_and_end_where_they_would_have(new, counts, path, interrupted_after, name):
    def generator():
        return np.random.Generator(getattr(np.random, name)(7))

    options = OPTIONS | {"checkpoint": path}
    expected, rng = new(), generator()
    expected.fit_counts(counts[0], seed=rng, **OPTIONS)
    following = rng.random()
    given = generator()
    assert interrupted_after(6, lambda: new().fit_counts(counts[0], seed=given, **options))
    for again in (given, generator()):  # in the same process, and in another one
        trainer = new()
        trainer.fit_counts(counts[0], seed=again, keep_checkpoint=True, **options)
        assert bits(trainer) == bits(expected)
        assert again.random() == following
        if again is given:
            path.unlink()
            assert interrupted_after(
                6, lambda: new().fit_counts(counts[0], seed=generator(), checkpoint=path, **OPTIONS)
            )


def test_a_finished_fit_has_its_result_at_once(new, counts, path, monkeypatch):
    options = OPTIONS | {"validation_counts": counts[1], "n_iter_no_change": 1, "learning_rate": 1.5}
    first, second = new(), new()
    history = first.fit_counts(counts[0], checkpoint=path, **options)
    monkeypatch.setattr(BlockSteps, "_step", lambda *_: pytest.fail("a step was made"))
    assert second.fit_counts(counts[0], checkpoint=path, **options) == history
    assert bits(second) == bits(first)
    with pytest.raises(ValueError, match="is that of another fit, with parameters "):
        second.fit_counts(counts[0], checkpoint=path, **options)  # it would train nothing


def test_a_callback_is_called_once_for_each_epoch_and_again_where_it_failed(new, counts, path, interrupted_after):
    def callback(record, trainer):
        calls.append(record["epoch"])
        if fails and record["epoch"] == 2:
            raise Stop
        return record["epoch"] == 3

    options, calls, fails = OPTIONS | {"epochs": 5, "checkpoint": path, "on_epoch_end": callback}, [], True
    with pytest.raises(Stop) as caught:
        new().fit_counts(counts[0], **options)
    assert caught.value.__notes__ == [f"interrupted in epoch 3; the same call goes on from {str(path)!r}"]
    fails = False
    assert interrupted_after(2, lambda: new().fit_counts(counts[0], **options))
    trainer, expected = new(), new()
    assert [record["epoch"] for record in trainer.fit_counts(counts[0], **options)] == [1, 2, 3]
    assert calls == [1, 2, 2, 3]
    expected.fit_counts(counts[0], **options | {"checkpoint": None})
    assert bits(trainer) == bits(expected)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"epochs": 4}, "epochs 3 instead of 4"),
        ({"seed": 1}, "seed 0 instead of 1"),
        ({"frozen_rows": [1]}, "row_rates .* instead of"),
        ({"bags": sparse.eye_array(ROWS)}, "bags None instead of '"),
        ({"counts": 1}, "counts '.*' instead of '"),
        ({"validation_counts": 0}, "validation_counts '.*' instead of '"),
        ({"of": 1}, "bias '.*' instead of '"),
        ({"moved": True}, "parameters '.*' instead of '"),
    ],
)
def test_a_checkpoint_of_another_call_is_an_error_that_says_what_differs(
    new, counts, path, interrupted_after, change, what
):
    given = {"counts": counts[0], "validation_counts": counts[1], "checkpoint": path, **OPTIONS}
    assert interrupted_after(3, lambda: new().fit_counts(**given))
    change = dict(change)
    before, trainer = path.read_bytes(), new(seed=change.pop("of", 0))
    if change.pop("moved", False):
        trainer.step(0, 3)
    start = bits(trainer)
    swapped = {name: counts[change[name]] for name in ("counts", "validation_counts") if name in change}
    with pytest.raises(ValueError, match=f"is that of another fit, with {what}"):
        trainer.fit_counts(**given | change | swapped)
    assert bits(trainer) == start
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["fastembed", "kernels", "numpy", "scipy", "BLAS", "products of BLAS"])
def test_a_checkpoint_from_elsewhere_is_an_error_that_says_where(new, counts, path, interrupted_after, name):
    assert interrupted_after(3, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    tensors, fields = map_tensors(path)
    tensors = {key: np.array(array) for key, array in tensors.items()}
    write_tensors(path, tensors, fields | {"settings": json.dumps(json.loads(fields["settings"]) | {name: "other"})})
    with pytest.raises(ValueError, match=f"with {name} 'other' instead of '"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    write_tensors(path, tensors, fields | {"settings": "{}"})
    with pytest.raises(ValueError, match=r"or of another version, without .* instead of '"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)


def test_a_write_that_fails_ends_the_fit_and_leaves_the_last_checkpoint(
    new, counts, path, interrupted_after, monkeypatch
):
    assert interrupted_after(6, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("fastembed.trainer.checkpoint.write_tensors", fail)
        trainer = new()
        with pytest.raises(OSError, match="No space left"):
            trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
        assert np.isfinite(trainer.embedding).all()
        error = interrupted_after(2, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    assert error.__notes__[0].startswith("interrupted in epoch 2; the checkpoint is an older one: [Errno 28] No space")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    trainer, expected = new(), new()
    trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    expected.fit_counts(counts[0], **OPTIONS)
    assert bits(trainer) == bits(expected)


def test_arguments_are_checked_before_anything_is_trained(new, counts, path, tmp_path):
    for change, message in (
        ({"checkpoint": 7}, "checkpoint must be the path of a file, got 7"),
        ({"checkpoint": path, "checkpoint_minutes": 0}, "checkpoint_minutes must be finite and above 0, got 0"),
        ({"checkpoint": path, "keep_checkpoint": 1}, "keep_checkpoint must be True or False, got 1"),
        ({"keep_checkpoint": True}, "need checkpoint, the path of a file"),
        ({"checkpoint_minutes": 5}, "need checkpoint, the path of a file"),
        ({"checkpoint_minutes": np.array([1, 2])}, r"checkpoint_minutes must be a number, got array\(\[1, 2\]\)"),
        ({"checkpoint": ""}, "checkpoint must be the path of a file, got ''"),
        ({"checkpoint": tmp_path / "nowhere" / "c"}, "does not exist"),
    ):
        trainer = new()
        with pytest.raises((TypeError, ValueError, OSError), match=message):
            trainer.fit_counts(counts[0], **OPTIONS | change)
        assert bits(trainer) == bits(new())


def test_an_interrupt_after_the_last_epoch_says_what_goes_on_from_the_checkpoint(new, counts, path, monkeypatch):
    expected = new().fit_counts(counts[0], **OPTIONS)
    write, wait, ended = Checkpoint.write, Checkpoint.wait, []

    def noted(self, position, tensors):
        write(self, position, tensors)
        if position.ended:
            ended.append(1)

    def interrupted(self):
        wait(self)
        if ended == [1]:  # once, in the end
            ended.append(1)
            raise Stop

    trainer = new()
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", noted)
        patch.setattr(Checkpoint, "wait", interrupted)
        with pytest.raises(Stop) as caught:
            trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert caught.value.__notes__ == [
        f"interrupted after the last epoch; the same call of a model as it was before has its result from {str(path)!r}"
    ]
    assert without_times(new().fit_counts(counts[0], checkpoint=path, **OPTIONS)) == without_times(expected)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_written_after_a_fit_that_diverged_has_ended(new, counts, path, monkeypatch, fails):
    """The write that is in progress then is waited for."""
    step, written, steps, diverged = BlockSteps._step, [], [], threading.Event()

    def slowly(*arguments):
        diverged.wait(300)
        written.append(1)
        if fails:
            raise OSError("no space")
        write_tensors(*arguments)

    def diverge(*arguments):
        steps.append(1)
        if len(steps) <= 4:
            return step(*arguments)
        diverged.set()
        return np.nan

    monkeypatch.setattr("fastembed.trainer.checkpoint.write_tensors", slowly)
    monkeypatch.setattr(BlockSteps, "_step", diverge)
    with pytest.raises(TrainingDivergedError) as caught:
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert len(written) == 1
    notes = ["the checkpoint is an older one: no space"] if fails else []
    assert getattr(caught.value, "__notes__", []) == notes
