"""``fastembed evaluate``: scores of vectors on word similarity and analogies, and of a model's predictions."""

from __future__ import annotations

import argparse

from fastembed.cli import options, values
from fastembed.cli.arguments import fail, given, open_model, open_vectors, read_corpus, reject
from fastembed.cli.output import print_json, print_line
from fastembed.counts import Counts
from fastembed.evaluation import Analogies, HeldOutItems, analogies, held_out_items, word_similarity


def run(arguments: argparse.Namespace) -> None:
    """Print how well vectors agree with people's judgements, or how well a model predicts a text.

    Give at least one of --similarity, --analogies, --perplexity and --held-out-items. The last two need a model that
    `train` wrote.
    """
    if not given(arguments, ("similarity", "analogies", "perplexity", "held_out_items")):
        fail(
            arguments, "nothing to evaluate with: give --similarity, --analogies, --perplexity or --held-out-items FILE"
        )
    if not arguments.perplexity and not arguments.held_out_items:
        reject(arguments, (*options.READING, "threads"), "text is read for --perplexity and --held-out-items alone")
    if not arguments.held_out_items:
        reject(arguments, ("given",), "there are no --held-out-items")
    if arguments.phrases == "auto":
        fail(
            arguments, "--phrases auto would find those of the text to evaluate; a model has those it was trained with"
        )
    if not (arguments.similarity or arguments.analogies):
        reject(arguments, ("compose",), "words are composed for --similarity and --analogies alone")
    if not arguments.analogies:
        reject(arguments, ("method", "restrict"), "there are no --analogies")
    vectors = open_vectors(arguments)
    fold = not arguments.case_sensitive
    words = {"case_insensitive": fold, "compose": arguments.compose}
    similar = [(file, word_similarity(vectors, file, **words)) for file in arguments.similarity]
    choice = {"method": arguments.method, "restrict": arguments.restrict}
    analogous = [(file, analogies(vectors, file, **choice, **words)) for file in arguments.analogies]
    predicted = _perplexities(arguments)
    hidden = _held_out_items(arguments)
    document = {
        "similarity": [{"file": file, **result.record()} for file, result in similar],
        "analogies": [{"file": file, "restrict": arguments.restrict, **result.record()} for file, result in analogous],
        "perplexity": [{"file": file, "perplexity": perplexity} for file, perplexity in predicted],
        "held_out_items": [{"file": file, "given": arguments.given, **score.record()} for file, score in hidden],
    }
    if print_json(arguments, vectors=arguments.vectors, **document):
        return
    for file, similarity in similar:
        print_line(f"{file}: {similarity.summary()}")
    for file, result in analogous:
        _print_sections(file, result)
    for file, perplexity in predicted:
        print_line(f"{file}: perplexity {perplexity:,.2f}")
    for file, score in hidden:
        print_line(f"{file}: {score.summary()}")


def _perplexities(arguments: argparse.Namespace) -> list[tuple[str, float]]:
    """Return the perplexity of each text under the model."""
    if not arguments.perplexity:
        return []
    model = open_model(arguments, "--perplexity")
    texts = [
        Counts.load(file) if file.lower().endswith(".safetensors") else read_corpus(arguments, [file], model.reading_)
        for file in arguments.perplexity
    ]
    return [(file, model.perplexity(text)) for file, text in zip(arguments.perplexity, texts, strict=True)]


def _held_out_items(arguments: argparse.Namespace) -> list[tuple[str, HeldOutItems]]:
    """Return the scores of the model on the baskets of each file."""
    if not arguments.held_out_items:
        return []
    model = open_model(arguments, "--held-out-items")
    files = [(file, read_corpus(arguments, [file], model.reading_)) for file in arguments.held_out_items]
    return [(file, held_out_items(model, baskets, given=arguments.given)) for file, baskets in files]


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
        keys="vectors, similarity (a list of file, spearman, pairs, covered, unknown, composed), analogies (a list of "
        "file, restrict, method, name, correct, covered, asked, composed, accuracy, sections (a list of name, correct, "
        "covered, asked, composed, accuracy)), perplexity (a list of file, perplexity), held_out_items (a list of "
        "file, given, nll, perplexity, precision, recall, topn, baskets, scored)",
    )
    options.add_vectors(command)
    for name, text in (
        ("--similarity", "files with two words and a score per line"),
        ("--analogies", "files with four words per line, in sections that start with a line : NAME"),
        ("--perplexity", "text or baskets as the model was trained on, or .safetensors files that `count` wrote"),
        ("--held-out-items", "files with a basket per line, items of which are hidden and predicted from the others"),
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
    text = "how many items of a basket are shown to --held-out-items"
    options.add_option(
        command, "--given", text=text, default=None, shown="all but one", type=values.positive, metavar="N"
    )
    options.add_method(command)
    options.add_restrict(command)
    options.add_flag(command, "--case-sensitive", "distinguish words that differ only in case")
    options.add_flag(command, "--compose", "compose vectors of unknown words of n-grams, where VECTORS hold any")
    options.add_reading(command)
    options.add_threads(command)
