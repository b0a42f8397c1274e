"""``fastembed evaluate``: scores of vectors on word similarity and analogies, and a model's perplexity."""

from __future__ import annotations

import argparse

from fastembed.cli import options, values
from fastembed.cli.arguments import fail, given, open_model, open_vectors, read_corpus, reject
from fastembed.cli.output import print_json, print_line
from fastembed.evaluation import Analogies, analogies, word_similarity


def run(arguments: argparse.Namespace) -> None:
    """Print how well vectors agree with people's judgements, or how well a model predicts a text.

    Give at least one of --similarity, --analogies and --perplexity. --perplexity needs a model that `train` wrote.
    """
    if not given(arguments, ("similarity", "analogies", "perplexity")):
        fail(arguments, "nothing to evaluate with: give --similarity, --analogies or --perplexity FILE")
    if not arguments.perplexity:
        reject(arguments, (*options.READING, "threads"), "text is read for --perplexity alone")
    if arguments.phrases == "auto":
        fail(arguments, "--phrases auto would find those of the text to evaluate: give the file that `train` was given")
    if not arguments.analogies:
        reject(arguments, ("method", "restrict"), "there are no --analogies")
    vectors = open_vectors(arguments)
    fold = not arguments.case_sensitive
    similar = [(file, word_similarity(vectors, file, case_insensitive=fold)) for file in arguments.similarity]
    choice = {"method": arguments.method, "restrict": arguments.restrict, "case_insensitive": fold}
    analogous = [(file, analogies(vectors, file, **choice)) for file in arguments.analogies]
    predicted = _perplexities(arguments)
    document = {
        "similarity": [{"file": file, **result.record()} for file, result in similar],
        "analogies": [{"file": file, "restrict": arguments.restrict, **result.record()} for file, result in analogous],
        "perplexity": [{"file": file, "perplexity": perplexity} for file, perplexity in predicted],
    }
    if print_json(arguments, vectors=arguments.vectors, **document):
        return
    for file, similarity in similar:
        print_line(f"{file}: {similarity.summary()}")
    for file, result in analogous:
        _print_sections(file, result)
    for file, perplexity in predicted:
        print_line(f"{file}: perplexity {perplexity:,.2f}")


def _perplexities(arguments: argparse.Namespace) -> list[tuple[str, float]]:
    """Return the perplexity of each text under the model."""
    if not arguments.perplexity:
        return []
    model = open_model(arguments, "--perplexity")
    texts = [(file, read_corpus(arguments, [file])) for file in arguments.perplexity]
    return [(file, model.perplexity(text)) for file, text in texts]


def _print_sections(file: str, result: Analogies) -> None:
    """Print the total of a file of analogies, and its sections."""
    print_line(f"{file}: {result.summary()}")
    for section in result.sections:
        print_line(f"  {section.name:<32}{section.summary()}")


def add_parser(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "evaluate",
        run,
        example="fastembed evaluate model.safetensors --similarity wordsim353.tsv",
        keys="vectors, similarity (a list of file, spearman, pairs, covered, unknown), analogies (a list of file, "
        "restrict, method, name, correct, covered, asked, accuracy, sections (a list of name, correct, covered, "
        "asked, accuracy)), perplexity (a list of file, perplexity)",
    )
    options.add_vectors(command)
    for name, text in (
        ("--similarity", "files with two words and a score per line"),
        ("--analogies", "files with four words per line, in sections that start with a line : NAME"),
        ("--perplexity", "text files, as for `train`"),
    ):
        options.add_option(
            command,
            name,
            text=text,
            default=[],
            shown="none",
            nargs="+",
            action="extend",
            metavar="FILE",
            type=values.file_name,
        )
    options.add_method(command)
    options.add_restrict(command)
    options.add_flag(command, "--case-sensitive", "distinguish words that differ only in case")
    options.add_reading(command)
    options.add_threads(command)
