"""The map of the package in CONTRIBUTING.md has the layers that `make lint` checks, and all folders are installed."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def layers():
    """Return the layers of the contract, highest first: names of modules, sorted within a layer."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = settings["contracts"]
    return [sorted(layer.split(" | ")) for layer in contract["layers"]]


def rows():
    """Return the rows of the map: the modules of the first cell, sorted, and the text of the second."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, heading, rest = text.partition("| layer | what is inside |\n|---|---|\n")
    assert heading
    cells = [line.strip("| ").split(" | ", 1) for line in rest.partition("\n\n")[0].splitlines()]
    return [(sorted(re.findall("`(.+?)`", names)), inside) for names, inside in cells]


def test_the_rows_of_the_map_are_the_layers_of_the_contract():
    assert [modules for modules, _ in rows()] == layers()


def test_every_module_of_the_package_has_a_row():
    found = {
        path.stem for path in (ROOT / "fastembed").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    named = {module for modules, _ in rows() for module in modules}
    assert found - {"__init__", "__main__"} == named


def test_every_file_that_the_map_names_exists():
    missing = [
        f"{' or '.join(modules)}/{name}"
        for modules, inside in rows()
        for name in re.findall(r"`(\w+\.p\w+)`", inside)
        if not any((ROOT / "fastembed" / module / name).is_file() for module in modules)
    ]
    assert missing == []


def test_every_file_of_a_concept_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"^\| .+ \| `(.+\.p\w+)` \|$", text.partition("| concept | file |")[2], re.MULTILINE)
    assert files
    assert [file for file in files if not (ROOT / "fastembed" / file).is_file()] == []


def test_every_function_on_the_way_of_a_fit_is_in_its_file():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    way = re.findall(r"^(\S+\.py) +(?:\w+\.)?(\w+)", text, re.MULTILINE)
    assert len(way) > 10
    for file, name in way:
        assert re.search(rf"def {name}\b", (ROOT / "fastembed" / file).read_text(encoding="utf-8")), (file, name)


def test_no_module_imports_a_private_name_of_another():
    modules = {module for names in layers() for module in names}
    found = [
        f"{path.relative_to(ROOT)}: {alias.name} of {node.module}"
        for path in (ROOT / "fastembed").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
        if alias.name.startswith("_") and alias.name not in modules
    ]
    assert found == []


def imported(path):
    """Return all modules and names that a module of the package imports from the package, wherever it does."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in nodes} | {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


def test_no_modules_import_each_other_in_a_circle():
    """Not even under TYPE_CHECKING, or within a function. An `__init__` only tells where public names are."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / "fastembed").rglob("*.py")
        if path.name != "__init__.py"
    }
    TopologicalSorter({module: imported(path) & paths.keys() for module, path in paths.items()}).prepare()
