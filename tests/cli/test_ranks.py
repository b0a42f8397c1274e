"""`train --mpi`: ranks of a real MPI job, and one that is killed, differs or fails."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from fastembed import Counts, SkipGram

TIME_LIMIT = 500  # seconds, for jobs that would otherwise hang
OPTIONS = ["--dim", "8", "--epochs", "3", "--threads", "1"]


def find_mpiexec():
    """Return the path of mpiexec, as Open MPI's wheel installs it, or of the system; None without mpi4py or it."""
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    try:
        distribution("mpi4py")
        files = distribution("openmpi").files or []
        folders[:0] = [str(Path(file.locate()).resolve().parent) for file in files if file.name == "mpiexec"]
    except PackageNotFoundError as error:
        if error.name == "mpi4py":
            return None
    return shutil.which("mpiexec", path=os.pathsep.join(folders))


MPIEXEC = find_mpiexec()
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="needs mpi4py and mpiexec: the extra [mpi]")
# As root, and with more ranks than cores; for other users and machines these change nothing
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "HOME": str(Path.home()),  # without which Open MPI does not start
}


def start(folder, *jobs):
    """Start a job, of parts (number of ranks, environment, arguments of `fastembed`)."""
    command = [MPIEXEC]
    for ranks, environment, arguments in jobs:
        settings = [f"{name}={value}" for name, value in environment.items()]
        python = [sys.executable, "-P", "-m", "mpi4py", "-m", "fastembed"]
        command += [*([":"] if len(command) > 1 else []), "-n", str(ranks), "env", *settings, *python]
        command += map(str, arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command, cwd=folder, env=os.environ | ENVIRONMENT, **pipes)


def run_job(folder, *jobs):
    """Run a job to its end; return its exit code, stdout and stderr."""
    process = start(folder, *jobs)
    try:
        out, err = process.communicate(timeout=TIME_LIMIT)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of counts of 1,200 words on both sides: four shards."""
    rng = np.random.default_rng(0)
    words = np.minimum(rng.zipf(1.2, size=(300, 40)), 1200)
    corpus = [[f"w{word}" for word in line] for line in [*words, *np.arange(1, 1201).reshape(30, 40)]]
    path = tmp_path_factory.mktemp("mpi") / "pairs.counts"
    SkipGram(min_count=1, window=3, sample=1e-2, max_contexts=None).count(corpus).save(path)
    return path


@pytest.fixture(scope="module")
def alone(store):
    """The vectors and the linear layer that one process has after OPTIONS."""
    return parameters(SkipGram(dim=8, epochs=3, threads=1).fit(Counts.open(store)))


def parameters(model):
    return model.vectors.matrix.tobytes(), model._model.trainer.linear.tobytes()


def parameters_in(path):
    return parameters(SkipGram.load(path))


def train(store, *options):
    return "train", "--counts", store, "-o", "m.safetensors", *OPTIONS, *options


@needs_mpi
def test_two_ranks_write_the_bits_of_one_process(tmp_path, store, alone):
    code, out, err = run_job(tmp_path, (2, {}, train(store, "--mpi")))
    assert code == 0, err
    assert out.count("epoch  1 of 3") == out.count("wrote m.safetensors") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]
    assert parameters_in(tmp_path / "m.safetensors") == alone


@needs_mpi
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes of the ranks in /proc")
@pytest.mark.parametrize(("number", "ranks"), [("SIGKILL", 4), ("SIGINT", 3)])
def test_a_job_that_is_ended_ends_at_once_and_the_same_command_goes_on_with_other_ranks(
    tmp_path, store, alone, number, ranks
):
    """A rank is killed, or mpiexec has a Ctrl-C, which kills the ranks: they have no time for a checkpoint."""
    # 600 s of sleep at the end of the second epoch, in which rank 1 waits for rank 0
    sleep = (
        "import time\nfrom fastembed.cli.output import Progress\nepoch = Progress.epoch\n"
        "Progress.epoch = lambda self, record: epoch(self, record) or time.sleep(600 * (record['epoch'] == 2))\n"
    )
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(sleep, encoding="utf-8")
    command = train(store, "--mpi", "--checkpoint", "c")
    paths = os.pathsep.join(filter(None, [str(tmp_path / "slow"), os.environ.get("PYTHONPATH")]))
    process = start(tmp_path, (2, {"PYTHONPATH": paths}, command))
    try:
        while not process.stdout.readline().startswith("epoch  2"):
            assert process.poll() is None, process.stderr.read()
        rank = process_of_rank(1, tmp_path)
        os.kill(rank if number == "SIGKILL" else process.pid, getattr(signal, number))
        process.communicate(timeout=TIME_LIMIT)  # before the sleep of rank 0 has ended
        assert process.returncode != 0
        began = time.monotonic()
        while Path("/proc", str(rank), "exe").exists():  # one that has ended, and is not waited for, has none
            assert time.monotonic() - began < TIME_LIMIT
            time.sleep(0.05)
    finally:
        process.kill()
    assert not (tmp_path / "m.safetensors").exists()
    code, out, err = run_job(tmp_path, (ranks, {}, command))
    assert code == 0, err
    assert "epoch  1 of 3" not in out
    assert parameters_in(tmp_path / "m.safetensors") == alone


def process_of_rank(rank, folder):
    """Return the id of the process of a rank, by its environment and its working directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment and (process / "cwd").resolve() == folder:
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"no process of rank {rank}")


@needs_mpi
def test_what_one_rank_alone_cannot_do_ends_all_in_one_line(tmp_path, store):
    """Rank 1 is given a store that is not there."""
    wrong = train("missing.counts", "--mpi")
    code, _, err = run_job(tmp_path, (1, {}, train(store, "--mpi")), (1, {}, wrong))
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("fastembed: error")]
    assert "rank 1: " in line
    assert "missing.counts" in line
