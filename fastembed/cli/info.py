"""``fastembed info``: the contents of a file, or the facts of the installation."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from fastembed._versions import versions
from fastembed.cli import options, values
from fastembed.cli.arguments import reject
from fastembed.cli.output import print_json, print_line
from fastembed.formats.registry import format_of, load
from fastembed.formats.tensors import map_tensors

LONGEST = 80  # characters of a value that are shown; --json has all


def run(arguments: argparse.Namespace) -> None:
    """Print the contents of a file of vectors, counts or a model, or the versions that the installation runs on."""
    if arguments.file is None:
        reject(arguments, ("input_format",), "no FILE is named")
        _print_versions(arguments)
    else:
        _print_contents(arguments)


def _print_versions(arguments: argparse.Namespace) -> None:
    found = versions()
    if not print_json(arguments, **found):
        for name, value in found.items():
            print_line(f"{name:<10} {value}")


def _print_contents(arguments: argparse.Namespace) -> None:
    document = _contents(arguments.file, arguments.input_format)
    if print_json(arguments, **document):
        return
    print_line(f"{arguments.file}: {document['bytes']:,} bytes")
    for name, value in sorted(document["metadata"].items()):
        inside = value.items() if isinstance(value, dict) else [("", value)]
        for key, entry in inside:
            print_line(f"  {f'{name} {key}'.rstrip():<30} {_line(entry)}")
    for tensor in document["tensors"]:
        print_line(f"  {tensor['name']:<30} {tensor['dtype']} {tuple(tensor['shape'])}")


def _contents(file: str, input_format: str | None) -> dict[str, Any]:
    """Return the header of a safetensors file, or the shape of what a file of vectors in another format holds."""
    form = format_of(file, input_format)
    if form.name == "safetensors":
        tensors, metadata = map_tensors(file)
    else:
        tensors, metadata = {"matrix": load(file, form.name).matrix}, {"format": form.name}
    return {
        "file": file,
        "bytes": Path(file).stat().st_size,
        "metadata": {name: _decoded(value) for name, value in metadata.items()},
        "tensors": [
            {"name": name, "dtype": str(tensor.dtype), "shape": tensor.shape}
            for name, tensor in sorted(tensors.items())
        ],
    }


def _decoded(text: str) -> Any:
    """Return the object or list that JSON text stands for, and any other text as it is."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


def _line(value: Any) -> str:
    """Return a value as one line, cut if it is too long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return textwrap.shorten(text, LONGEST, placeholder=" ...")


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "info",
        run,
        example="fastembed info model.safetensors",
        keys="file, bytes, metadata, tensors (a list of name, dtype, shape); without FILE: fastembed, build, caches, "
        "python, unicode, numpy, scipy, blas, threads",
    )
    command.add_argument(
        "file", nargs="?", metavar="FILE", type=values.file_name, help="the file to look at (default: the installation)"
    )
    options.add_input_format(command)
