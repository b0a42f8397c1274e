"""Unpack Debian's Python for ARM64 into a folder, to run under QEMU: ``python tools/aarch64.py FOLDER``.

Called by ``make check-aarch64``. It uses user-mode emulation: ``FOLDER/usr/bin/python`` is a launcher, also the
``sys.executable`` of the Python that it runs. So a child process is emulated if it is Python, and otherwise runs
natively, such as the cross compiler. Nothing here needs root or changes the system: apt-get only downloads, and keeps
lists and packages in the folder; no binary format is registered with the kernel.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Python, its headers and those of libc, and the library that wheels of C++ need
PACKAGES = ("python3-venv", "libpython3-dev", "libstdc++6")
# Armv8.2 with NEON, without SVE. QEMU's default, which also emulates signed pointers, runs Python half as fast.
CPU = "neoverse-n1"

# What must be installed: program -> package of Debian and Ubuntu
PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "qemu-aarch64": "qemu-user",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
}

LAUNCHER = """\
#!/bin/sh
# Without -0 Python would not know by which name it was called, and so not in which virtual environment it is.
exec qemu-aarch64 -cpu "${{QEMU_CPU:-{cpu}}}" -L {root} -0 "$0" {root}/usr/bin/python3 "$@"
"""


def missing_packages():
    """Return the required packages that are not installed on the host."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return packages if KEYRING.exists() else [*packages, "debian-archive-keyring"]


def download(folder):
    """Download the packages with their dependencies, and return the files."""
    for name in ("lists", "cache"):
        (folder / name / "partial").mkdir(parents=True)
    (folder / "status").touch()  # no package is installed
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n", encoding="utf-8")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::archives": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        # This machine's other sources and preferences are not meant for ARM64; its apt.conf, with proxies, is.
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
    }
    apt = ["apt-get", "--quiet", "--yes", *(f"--option={name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "--download-only", *PACKAGES], check=True)
    return sorted((folder / "cache").glob("*.deb"))


def unpack(packages, root):
    """Unpack packages under a root, and write the launcher last, since it is the target of make."""
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")  # the loader is looked for in /lib
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    launcher = root / "usr" / "bin" / "python"  # the packages have a python3 only
    text = LAUNCHER.format(cpu=CPU, root=shlex.quote(str(root)))
    launcher.write_text(text, encoding="utf-8")
    launcher.chmod(0o755)


def main():
    """Create the folder from scratch."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="is removed first, if it exists")
    root = parser.parse_args().folder.absolute()
    if packages := missing_packages():
        sys.exit(f"an emulated ARM64 needs Debian or Ubuntu, with: apt-get install {' '.join(packages)}")
    shutil.rmtree(root, ignore_errors=True)
    apt = root / "apt"
    unpack(download(apt), root)
    shutil.rmtree(apt)


if __name__ == "__main__":
    main()
