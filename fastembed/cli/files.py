"""The commands about files of vectors: ``export`` and ``info``."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from fastembed import formats
from fastembed._versions import versions
from fastembed.cli import options, values
from fastembed.cli.output import print_json, print_line, print_written
from fastembed.formats.registry import check_output
from fastembed.formats.tensors import map_tensors

LONGEST = 80  # characters of a value; --json shows all


def export(arguments: argparse.Namespace) -> None:
    """Write vectors in another form, which the ending of OUTPUT names."""
    check_output(arguments.output, arguments.format)
    form = formats.format_of(arguments.output, arguments.format)
    read = formats.format_of(arguments.vectors, arguments.input_format).files(arguments.vectors)
    options.keep(arguments, read, form.files(arguments.output))
    vectors = options.open_vectors(arguments)
    vectors.save(arguments.output, form.name)
    words, dim = vectors.matrix.shape
    document = {"vectors": arguments.vectors, "format": form.name, "words": words, "dim": dim}
    print_written(arguments, f"{words:,} vectors of {dim} numbers, {form.description}", **document)


def info(arguments: argparse.Namespace) -> None:
    """Print what a file of this library holds, or what the installation runs on."""
    if arguments.file is None:
        options.refuse(arguments, ("input_format",), "no FILE is named")
    document: dict[str, Any] = (
        {**versions()} if arguments.file is None else _contents(arguments.file, arguments.input_format)
    )
    if print_json(arguments, **document):
        return
    if arguments.file is None:
        for name, value in document.items():
            print_line(f"{name:<10} {value}")
        return
    print_line(f"{arguments.file}: {document['bytes']:,} bytes")
    for name, value in sorted(document["metadata"].items()):
        inside = value.items() if isinstance(value, dict) else [("", value)]
        for key, entry in inside:
            print_line(f"  {f'{name} {key}'.rstrip():<30} {_line(entry)}")
    for tensor in document["tensors"]:
        print_line(f"  {tensor['name']:<30} {tensor['dtype']} {tuple(tensor['shape'])}")


def _contents(file: str, input_format: str | None) -> dict[str, Any]:
    """Return what the header of a safetensors file says, or what a file of vectors holds."""
    form = formats.format_of(file, input_format)
    if form.name == "safetensors":
        tensors, metadata = map_tensors(file)
    else:
        tensors, metadata = {"matrix": formats.load(file, form.name).matrix}, {"format": form.name}
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
    """Return the object or list that JSON stands for; any other text is itself."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


def _line(value: Any) -> str:
    """Return a value as one line, cut where it is too long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return textwrap.shorten(text, LONGEST, placeholder=" ...")


def add_export(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "export",
        export,
        example="fastembed export model.safetensors vectors.vec.gz",
        keys="output, vectors, format, words, dim",
    )
    options.add_vectors(command)
    command.add_argument("output", metavar="OUTPUT", type=values.output_name, help="the file to write")
    text = "the form of OUTPUT"
    options.add_option(
        command, "--format", text=text, default=None, shown="by OUTPUT's ending", choices=tuple(formats.FORMATS)
    )
    options.add_quiet(command)


def add_info(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "info",
        info,
        example="fastembed info model.safetensors",
        keys="file, bytes, metadata, tensors (a list of name, dtype, shape); without FILE: fastembed, build, python, "
        "numpy, scipy, blas, threads",
    )
    command.add_argument(
        "file", nargs="?", metavar="FILE", type=values.file_name, help="what to look at (default: the installation)"
    )
    options.add_input_format(command)
