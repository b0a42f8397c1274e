"""Build of the compiled kernels: the list of extensions, their compiler directives and flags. Metadata: pyproject.toml.

The environment variable ``FASTEMBED_BUILD`` selects kernels that are checked while they run, or those of architectures
other than x86-64 (`VARIANTS`); ``make check-debug``, ``check-asan``, ``check-ubsan`` and ``check-portable`` set it.
"""

import os
import platform
import shutil
import sys
import sysconfig
import threading
import unicodedata
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, OptionError, PlatformError

MSVC = sys.platform == "win32" and "GCC" not in sys.version
KERNELS = Path("fastembed/_kernels")
X86_64 = platform.machine().lower() in ("x86_64", "amd64") and "universal2" not in sysconfig.get_platform()

VARIANT = os.environ.get("FASTEMBED_BUILD", "")
BUILD = Path("build", VARIANT or "release")  # each variant translates and compiles in a folder of its own
C_FILES = BUILD / "cython"
TABLES = BUILD / "unicode"  # where the header with the tables of characters is made

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
    "freethreading_compatible": True,  # no module has global state, see tests/_kernels/test_builds.py
}

# The parts of fast-math that reorder sums but assume nothing about NaN or infinity and link no start-up code, so that
# loading a module leaves the floating-point state of the process alone.
RELEASE = (
    ["/O2"]
    if MSVC
    else ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]
)

# Leave out the symbol table, a twelfth of the modules' size. Apple's linker calls it local symbols.
STRIP = [] if MSVC else ["-Wl,-x"] if sys.platform == "darwin" else ["-Wl,-s"]
LIBRARIES = [] if sys.platform == "win32" else ["m"]

# FASTEMBED_BUILD -> (more directives, flags of the compiler, flags of the linker)
VARIANTS = {
    "": ({}, RELEASE, STRIP),
    "portable": ({}, RELEASE, STRIP),  # with BUILDS as on ARM
    "debug": (
        {"boundscheck": True, "initializedcheck": True},
        ["/Od", "/fp:precise"] if MSVC else ["-O0", "-g", "-UNDEBUG"],
        [],
    ),
    # Checks every access to memory, in the code as released
    "asan": ({}, [*RELEASE, "-g", "-fno-omit-frame-pointer", "-fsanitize=address"], ["-fsanitize=address"]),
    # Checks arithmetic of integers, conversions, alignment ..., as the sources have them
    "ubsan": (
        {},
        ["-O1", "-g", "-fno-wrapv", "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"],
        ["-fsanitize=undefined"],
    ),
}

# One build of the kernels per instruction set; fastembed/_kernels/__init__.py picks one at import
if X86_64 and VARIANT != "portable":
    BUILDS = {
        "x86_64_v2": [] if MSVC else ["-march=x86-64-v2"],
        "x86_64_v3": ["/arch:AVX2"] if MSVC else ["-march=x86-64-v3"],
        "x86_64_v4": ["/arch:AVX512"] if MSVC else ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
else:
    BUILDS = {"portable": []}

# Compiled once, for the base instruction set
SHARED = ("cooccur", "cpu", "features", "ngrams", "tiles", "tokens", "words")
# The source of the builds is translated once, under the name of one of them: they differ in their names, all equally
# long, and in the flags of the compiler. The name is in a table of strings, too, which is not compressed therefore.
TRANSLATED_BUILD = next(iter(BUILDS))
# What Cython generates for memoryviews, compiled once instead of in each module. It has no source of ours. At -O2 a
# call of a kernel takes as long as at -O3; at -O1 it takes 3 % more.
MEMORYVIEWS = "fastembed._kernels.memoryviews"


def variant():
    """Return the directives and flags that ``FASTEMBED_BUILD`` selects."""
    if VARIANT not in VARIANTS:
        names = ", ".join(filter(None, VARIANTS))
        raise OptionError(f"FASTEMBED_BUILD must be one of {names} or empty, got {VARIANT!r}")
    if MSVC and VARIANT not in ("", "portable", "debug"):
        raise PlatformError(f"FASTEMBED_BUILD={VARIANT} needs GCC or Clang")
    return VARIANTS[VARIANT]


def extensions(compile_flags, link_flags):
    """Return the extension modules of this platform."""
    included = ["setup.py", *(str(file) for kind in ("pxd", "pxi") for file in sorted(KERNELS.glob(f"*.{kind}")))]
    modules = {f"builds.{name}": (KERNELS / "builds" / "kernels.pyx", flags) for name, flags in BUILDS.items()}
    modules |= {name: (KERNELS / f"{name}.pyx", []) for name in SHARED}
    return [
        Extension(
            MEMORYVIEWS,
            [],
            depends=["setup.py"],
            extra_compile_args=[flag.replace("-O3", "-O2") for flag in compile_flags],
            extra_link_args=link_flags,
        ),
    ] + [
        Extension(
            f"fastembed._kernels.{name}",
            [source.as_posix()],
            depends=included,
            include_dirs=[str(TABLES)] if name == "words" else [],
            extra_compile_args=compile_flags + flags,
            extra_link_args=link_flags,
            define_macros=[("CYTHON_COMPRESS_STRINGS", "0")] if name.startswith("builds.") else [],
            libraries=LIBRARIES if name == "features" or name.startswith("builds.") else [],
        )
        for name, (source, flags) in modules.items()
    ]


def unicode_tables():
    """Return the C header of `words.pyx`: what each character is, by the `unicodedata` of the Python that builds."""
    flags = {name: 1 << bit for bit, name in enumerate(PROPERTIES)}
    characters, records = {}, []
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        category = unicodedata.category(character)
        lower = ord(character.lower()[0]) - point  # of U+0130 the first of two, i without a dot above
        # Three of four have no property: not assigned, private, or half of a surrogate pair
        assigned = category not in ("Cn", "Co", "Cs")
        names = [name for name, holds in PROPERTIES.items() if holds(character, category)] if assigned else []
        records.append(characters.setdefault((lower, sum(map(flags.get, names))), len(characters)))
    pages = {}
    parts = (tuple(records[first : first + 128]) for first in range(0, len(records), 128))
    numbers = [pages.setdefault(part, len(pages)) for part in parts]
    assert len(characters) <= 256
    return "\n".join(
        [
            f'#define FASTEMBED_UNIDATA "{unicodedata.unidata_version}"',
            *(f"#define FASTEMBED_{name} {flag}" for name, flag in flags.items()),
            "typedef struct { int lower; unsigned char flags; } fastembed_character;",
            c_array("unsigned short fastembed_pages", numbers),
            c_array("unsigned char fastembed_records", [record for part in pages for record in part]),
            c_array("fastembed_character fastembed_characters", [f"{{{lower}, {flag}}}" for lower, flag in characters]),
        ]
    )


def c_array(name, values):
    """Return the definition of a constant array."""
    rows = (", ".join(map(str, values[first : first + 24])) for first in range(0, len(values), 24))
    return f"static const {name}[] = {{\n" + ",\n".join(rows) + "};"


def final_sigma(before):
    """Return whether a sigma behind this, at the end of a word, is a final one."""
    return f"{before}\u03a3".lower().endswith("\u03c2")


# What words.pyx asks of a character, given its general category. What a final sigma depends on is asked of str.lower.
PROPERTIES = {
    "WORD": lambda c, category: category[0] in "LMN",
    "MARK": lambda c, category: category[0] == "M",
    "NUMBER": lambda c, category: category[0] == "N",
    "IDEOGRAPH": lambda c, category: category[0] in "LN" and unicodedata.name(c, "").startswith(IDEOGRAPHS),
    "CASED": lambda c, category: final_sigma(c),
    "IGNORED": lambda c, category: final_sigma(f"A{c}") and not final_sigma(c),
    "CAPITAL": lambda c, category: category in ("Lu", "Lt"),
}
IDEOGRAPHS = (
    "CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HENTAIGANA", "HIRAGANA", "KATAKANA",
    "HALFWIDTH KATAKANA",
)  # fmt: skip


class BuildKernels(build_ext):
    """Translate into the build folder, never beside the sources; build in parallel; explain a missing compiler."""

    translation = threading.Lock()  # Cython translates one module at a time

    def finalize_options(self):
        """Let an editable installation keep what it compiled: only what has changed is compiled again."""
        super().finalize_options()
        if self.editable_mode:
            self.build_lib = self.build_temp = str(BUILD / f"editable-{sysconfig.get_config_var('SOABI')}")

    def build_extensions(self):
        """Translate and compile, or raise an error that names what is missing."""
        compiler = getattr(self.compiler, "compiler_so", None)
        if compiler and shutil.which(compiler[0]) is None:
            raise PlatformError(no_compiler(f"the C compiler {compiler[0]!r} was not found on PATH"))
        # One module more than there are cores: while these compile, it is translated
        self.parallel = self.parallel or (os.cpu_count() or 1) + 1
        try:
            super().build_extensions()
        except CompileError as error:
            raise CompileError(no_compiler(str(error))) from error

    def build_extension(self, ext):
        """Translate a module, one at a time, and compile it, several at a time."""
        with self.translation:
            if str(TABLES) in ext.include_dirs:
                write(TABLES / "unicode_tables.h", unicode_tables())
            ext.sources[:] = translated(ext)
        super().build_extension(ext)


def translated(ext):
    """Translate a module, if its sources are newer than its C file; return the paths of its C files."""
    from Cython.Build import cythonize

    package, _, name = ext.name.rpartition(".")
    of_build = package == "fastembed._kernels.builds"
    (done,) = cythonize(
        [Extension(f"{package}.{TRANSLATED_BUILD}", ext.sources, depends=ext.depends) if of_build else ext],
        build_dir=str(C_FILES),
        compiler_directives=DIRECTIVES | directives,
        shared_utility_qualified_name=MEMORYVIEWS,
    )
    if not of_build:
        return done.sources
    # The same C under the name of the build
    assert len(name) == len(TRANSLATED_BUILD)
    file = Path(done.sources[0])
    renamed = file.with_name(f"{name}.c")
    write(renamed, file.read_text(encoding="utf-8").replace(TRANSLATED_BUILD, name))
    return [str(renamed)]


def write(path, text):
    """Write a file, unless it has that text already: then what depends on it is not compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def no_compiler(reason):
    """Return the message for a build that cannot compile C."""
    return (
        f"fastembed could not compile its kernels: {reason}.\n"
        "Building it needs a C compiler and the headers of Python: on Debian or Ubuntu `apt-get install gcc"
        " python3-dev`, on Fedora `dnf install gcc python3-devel`, on macOS `xcode-select --install`, on Windows"
        " the Microsoft C++ Build Tools."
    )


directives, *flags = variant()
setup(
    ext_modules=extensions(*flags),
    cmdclass={"build_ext": BuildKernels},
    options={"build": {"build_base": str(BUILD)}},
)
