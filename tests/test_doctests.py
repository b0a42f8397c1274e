"""The examples in the documentation of every module, compiled ones too."""

import doctest
import importlib
import pkgutil
import sys

import pytest

import fastembed
from fastembed._kernels import runnable_builds

EXTRAS = {"matplotlib", "torch", "gensim"}


def modules():
    names = ["fastembed"]
    names += [module.name for module in pkgutil.walk_packages(fastembed.__path__, "fastembed.")]
    builds = {name for name in names if name.startswith("fastembed._kernels.builds.")}
    runnable = {f"fastembed._kernels.builds.{build}" for build in runnable_builds()}
    # __main__ is the program itself; twins are those of kernels that only the tests need
    return ["twins"] + [name for name in names if name != "fastembed.__main__" and name not in builds - runnable]


def show(value):
    """Show a value, as `sys.__displayhook__` does, but keep nothing of it: Windows removes no file that is mapped."""
    if value is not None:
        print(repr(value))


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_docstrings_run(name, tmp_path, monkeypatch):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        pytest.skip(f"needs {error.name}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "__displayhook__", show)
    failed, _ = doctest.testmod(module)
    assert failed == 0


@pytest.mark.parametrize("name", [name for name in fastembed.__all__ if name[0].isupper()])
def test_public_classes_have_examples(name):
    tests = doctest.DocTestFinder(exclude_empty=True).find(getattr(fastembed, name), name)
    assert name in {test.name for test in tests if test.examples}
