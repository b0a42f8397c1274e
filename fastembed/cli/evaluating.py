"""The command that judges vectors: ``evaluate``."""

from __future__ import annotations

import argparse

from fastembed.cli import options, values
from fastembed.cli.output import print_json, print_line
from fastembed.cli.queries import add_method
from fastembed.evaluation import Analogies, analogies, word_similarity


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well vectors agree with what people say, or predict a text.

    At least one of --similarity, --analogies and --perplexity says by what. Perplexity needs a whole model, which
    `train` writes.
    """
    asked = options.given(arguments, ("similarity", "analogies", "perplexity"))
    if not asked:
        options.fail(arguments, "nothing to evaluate with: give --similarity, --analogies or --perplexity FILE")
    if not arguments.perplexity:
        options.refuse(arguments, (*options.READING, "threads"), "text is read for --perplexity alone")
    if not arguments.analogies:
        options.refuse(arguments, ("method", "restrict"), "there are no --analogies")
    vectors = options.open_vectors(arguments)
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
    """Return how well the model predicts each text."""
    if not arguments.perplexity:
        return []
    model = options.open_model(arguments, "--perplexity")
    texts = [(file, options.read_text(arguments, [file])) for file in arguments.perplexity]
    return [(file, model.perplexity(text)) for file, text in texts]


def _print_sections(file: str, result: Analogies) -> None:
    """Print the total of a file of analogies, and its sections."""
    print_line(f"{file}: {result.summary()}")
    for section in result.sections:
        print_line(f"  {section.name:<32}{section.summary()}")


def add_evaluate(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "evaluate",
        evaluate,
        example="fastembed evaluate model.safetensors --similarity wordsim353.tsv",
        keys="vectors, similarity (a list of file, spearman, pairs, covered, unknown), analogies (a list of file, "
        "restrict, method, name, correct, covered, asked, accuracy, sections (a list of name, correct, covered, "
        "asked, accuracy)), perplexity (a list of file, perplexity)",
    )
    options.add_vectors(command)
    for name, text in (
        ("--similarity", "files with lines of two words and a score"),
        ("--analogies", "files with lines of four words, in sections that a line with : opens"),
        ("--perplexity", "files of text, as for `train`"),
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
    add_method(command)
    options.add_restrict(command)
    options.add_flag(command, "--case-sensitive", "take words that differ in case alone for different ones")
    options.add_reading(command)
    options.add_threads(command)
