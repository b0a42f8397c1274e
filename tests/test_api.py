"""The public interface: every name and signature as in public_api.txt, so that a review sees a change of either.

Write the file again, with the package installed: python tests/test_api.py > tests/public_api.txt
"""

import inspect
import subprocess
import sys
from difflib import unified_diff
from functools import cached_property
from pathlib import Path

import fastembed

LISTING = Path(__file__).with_name("public_api.txt")


def public_modules():
    """The package and its public modules, except `reference`, whose functions follow the kernels."""
    names = [name for name in dir(fastembed) if inspect.ismodule(getattr(fastembed, name)) and name != "reference"]
    return [fastembed, *(getattr(fastembed, name) for name in names)]


def public_objects():
    """Each public class and function, once, by the shortest name to import it by."""
    named = {}
    for module in public_modules():
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isfunction(value)) and value not in named.values():
                named[f"{module.__name__}.{name}"] = value
    return named


def call(function):
    """The names of the parameters and their defaults; mypy and the sources know the types."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def public_members(cls):
    """The public members of a class, and of its bases in this package."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__.startswith("fastembed")]
    members = {name: member for base in bases for name, member in vars(base).items()}
    return sorted((name, member) for name, member in members.items() if not name.startswith("_"))


def described(name, value):
    """Lines with the signature of an object, and the public members of a class."""
    if inspect.isclass(value):
        yield f"class {name}{call(value)}"
        for member_name, member in public_members(value):
            yield from described(f"{name}.{member_name}", member)
    elif isinstance(value, classmethod | staticmethod):
        yield f"{name}{call(value.__func__)}  {type(value).__name__}"
    elif inspect.isfunction(value):
        yield f"{name}{call(value)}"
    elif isinstance(value, property | cached_property):
        yield f"{name}  property"


def listing():
    """The whole public interface as text."""
    return "".join(f"{line}\n" for name, value in public_objects().items() for line in described(name, value))


def test_signatures_are_those_of_the_file():
    changes = "\n".join(
        unified_diff(
            LISTING.read_text(encoding="utf-8").splitlines(), listing().splitlines(), LISTING.name, "package", n=0
        )
    )
    assert not changes, f"{changes}\nIf that is intended, write the file again: see the top of {__file__}"


def test_every_public_module_lists_its_public_names():
    for module in public_modules():
        assert {name for name in module.__all__ if not hasattr(module, name)} == set()
        assert not [name for name in module.__all__ if name.startswith("_")]


def test_importing_the_package_loads_no_library():
    code = "import sys, fastembed; print([m for m in ('numpy', 'scipy', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


if __name__ == "__main__":
    print(listing(), end="")
