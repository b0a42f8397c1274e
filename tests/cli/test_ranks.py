"""`train --mpi`: ranks of a real MPI job, and one that is killed or fails."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from fastembed import Counts, SkipGram

TIME_LIMIT = 500  # seconds, for jobs that would otherwise hang
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpiexec: the extra [mpi]",
)
# As root, and with more ranks than cores; for other users and machines these change nothing
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "HOME": str(Path.home()),  # without which Open MPI does not start
}


def ranks(number, store, *options, program=("-m", "fastembed")):
    """Return the part of a command of mpiexec that starts some ranks."""
    python = [sys.executable, "-P", "-m", "mpi4py", *program]
    training = ["train", "--mpi", "--counts", store, "-o", "m.safetensors", "--dim", "8", "--epochs", "3"]
    return ["-n", str(number), *python, *training, "--threads", "1", *options]


def start(folder, *command):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen([MPIEXEC, *command], cwd=folder, env=os.environ | ENVIRONMENT, **pipes)


def run_job(folder, *command):
    """Run a job to its end; return its exit code, stdout and stderr."""
    with start(folder, *command) as process:
        out, err = process.communicate(timeout=TIME_LIMIT)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of counts of 1,200 words on both sides: four shards."""
    rng = np.random.default_rng(0)
    words = np.minimum(rng.zipf(1.2, size=(300, 40)), 1200)
    corpus = [[f"w{word}" for word in line] for line in [*words, *np.arange(1, 1201).reshape(30, 40)]]
    path = tmp_path_factory.mktemp("mpi") / "pairs.counts"
    SkipGram(min_count=1, window=3, sample=1e-2, max_contexts=None).count(corpus, store=path)
    return str(path)


@pytest.fixture(scope="module")
def alone(store):
    """The parameters that one process has."""
    return parameters(SkipGram(dim=8, epochs=3, threads=1).fit(Counts.open(store)))


def parameters(model):
    return model.vectors.matrix.tobytes(), model.trainer.linear.tobytes()


@needs_mpi
def test_two_ranks_write_the_bits_of_one_process(tmp_path, store, alone):
    code, out, err = run_job(tmp_path, *ranks(2, store))
    assert code == 0, err
    assert out.count("epoch  1 of 3") == out.count("wrote m.safetensors") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]
    assert parameters(SkipGram.load(tmp_path / "m.safetensors")) == alone


@needs_mpi
def test_a_job_whose_rank_is_killed_ends_at_once_and_the_same_command_goes_on_with_other_ranks(tmp_path, store, alone):
    # Rank 0 sleeps for 600 s at the end of the second epoch, in which rank 1 waits for it
    program = (
        "import os, sys, time\nfrom mpi4py import MPI\nfrom fastembed.cli import common, main\n"
        "if MPI.COMM_WORLD.rank: open('rank', 'w').write(str(os.getpid()))\n"
        "epoch = common.Progress.epoch\n"
        "def slow(self, record): epoch(self, record); time.sleep(600 * (record['epoch'] == 2))\n"
        "common.Progress.epoch = slow\nsys.exit(main())\n"
    )
    (tmp_path / "slow.py").write_text(program, encoding="utf-8")
    process = start(tmp_path, *ranks(2, store, "--checkpoint", "c", program=("slow.py",)))
    try:
        while not process.stdout.readline().startswith("epoch  2"):
            assert process.poll() is None, process.stderr.read()
        os.kill(int((tmp_path / "rank").read_text(encoding="utf-8")), signal.SIGKILL)
        process.communicate(timeout=TIME_LIMIT)  # before the sleep of rank 0 has ended
        assert process.returncode != 0
    finally:
        process.kill()
    assert not (tmp_path / "m.safetensors").exists()
    code, out, err = run_job(tmp_path, *ranks(4, store, "--checkpoint", "c"))
    assert code == 0, err
    assert "epoch  1 of 3" not in out
    assert parameters(SkipGram.load(tmp_path / "m.safetensors")) == alone


@needs_mpi
def test_what_one_rank_alone_cannot_do_ends_all_in_one_line(tmp_path, store):
    """Rank 1 is given a store that is not there."""
    code, _, err = run_job(tmp_path, *ranks(1, store), ":", *ranks(1, "missing.counts"))
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("fastembed: error")]
    assert "rank 1: " in line
    assert "missing.counts" in line
