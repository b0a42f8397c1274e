"""Files of vectors and models: ``fastembed info`` and ``fastembed export``."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from fastembed._base.validation import without_password
from fastembed._versions import show_versions, versions
from fastembed.cli import common
from fastembed.cli.inputs import add_input_format, add_vectors, open_vectors
from fastembed.corpus.sources import is_url
from fastembed.formats.registry import FORMATS, check_output, format_of, format_of_file
from fastembed.formats.tensors import map_tensors
from fastembed.vectors.vectors import Vectors, composer_behind

LONGEST = 80  # characters of a value that are shown; --json has all


def add_info(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "file, bytes, metadata, tensors (a list of name, dtype, shape); without FILE: fastembed, build, caches, "
    keys += "python, unicode, numpy, scipy, blas, threads"
    command = common.add_command(commands, "info", info, example="model.safetensors", keys=keys)
    text = "the file, or the folder of counts, to look at (default: the installation)"
    command.add_argument("file", nargs="?", metavar="FILE", help=text)
    add_input_format(command)


def info(arguments: argparse.Namespace) -> None:
    """Print what a file or a folder of counts holds, or the versions that the installation runs on.

    The settings of a model are its parameters. A graph, or counts that it was trained on, were counted by others:
    windows_ and what was read (ledger) say how.
    """
    file = arguments.file
    if file is None:
        if not common.print_json(arguments, **versions()):
            show_versions()
        return
    if is_url(file) or Path(file).is_dir():
        from fastembed.counts.store import open_folder, read_manifest

        folder = open_folder(file)
        arrays, header = read_manifest(folder)
        file, size = without_password(file), sum(map(folder.size, folder.names() or ()))
    elif (form := format_of_file(file, arguments.input_format)).name == "safetensors":
        (arrays, header), size = map_tensors(file), Path(file).stat().st_size
    else:
        arrays, header = {"matrix": Vectors.load(file, form.name).matrix}, {"format": form.name}
        size = Path(file).stat().st_size
    metadata = {name: json.loads(text) if text[:1] in ("{", "[") else text for name, text in header.items()}
    tensors = [
        {"name": name, "dtype": str(array.dtype), "shape": array.shape} for name, array in sorted(arrays.items())
    ]
    if common.print_json(arguments, file=file, bytes=size, metadata=metadata, tensors=tensors):
        return
    common.print_line(f"{file}: {size:,} bytes")
    for name, value in sorted(metadata.items()):
        for key, entry in value.items() if isinstance(value, dict) else [("", value)]:
            text = entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
            shown = textwrap.shorten(text, LONGEST, placeholder=" ...")
            common.print_line(f"  {f'{name} {key}'.rstrip():<30} {shown}")
    for tensor in tensors:
        common.print_line(f"  {tensor['name']:<30} {tensor['dtype']} {tensor['shape']}")


def add_export(commands: common.Commands) -> None:
    """Add the command to the parser."""
    command = common.add_command(commands, "export", export, example="model.safetensors vectors.vec.gz")
    add_vectors(command)
    command.add_argument("output", metavar="OUTPUT", help="the file to write")
    writable = tuple(name for name, form in FORMATS.items() if form.write)
    common.add_option(command, "--format", "the format of OUTPUT", shown="by OUTPUT's suffix", choices=writable)
    common.add_quiet(command)


def export(arguments: argparse.Namespace) -> None:
    """Write vectors in another format, which the suffix of OUTPUT names.

    Character n-grams are written as .safetensors alone; other formats get the words, which the answer says.
    """
    check_output(arguments.output, arguments.format)
    form = format_of(arguments.output, arguments.format)
    vectors = open_vectors(arguments)
    vectors.save(arguments.output, form.name, progress=common.shows_bars(arguments))
    (words, dim), composer = vectors.matrix.shape, composer_behind(vectors)
    alone = "" if form.ngrams or composer is None else f", without the {composer}"
    common.print_written(arguments, f"{words:,} vectors of dimension {dim}{alone}, {form.description}")
