"""The contents of the sdist and the wheels in ``dist/``, after `make wheel`. Called by `make check-wheel`."""

import itertools
import re
import subprocess
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
WHEELS = sorted(DIST.glob("*.whl"))
MODULES = [(wheel, name) for wheel in WHEELS for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]

MEGABYTE = 10**6
PF_X, DF_TEXTREL = 1, 4  # of ELF
FOR_THE_REPOSITORY_ALONE = (".ci/", ".github/", ".gitignore")
WRITTEN_BY_SETUPTOOLS = {"PKG-INFO", "setup.cfg"} | {
    f"fastembed_cython.egg-info/{name}"
    for name in (
        "PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt", "requires.txt", "top_level.txt",
    )
}  # fmt: skip
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}

GLIBC = (2, 28)
"""The oldest that the published wheels run on, manylinux_2_28."""

NEWER_VERSIONS = {("exp", "GLIBC_2.29"), ("log", "GLIBC_2.29")}
"""What a wheel built on a newer Linux than manylinux_2_28 links instead of these functions' older versions."""


def tracked(*paths):
    """Return the names of the files in git."""
    listed = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return set(listed.stdout.splitlines())


def test_there_is_one_sdist_and_a_wheel():
    assert len(list(DIST.glob("*.tar.gz"))) == 1
    assert WHEELS


def test_sdist_lists_exactly_the_intended_files():
    (path,) = DIST.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        files = {name.split("/", 1)[1] for name in sdist.getnames() if sdist.getmember(name).isfile()}
    intended = {name for name in tracked() if not name.startswith(FOR_THE_REPOSITORY_ALONE)}
    assert files == intended | WRITTEN_BY_SETUPTOOLS
    assert not [name for name in files if name.startswith("fastembed/") and name.endswith((".c", ".so", ".pyd"))]


def test_wheels_are_tested_beside_all_files_of_the_sdist():
    """The tests also check the documentation, and the files that it names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    beside = {name.partition("/")[0] for name in tracked() if not name.startswith(FOR_THE_REPOSITORY_ALONE)}
    assert set(settings["test-sources"]) == beside


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name)
class TestWheel:
    def test_lists_exactly_the_intended_files(self, wheel):
        """Sources of the package but for Cython's, a module for each of those that this platform has, the metadata."""
        with zipfile.ZipFile(wheel) as archive:
            files = {name for name in archive.namelist() if not name.endswith("/")}
        compiled = {name for name in files if name.endswith((".so", ".pyd"))}
        sources = tracked("fastembed")
        stubs = {name for name in sources if name.startswith("fastembed/_kernels/") and name.endswith(".pyi")}
        kernels = {name.removesuffix(".pyi") for name in stubs}
        x86_64 = {name for name in kernels if "/builds/x86_64_v" in name}
        portable = {"fastembed/_kernels/builds/portable"}
        expected = kernels - (portable if wheel.stem.endswith(("x86_64", "amd64")) else x86_64)
        expected.add("fastembed/_kernels/memoryviews")  # what Cython shares among the modules
        assert sorted(name.split(".")[0] for name in compiled) == sorted(expected)
        python = {name for name in sources if not name.endswith((".pyx", ".pxd", ".pxi"))}
        assert "fastembed/py.typed" in python
        metadata = {f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/{name}" for name in METADATA}
        assert files - compiled == python | metadata

    def test_is_small(self, wheel):
        assert wheel.stat().st_size < 3 * MEGABYTE

    def test_metadata(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
            metadata = message_from_bytes(archive.read(name))
        version = re.search(r'__version__ = "(.+)"', (ROOT / "fastembed" / "__init__.py").read_text(encoding="utf-8"))[
            1
        ]
        assert (metadata["Name"], metadata["Version"]) == ("fastembed-cython", version)
        assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")

    def test_has_a_tag_of_manylinux(self, wheel):
        platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
        if not any("linux" in platform for platform in platforms):
            pytest.skip("not a wheel for Linux")
        assert all(platform.startswith("manylinux_2_") for platform in platforms)


@pytest.mark.parametrize(("wheel", "name"), MODULES, ids=lambda value: getattr(value, "name", value))
class TestModule:
    @pytest.fixture
    def elf(self, wheel, name):
        content = zipfile.ZipFile(wheel).read(name)
        if not content.startswith(b"\x7fELF"):
            pytest.skip("not a module for Linux")
        return ELFFile(BytesIO(content))

    def test_is_stripped(self, elf):
        sections = [section.name for section in elf.iter_sections()]
        assert ".text" in sections
        assert not [name for name in sections if name == ".symtab" or name.startswith(".debug")]

    def test_has_no_executable_stack(self, elf):
        (stack,) = (segment for segment in elf.iter_segments() if segment["p_type"] == "PT_GNU_STACK")
        assert not stack["p_flags"] & PF_X

    def test_has_no_text_relocations_and_no_folder_of_libraries(self, elf):
        entries = [tag.entry for tag in elf.get_section_by_name(".dynamic").iter_tags()]
        assert "DT_NEEDED" in (tags := {entry.d_tag for entry in entries})
        assert not {"DT_TEXTREL", "DT_RPATH", "DT_RUNPATH"} & tags
        assert not [entry for entry in entries if entry.d_tag == "DT_FLAGS" and entry.d_val & DF_TEXTREL]

    def test_needs_only_what_is_declared(self, elf):
        """Python's own functions, and those of libc and libm in versions of manylinux_2_28."""
        symbols, versions = elf.get_section_by_name(".dynsym"), elf.get_section_by_name(".gnu.version")
        names = {auxiliary["vna_other"]: auxiliary.name
                 for _, each in elf.get_section_by_name(".gnu.version_r").iter_versions()
                 for auxiliary in each}  # fmt: skip
        needed = {
            (symbol.name, names.get(versions.get_symbol(index)["ndx"]))
            for index, symbol in itertools.islice(enumerate(symbols.iter_symbols()), 1, None)
            if symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_WEAK"
        }
        foreign = {(symbol, version) for symbol, version in needed if not symbol.startswith(("Py", "_Py"))}
        assert foreign - NEWER_VERSIONS, "nothing of libc: this would see no symbol at all"
        for symbol, version in foreign - NEWER_VERSIONS:
            assert version, f"{symbol} is of no library that the module names"
            assert tuple(map(int, re.fullmatch(r"GLIBC_([\d.]+)", version)[1].split("."))) <= GLIBC, symbol
