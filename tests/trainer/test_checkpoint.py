"""Checkpoints of `Trainer.fit_counts`: the same bits after any interruption; errors for differences; failing writes."""

import json
import time

import numpy as np
import pytest
from scipy import sparse

from fastembed import Counts, Trainer, TrainingDivergedError
from fastembed.formats.tensors import map_tensors, write_tensors
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.fit import Fit

ROWS, OUTPUTS = 30, 1100  # two shards
OPTIONS = {"epochs": 3, "block_size": 6, "learning_rate": 0.2}


class Stop(Exception):
    """The exception that interrupts a fit in these tests, like a Ctrl-C."""


@pytest.fixture
def new(model):
    """Make a trainer, always the same."""

    def make(threads=1, dtype="float32", seed=0):
        embedding, linear, bias = model(ROWS, OUTPUTS, 5, dtype, seed)
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
        self._wait()

    monkeypatch.setattr(Fit, "_leave", leave)


def bits(trainer):
    return [array.tobytes() for array in (trainer.embedding, trainer.linear, *trainer.squares)]


def without_times(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_is_interrupted_after_any_block_ends_in_the_same_bits(
    new, counts, path, interrupted_after, dtype, early_stopping
):
    options = OPTIONS | ({"validation_counts": counts[1], "n_iter_no_change": 2} if early_stopping else {})
    expected = new(dtype=dtype)
    history = expected.fit_counts(counts[0], **options)
    for blocks in range(1, 12):
        trainer = new(1, dtype)
        assert interrupted_after(
            blocks, lambda trainer=trainer: trainer.fit_counts(counts[0], checkpoint=path, **options)
        )
        trainer = new(1 + blocks % 3, dtype)
        found = trainer.fit_counts(counts[0], checkpoint=path, **options)
        assert bits(trainer) == bits(expected)
        assert without_times(found) == without_times(history)
        assert all(record["seconds"] > 0 for record in found)
        path.unlink()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_decay_is_applied_once_whenever_a_fit_is_interrupted(
    new, counts, path, interrupted_after, early_stopping
):
    """After any block, and by the callback, which is called when the rows of an epoch have decayed already."""
    options = OPTIONS | {"l2": 0.5, "optimizer": "sgd", "checkpoint": path}
    options |= {"validation_counts": counts[1], "n_iter_no_change": 3} if early_stopping else {}
    expected = new()
    expected.fit_counts(counts[0], **options | {"checkpoint": None})

    def spoil(record, _):
        if record["epoch"] == epoch:
            raise Stop

    for blocks in range(1, 12):
        epoch = blocks // 4
        trainer = new()
        assert interrupted_after(
            blocks,
            lambda trainer=trainer: trainer.fit_counts(counts[0], on_epoch_end=spoil, **options),
        )
        trainer.fit_counts(counts[0], **options)
        assert bits(trainer) == bits(expected)
        path.unlink()


def test_a_fit_may_be_interrupted_again_and_again_in_one_process(new, counts, path, interrupted_after):
    expected, trainer = new(), new(2)
    expected.fit_counts(counts[0], **OPTIONS)
    interruptions = 0
    while interrupted_after(2, lambda: trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS), KeyboardInterrupt):
        interruptions += 1
    assert interruptions == 6
    assert bits(trainer) == bits(expected)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_is_killed_goes_on_from_the_last_checkpoint(
    new, counts, path, interrupted_after, killed, early_stopping
):
    """A checkpoint is written after each block once the previous one is on disk, since the interval is short."""
    options = OPTIONS | ({"validation_counts": counts[1], "n_iter_no_change": 2} if early_stopping else {})
    options |= {"checkpoint": path, "checkpoint_minutes": 1e-9}
    expected = new()
    expected.fit_counts(counts[0], **{name: options[name] for name in options if "checkpoint" not in name})
    within = 0
    for blocks in range(2, 12):
        assert interrupted_after(blocks, lambda: new().fit_counts(counts[0], **options))
        if path.exists():
            within += json.loads(map_tensors(path)[1]["position"])["blocks"] > 0
        trainer = new(2)
        trainer.fit_counts(counts[0], **options)
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


def test_bags_go_on_to_the_same_bits(model, counts, path, interrupted_after):
    embedding, linear, _ = model(40, OUTPUTS, 5, "float32")
    bags = sparse.random_array((ROWS, 40), density=0.2, random_state=np.random.default_rng(3), format="csr")
    options = OPTIONS | {"bags": bags, "row_rates": np.linspace(0, 1, 40)}
    expected = Trainer(embedding.copy(), linear)
    expected.fit_counts(counts[0], **options)
    for blocks in range(1, 12):
        trainers = [Trainer(embedding.copy(), linear, threads=threads) for threads in (1, 2)]
        assert interrupted_after(
            blocks, lambda trainers=trainers: trainers[0].fit_counts(counts[0], checkpoint=path, **options)
        )
        with pytest.raises(ValueError, match="is that of another fit, with bags "):
            trainers[1].fit_counts(counts[0], checkpoint=path, **options | {"bags": bags * 2})
        trainers[1].fit_counts(counts[0], checkpoint=path, **options)
        assert bits(trainers[1]) == bits(expected)
        path.unlink()


def test_counts_in_a_store_go_on_to_the_same_bits(new, counts, path, tmp_path, interrupted_after, sizes):
    """As those in memory end in, after any block, in a store that is opened again, with groups read while it trains."""
    sizes.group_rows = 2
    stores = [tmp_path / "counts", tmp_path / "held out"]
    for matrix, store in zip(counts, stores, strict=True):
        Counts.from_scipy(matrix).store(store)
    early = {"n_iter_no_change": 2}
    expected = new()
    history = expected.fit_counts(counts[0], validation_counts=counts[1], **OPTIONS | early)

    def fit(trainer):
        given, held_out = map(Counts.open, stores)
        return trainer.fit_counts(given, validation_counts=held_out, checkpoint=path, **OPTIONS | early)

    for blocks in range(1, 12):
        assert interrupted_after(blocks, lambda: fit(new()))
        trainer = new(1 + blocks % 3)
        assert without_times(fit(trainer)) == without_times(history)
        assert bits(trainer) == bits(expected)
        path.unlink()


def test_a_checkpoint_is_written_after_each_epoch_and_holds_where_training_is(new, counts, path):
    seen = []

    def look(record, trainer):
        if path.exists():
            tensors, fields = map_tensors(path)
            seen.append(json.loads(fields["position"])["epoch"])
            assert tensors["embedding"].shape == trainer.embedding.shape

    new().fit_counts(counts[0], checkpoint=path, on_epoch_end=look, **OPTIONS)
    assert set(seen) <= {2, 3}  # what the epoch before has written, if it has been written by now
    assert json.loads(map_tensors(path)[1]["position"])["epoch"] == 4


def test_the_checkpoint_goes_when_the_trainer_is_saved_unless_it_is_kept(new, counts, path, tmp_path):
    for keep in (False, True):
        trainer = new()
        trainer.fit_counts(counts[0], checkpoint=path, keep_checkpoint=keep, **OPTIONS)
        assert path.exists()
        trainer.save(tmp_path / "trainer.safetensors")
        assert path.exists() == keep


def test_a_checkpoint_that_another_fit_has_written_is_not_removed(new, counts, path, tmp_path):
    first, second = new(), new()
    first.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    path.unlink()
    second.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    first.save(tmp_path / "trainer.safetensors")
    assert path.exists()


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
        ({"learning_rate": 0.3}, "learning_rate 0.2 instead of 0.3"),
        ({"block_size": 7}, "block_size 6 instead of 7"),
        ({"seed": 1}, "seed 0 instead of 1"),
        ({"seed": np.random.default_rng(0)}, "seed 0 instead of 'a Generator'"),
        ({"frozen_rows": [1]}, "row_rates .* instead of"),
        ({"warm_start": True}, "warm_start False instead of True"),
    ],
)
def test_a_checkpoint_of_another_call_is_an_error_that_says_what_differs(
    new, counts, path, interrupted_after, change, what
):
    assert interrupted_after(3, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    before, trainer = path.read_bytes(), new()
    with pytest.raises(ValueError, match=what):
        trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS | change)
    assert bits(trainer) == bits(new())
    assert path.read_bytes() == before


def test_a_checkpoint_of_other_counts_parameters_or_bias_is_an_error(new, counts, path, interrupted_after):
    options = OPTIONS | {"checkpoint": path, "validation_counts": counts[1]}
    assert interrupted_after(3, lambda: new().fit_counts(counts[0], **options))
    with pytest.raises(ValueError, match="with counts '"):
        new().fit_counts(counts[1], **options)
    with pytest.raises(ValueError, match="with validation_counts '"):
        new().fit_counts(counts[0], **options | {"validation_counts": counts[0]})
    with pytest.raises(ValueError, match="with bias '"):
        new(seed=1).fit_counts(counts[0], **options)
    moved = new()
    moved.step(0, 3)
    with pytest.raises(ValueError, match="with parameters '"):
        moved.fit_counts(counts[0], **options)


@pytest.mark.parametrize("name", ["fastembed", "kernels", "numpy", "scipy", "BLAS", "products of BLAS"])
def test_a_checkpoint_from_elsewhere_is_an_error_that_says_where(new, counts, path, interrupted_after, name):
    assert interrupted_after(3, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    tensors, fields = map_tensors(path)
    tensors = {key: np.array(array) for key, array in tensors.items()}
    write_tensors(path, tensors, fields | {"settings": json.dumps(json.loads(fields["settings"]) | {name: "other"})})
    with pytest.raises(ValueError, match=f"with {name} 'other' instead of '"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)


def test_no_other_file_is_replaced(new, counts, path):
    path.write_text("a text", encoding="utf-8")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    new().save(path)
    with pytest.raises(ValueError, match="holds parameters, not a checkpoint"):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)


def test_divergence_after_going_on_puts_back_the_parameters_of_the_epoch_before(
    new, counts, path, interrupted_after, monkeypatch
):
    assert interrupted_after(6, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))  # epoch 2
    expected, trainer = new(), new()
    expected.fit_counts(counts[0], on_epoch_end=lambda *_: True, **OPTIONS)
    monkeypatch.setattr(BlockSteps, "_step", lambda *_: np.nan)
    with pytest.raises(TrainingDivergedError):
        trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert bits(trainer) == bits(expected)


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


def test_a_callback_that_changes_its_record_changes_nothing_else(new, counts, path):
    expected = new().fit_counts(counts[0], **OPTIONS)
    for change in (lambda record, _: record.clear(), lambda record, _: record.update(epoch="a", mine=object())):
        history = new().fit_counts(counts[0], checkpoint=path, on_epoch_end=change, **OPTIONS)
        assert without_times(history) == without_times(expected)
        assert without_times(new().fit_counts(counts[0], checkpoint=path, **OPTIONS)) == without_times(expected)
        path.unlink()


@pytest.mark.parametrize("name", ["embedding", "linear.T", "momentum", "squares", "position"])
def test_a_single_bit_that_has_changed_is_an_error(new, counts, path, interrupted_after, name):
    assert interrupted_after(3, lambda: new().fit_counts(counts[0], checkpoint=path, **OPTIONS))
    tensors, fields = map_tensors(path)
    tensors = {key: np.array(array) for key, array in tensors.items()}
    if name == "position":
        position = json.loads(fields["position"])
        fields["position"] = json.dumps(position | {"nll": np.nextafter(position["nll"], 1)})
    else:
        tensors[name].reshape(-1).view(np.uint8)[0] ^= 1
    write_tensors(path, tensors, fields)
    trainer = new()
    with pytest.raises(ValueError, match=r"checkpoint' is damaged: it is not what was written"):
        trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert bits(trainer) == bits(new())


def test_nothing_is_written_after_a_fit_that_diverged_has_ended(new, counts, path, monkeypatch):
    def slowly(*arguments):
        time.sleep(0.3)
        write_tensors(*arguments)
        written.append(path.stat().st_mtime_ns)

    step, written, steps = BlockSteps._step, [], []

    def diverge(*arguments):
        steps.append(1)
        return step(*arguments) if len(steps) <= 4 else np.nan

    monkeypatch.setattr("fastembed.trainer.checkpoint.write_tensors", slowly)
    monkeypatch.setattr(BlockSteps, "_step", diverge)
    with pytest.raises(TrainingDivergedError):
        new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert len(written) == 1


def test_an_interrupt_after_the_last_epoch_says_what_goes_on_from_the_checkpoint(new, counts, path, monkeypatch):
    finish = Fit._finish
    expected = new().fit_counts(counts[0], **OPTIONS)

    def interrupted(self):
        finish(self)
        raise Stop

    trainer = new()
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_finish", interrupted)
        with pytest.raises(Stop) as caught:
            trainer.fit_counts(counts[0], checkpoint=path, **OPTIONS)
    assert caught.value.__notes__ == [
        f"interrupted after the last epoch; the same call of a model as it was before has its result from {str(path)!r}"
    ]
    assert without_times(new().fit_counts(counts[0], checkpoint=path, **OPTIONS)) == without_times(expected)


def test_a_checkpoint_stays_where_it_is_when_the_working_directory_changes(new, counts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    trainer = new()
    trainer.fit_counts(counts[0], checkpoint="c", on_epoch_end=lambda *_: monkeypatch.chdir("/"), **OPTIONS)
    assert json.loads(map_tensors(tmp_path / "c")[1]["position"])["epoch"] == 4
    trainer.save(tmp_path / "other" / "trainer.safetensors")
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_of_another_dtype_or_shape_is_named(new, counts, path, model):
    new().fit_counts(counts[0], checkpoint=path, **OPTIONS)
    with pytest.raises(ValueError, match="with dtype 'float32' instead of 'float64'"):
        new(dtype="float64").fit_counts(counts[0], checkpoint=path, **OPTIONS)
    embedding, linear, bias = model(ROWS, OUTPUTS, 6, "float32")
    with pytest.raises(ValueError, match="with dim 5 instead of 6"):
        Trainer(embedding, linear, bias=bias).fit_counts(counts[0], checkpoint=path, **OPTIONS)
