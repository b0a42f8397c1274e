"""Build of the compiled kernels: the list of extensions, their compiler directives and flags. Metadata: pyproject.toml.

Set ``FASTEMBED_DEBUG=1`` while installing to compile every kernel with bounds checks, initialisation checks and C
assertions, and without optimisation.
"""

import os
import platform
import shutil
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

DEBUG = os.environ.get("FASTEMBED_DEBUG", "0") not in ("", "0")
MSVC = sys.platform == "win32" and "GCC" not in sys.version
X86_64 = platform.machine().lower() in ("x86_64", "amd64") and "universal2" not in sysconfig.get_platform()

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
}

# The parts of fast-math that reorder sums but assume nothing about NaN or infinity and link no start-up code, so that
# loading a module leaves the floating-point state of the process alone.
OPTIMIZE = (
    (["/O2", "/fp:precise"] if MSVC else ["-O0", "-g", "-UNDEBUG"])
    if DEBUG
    else ["/O2"]
    if MSVC
    else ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]
)

# No symbol table: a twelfth of the modules' size. Apple's linker calls it local symbols.
STRIP = [] if MSVC or DEBUG else ["-Wl,-x"] if sys.platform == "darwin" else ["-Wl,-s"]
LIBRARIES = [] if sys.platform == "win32" else ["m"]

# One build of the kernels per instruction set; fastembed/_kernels/__init__.py picks one at import.
if X86_64:
    BUILDS = {
        "x86_64_v2": [] if MSVC else ["-march=x86-64-v2"],
        "x86_64_v3": ["/arch:AVX2"] if MSVC else ["-march=x86-64-v3"],
        "x86_64_v4": ["/arch:AVX512"] if MSVC else ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
else:
    BUILDS = {"portable": []}


def extensions():
    """Return the extension modules of this platform."""
    folder = "fastembed/_kernels"
    shared = [
        f"{folder}/{name}"
        for name in ("types.pxd", "bits.pxd", "exp.pxd", "row.pxi", "row_train.pxi", "block.pxi", "sparse.pxi")
    ]
    builds = [
        Extension(
            f"fastembed._kernels.{name}",
            [f"{folder}/{name}.pyx"],
            depends=shared,
            extra_compile_args=OPTIMIZE + flags,
            extra_link_args=STRIP,
            libraries=LIBRARIES,
        )
        for name, flags in BUILDS.items()
    ]
    single = [
        Extension(
            f"fastembed._kernels.{name}",
            [f"{folder}/{name}.pyx"],
            extra_compile_args=OPTIMIZE,
            extra_link_args=STRIP,
        )
        for name in ("cpu", "cooccur", "tokens")
    ]
    return builds + single


class BuildKernels(build_ext):
    """Translate below the build folder, never beside the sources; build in parallel; say so without a compiler."""

    def build_extensions(self):
        """Translate and compile, or stop with a message that names what is missing."""
        from Cython.Build import cythonize

        compiler = getattr(self.compiler, "compiler_so", None)
        if compiler and shutil.which(compiler[0]) is None:
            raise PlatformError(no_compiler(f"the C compiler {compiler[0]!r} was not found on PATH"))
        translated = cythonize(self.extensions, build_dir="build/cython", compiler_directives=DIRECTIVES)
        for extension, c_extension in zip(self.extensions, translated, strict=True):
            extension.sources[:] = c_extension.sources
        self.parallel = self.parallel or os.cpu_count()
        try:
            super().build_extensions()
        except CompileError as error:
            raise CompileError(no_compiler(str(error))) from error


def no_compiler(reason):
    """Return the message for a build that cannot compile C."""
    return (
        f"fastembed could not compile its kernels: {reason}.\n"
        "Building it needs a C compiler and the headers of Python: on Debian or Ubuntu `apt-get install gcc"
        " python3-dev`, on Fedora `dnf install gcc python3-devel`, on macOS `xcode-select --install`, on Windows"
        " the Microsoft C++ Build Tools."
    )


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
