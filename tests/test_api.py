"""The public interface: every name and signature as in public_api.txt, so that a review sees a change of either.

Write the file anew, with the package installed: python tests/test_api.py > tests/public_api.txt
"""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from difflib import unified_diff
from functools import cached_property
from pathlib import Path

import fastembed

PROGRAMS_AND_TWINS = {"cli", "demo", "reference"}  # nobody imports them
LISTING = Path(__file__).with_name("public_api.txt")


def public_modules():
    """The modules of the package, without what is private."""
    names = [module.name for module in pkgutil.iter_modules(fastembed.__path__)]
    names = [name for name in names if not name.startswith("_") and name not in PROGRAMS_AND_TWINS]
    return [importlib.import_module(f"fastembed.{name}") for name in names]


def public_objects():
    """Each public class and function, once, by the name to import it by."""
    named = {f"fastembed.{name}": getattr(fastembed, name) for name in fastembed.__all__}
    for module in public_modules():
        for name, value in sorted(vars(module).items()):
            ours = str(getattr(value, "__module__", "")).startswith(module.__name__) and not name.startswith("_")
            if ours and (inspect.isclass(value) or inspect.isfunction(value)) and value not in named.values():
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
    """Lines that say how an object is used, and the public members of a class."""
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
    assert not changes, f"{changes}\nIf that is intended, write the file anew: see the top of {__file__}"


def test_the_listing_sees_a_changed_default(monkeypatch):
    def step(self, i, target=None, *, learning_rate=0.5):
        """Other than the one it stands for."""

    before = listing()
    monkeypatch.setattr(fastembed.Trainer, "step", step)
    changed = set(listing().splitlines()) ^ set(before.splitlines())
    assert len(changed) == 2
    assert any("learning_rate=0.5" in line for line in changed)


def test_all_is_complete_and_every_name_exists():
    """What the package imports at its first use is what it offers, and what it shows to who looks."""
    assert list(fastembed.__all__) == sorted(fastembed._MODULE_OF)
    assert all(getattr(fastembed, name).__name__ == name for name in fastembed.__all__)
    assert set(fastembed.__all__) <= set(dir(fastembed))


if __name__ == "__main__":
    print(listing(), end="")


FIRST_USE = """
import sys, threading
import fastembed

barrier, got = threading.Barrier(8), []

def use(names):
    barrier.wait()
    got.append({name: getattr(fastembed, name) for name in names})

names = fastembed.__all__ + ["evaluation", "formats", "windows"]
threads = [threading.Thread(target=use, args=(names[k:] + names[:k],)) for k in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(got) == 8 and all(found == got[0] for found in got)
"""


def test_names_may_be_used_first_by_many_threads_at_once():
    """Their modules are imported then."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", FIRST_USE],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
