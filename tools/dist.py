"""Build and check the files of a release: ``python tools/dist.py build`` and ``python tools/dist.py check``.

``build`` builds the sdist and, from its contents, a wheel for the oldest and the newest Python on this machine, in
``dist/``. ``check`` builds one wheel again and compares the bytes. Then it installs each in an empty environment,
that of the oldest Python with the oldest dependencies that `pyproject.toml` allows, the other with the newest (a
single one with either), and runs the tests of the sdist there, except slow ones, which cover more numbers but no
further code, and those of optional libraries. Where a release is made, wheels for all Pythons are built and tested.
``tools/test_dist.py`` checks the contents of the files in ``dist/``.
"""

import argparse
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
TAGS = [pattern.removesuffix("-*") for pattern in SETTINGS["tool"]["cibuildwheel"]["build"]]

MOST_AT_ONCE = 4
"""Checks of wheels that run in parallel; each takes a core and a few GB."""


def run(*command, cwd=ROOT, capture=False, **environment):
    """Run a command with additional environment variables; return its output if it is captured."""
    print("$", *command, flush=True)
    stdout = subprocess.PIPE if capture else None
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, stdout=stdout, encoding="utf-8", check=True
    ).stdout


def pythons():
    """Return the oldest and the newest Python, on PATH or of pyenv, by the tags of published wheels."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = os.pathsep.join([*map(str, pyenv.glob("versions/*/bin")), os.environ["PATH"]])
    listed = json.loads(
        run("uv", "python", "list", "--only-installed", "--output-format=json", capture=True, PATH=path)
    )
    found = {}
    for python in listed:  # the newest first
        version, threaded = python["version_parts"], python["variant"] == "freethreaded"
        tag = f"cp{version['major']}{version['minor']}{'t' if threaded else ''}"
        if python["implementation"] == "cpython" and tag in TAGS:
            found.setdefault(tag, python["path"])
    tags = [tag for tag in TAGS if tag in found]
    return {tag: found[tag] for tag in tags[:1] + tags[-1:]}


def commit_time():
    """Return the time of the last commit, in seconds since 1970, which all files in a wheel get."""
    return os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", capture=True).strip()


def build_wheel(sdist, python, destination):
    """Build a wheel from the contents of an sdist, with the tag of the oldest Linux that it runs on."""
    environment = {"SOURCE_DATE_EPOCH": commit_time()}
    if sys.platform == "linux":  # a Python that lies in a folder of its own would have that folder linked in
        environment["LDSHARED"] = f"{os.environ.get('CC', 'cc')} -shared"
    with tempfile.TemporaryDirectory() as folder:
        run("uv", "build", "--quiet", "--wheel", "--python", python, "--out-dir", folder, sdist, **environment)
        (wheel,) = Path(folder).glob("*.whl")
        if sys.platform == "linux":
            run("auditwheel", "repair", "--wheel-dir", destination, wheel, **environment)
        else:
            shutil.copy(wheel, destination)


def build():
    """Build the sdist and the wheels."""
    shutil.rmtree(DIST, ignore_errors=True)
    run("uv", "build", "--quiet", "--sdist", "--out-dir", DIST)
    (DIST / ".gitignore").unlink()
    for python in pythons().values():
        build_wheel(*DIST.glob("*.tar.gz"), python, DIST)


def check_reproducible(wheel, python):
    """Build a wheel again, in other folders, and compare its bytes."""
    with tempfile.TemporaryDirectory() as again:
        build_wheel(*DIST.glob("*.tar.gz"), python, Path(again))
        if (Path(again) / wheel.name).read_bytes() != wheel.read_bytes():
            sys.exit(f"a second build of {wheel.name} has other bytes")


def try_out(wheel, python, dependencies):
    """Install a wheel in an empty environment with its oldest or newest dependencies, and run the sdist's tests."""
    os.environ.pop("PYTHONPATH", None)  # the environment would not be empty
    with tempfile.TemporaryDirectory() as folder, tarfile.open(*DIST.glob("*.tar.gz")) as sdist:
        sdist.extractall(folder, filter="data")
        (sources,) = Path(folder).iterdir()
        environment = Path(folder, "environment")
        binaries = environment / ("Scripts" if sys.platform == "win32" else "bin")
        install = ("uv", "pip", "install", "--quiet", "--python", environment, "--only-binary=:all:")
        run("uv", "venv", "--quiet", "--python", python, environment)
        if dependencies == "oldest":
            run(*install, "--resolution=lowest-direct", *PROJECT["dependencies"])
        fixed = Path(folder, "fixed.txt")  # so that nothing the tests need brings newer ones
        fixed.write_text(run("uv", "pip", "freeze", "--python", environment, capture=True), encoding="utf-8")
        run(*install, wheel)
        run("uv", "pip", "list", "--python", environment)
        run(binaries / "fastembed", "info", cwd=folder)
        run(*install, "--constraint", fixed, f"{PROJECT['name']}[test] @ {Path(wheel).as_uri()}")
        run(binaries / "pytest", "--quiet", "-m", "not slow and not extra", cwd=sources)


def check():
    """Check all wheels in ``dist/``, several in parallel, and print the output of each check."""
    wheels = {next(iter(parse_wheel_filename(path.name)[3])).abi: path for path in sorted(DIST.glob("*.whl"))}
    if not wheels:
        sys.exit(f"{DIST} holds no wheel: call `make wheel` first")
    installed = pythons()
    if gone := [tag for tag in wheels if tag not in installed]:
        sys.exit(f"{DIST} holds wheels for Pythons that are not here, {', '.join(gone)}: call `make wheel` again")
    oldest, *_ = wheels
    check_reproducible(wheels[oldest], installed[oldest])
    trials = [(oldest, "oldest"), *((tag, "newest") for tag in wheels if tag != oldest or len(wheels) == 1)]

    def in_a_process(trial):
        tag, dependencies = trial
        command = [sys.executable, __file__, "try", wheels[tag], installed[tag], dependencies]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
        return trial, done

    failed = {}
    with ThreadPoolExecutor(min(os.cpu_count(), MOST_AT_ONCE)) as pool:
        for (tag, dependencies), done in pool.map(in_a_process, trials):
            print(f"---- {tag}, {dependencies} dependencies\n{done.stdout}", flush=True)
            if done.returncode:
                failed[f"{tag} with the {dependencies} dependencies"] = done.stdout
    if failed:  # its reason once more, below the output of the others
        sys.exit("\n".join(f"not good: {name}\n{output[-2000:]}" for name, output in failed.items()))
    print(f"{len(wheels)} wheels are good: {', '.join(wheels)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("build").set_defaults(call=build)
    commands.add_parser("check").set_defaults(call=check)
    one = commands.add_parser("try", help="what check does with each wheel")
    one.add_argument("wheel")
    one.add_argument("python")
    one.add_argument("dependencies", choices=("oldest", "newest"))
    one.set_defaults(call=try_out)
    arguments = vars(parser.parse_args())
    if ssl.create_default_context().get_ca_certs():  # those of the system, as pip takes; else uv's own
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")
    arguments.pop("call")(**arguments)
