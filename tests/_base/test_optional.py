"""Names that a package imports when they are asked for."""

import pytest

from fastembed._base.optional import lazy_names


def test_a_module_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    """Of an AttributeError alone Python makes a name that the package lacks."""
    package = tmp_path / "package_of_names"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "breaks.py").write_text("import math\n\nmath.nothing\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    get, _ = lazy_names(package.name, {"breaks": "Name"})
    with pytest.raises(ImportError, match=r"package_of_names.breaks cannot be imported: module 'math' has no"):
        get("Name")
