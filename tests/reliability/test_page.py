"""Every command of docs/reliability.md exists, with its arguments."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def rows():
    """Return the cells of each row of the first table."""
    _, heading, rest = PAGE.partition("| what is tried | promise | command | measured |\n|---|---|---|---|\n")
    assert heading
    return [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()]


def recipe(target):
    found = re.search(rf"^(?:.* )?{re.escape(target)}(?: .*)?:.*\n((?:\t.*\n|#.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found, f"the Makefile has no target {target!r}"
    return found[1]


def test_every_row_has_a_command_and_a_figure():
    assert len(rows()) >= 9
    for cells in rows():
        assert len(cells) == 4
        assert re.fullmatch(r"`make [^`]+`", cells[2])
        assert cells[3]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`make ([^`]+)`", PAGE))))
def test_every_command_of_the_page_exists(command):
    target, *values = command.split()
    used = recipe(target)
    for value in values:
        name = value.partition("=")[0]
        assert re.search(rf"^{name} \?=", MAKEFILE, re.MULTILINE), f"the Makefile does not know {name}"
        expanded = used.replace("$(FUZZ)", re.search(r"^FUZZ := (.*)$", MAKEFILE, re.MULTILINE)[1])
        assert f"$({name})" in expanded, f"{target} does not use {name}"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"tests/reliability/\w+\.py", MAKEFILE))))
def test_every_program_that_the_makefile_starts_exists(path):
    assert (ROOT / path).is_file()


def test_the_page_is_linked():
    assert "docs/reliability.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nreliability\n" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
