"""The commands that read text: ``train``, ``count`` and ``demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fastembed import demo, formats
from fastembed.cli import options, values
from fastembed.cli.output import print_json, print_written, scored_record
from fastembed.cli.progress import Progress
from fastembed.corpus.ledger import check_reread
from fastembed.corpus.readers import FileCorpus
from fastembed.counts.counts import Counts
from fastembed.skipgram.skipgram import SkipGram
from fastembed.vocabulary import Vocabulary

Job = tuple[SkipGram, Callable[..., SkipGram]]  # a model, and what trains it
MODEL_KEYS = "output, words, dim, contexts, parameters, estimate (flops, memory), history (a list of records), ledger"


def train(arguments: argparse.Namespace) -> None:
    """Learn vectors from text, or from what `count` wrote, and save the whole model.

    Every command that takes VECTORS opens such a file, and `train --continue` goes on training it, on new text.
    """
    _check_output(arguments)
    job = _on_counts if arguments.counts else _on_more_text if arguments.model else _on_text
    model, learn = job(arguments)
    with _progress(arguments, model) as progress:
        learn(progress=progress)
    model.save(arguments.output)
    vectors = f"{len(model.vocabulary):,} vectors of {model.vectors.matrix.shape[1]} numbers"
    print_written(arguments, vectors, model.ledger, **_record(model, progress))


def _on_text(arguments: argparse.Namespace) -> Job:
    options.refuse(arguments, ("validation_counts", "grow_vocabulary"), "a new model is learned from text")
    model = _model(arguments)
    return model, partial(model.fit, _text(arguments), memory_limit=arguments.memory_limit)


def _on_counts(arguments: argparse.Namespace) -> Job:
    counting = (*options.READING, *options.COUNTING, "memory_limit")
    names = ("files", "model", *counting, "validation_fraction", "grow_vocabulary")
    options.refuse(arguments, names, "--counts says what was counted and how")
    held_out = [arguments.validation_counts] if arguments.validation_counts else []
    options.keep(arguments, [arguments.counts, *held_out])
    model = _model(arguments)
    if model.early_stopping and not held_out:
        options.fail(arguments, "counts have no lines to hold out: --early-stopping needs --validation-counts, too")
    counts, *validation_counts = map(Counts.load, [arguments.counts, *held_out])
    return model, partial(model.fit_counts, counts, validation_counts=next(iter(validation_counts), None))


def _on_more_text(arguments: argparse.Namespace) -> Job:
    of_new_words = ("min_count", "max_size") if arguments.grow_vocabulary else ()
    names = ("dim", "validation_counts", *(name for name in options.COUNTING if name not in of_new_words))
    options.refuse(arguments, names, "--continue keeps what the model is and how it counts")
    model = SkipGram.load(arguments.model, threads=arguments.threads)
    model.set_params(**options.given(arguments, options.PARAMETERS))
    _check_stopping(arguments, model)
    choice = {"grow_vocabulary": arguments.grow_vocabulary, "memory_limit": arguments.memory_limit}
    return model, partial(model.partial_fit, _text(arguments), **choice)


def count(arguments: argparse.Namespace) -> None:
    """Count text, to be trained on later, many times if need be, by `train --counts`."""
    formats.writable(arguments.output)
    if arguments.baskets:
        options.refuse(arguments, ("window", "weighting", "sample", "directed"), "all pairs of a basket count")
    model = _model(arguments)
    text = _text(arguments)
    with _progress(arguments, model) as progress:
        if arguments.baskets:
            counts = _baskets(arguments, text, model, progress)
        else:
            counts = model.count(text, memory_limit=arguments.memory_limit, progress=progress)
    counts.save(arguments.output)
    ledger = counts.vocabulary.ledger if counts.vocabulary else None
    inputs, outputs = counts.shape
    what = f"{counts.nnz:,} counts of {inputs:,} tokens and {outputs:,} contexts"
    record = {"words": inputs, "contexts": outputs, "nnz": counts.nnz, "total": counts.total}
    print_written(arguments, what, ledger, **record, ledger=ledger and asdict(ledger))


def _baskets(arguments: argparse.Namespace, text: FileCorpus, model: SkipGram, progress: Progress) -> Counts:
    """Return the counts of baskets."""
    size, threads = model.max_size, model.threads
    vocabulary = Vocabulary.from_corpus(text, model.min_count, size, threads=threads, progress=progress.reading)
    counts = Counts.from_baskets(
        text,
        vocabulary,
        weighting=arguments.baskets,
        max_contexts=model.contexts(len(vocabulary)),
        threads=threads,
        memory_limit=arguments.memory_limit,
        progress=progress.counting,
    )
    if vocabulary.ledger and counts.ledger:
        check_reread(vocabulary.ledger, counts.ledger)
    return counts


def demonstrate(arguments: argparse.Namespace) -> None:
    """Learn vectors from the documentation inside this Python and show them."""
    _check_output(arguments)
    model = _model(arguments)
    quiet = arguments.quiet or arguments.json
    with _progress(arguments, model) as progress:
        demo.run(model, arguments.output, progress, quiet=quiet)
    vectors = model.vectors
    near = {word: scored_record(vectors.most_similar(word, topn=5)) for word in demo.WORDS if word in vectors}
    print_json(arguments, output=arguments.output, **_record(model, progress), neighbors=near)


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse the name of a file that a model cannot have, or that cannot be written."""
    if Path(arguments.output).suffix.lower() not in formats.FORMATS["safetensors"].suffixes:
        options.fail(arguments, f"a model is a .safetensors file, got {arguments.output!r}; `export` writes others")
    formats.writable(arguments.output)


def _model(arguments: argparse.Namespace) -> SkipGram:
    """Return the model that the options describe."""
    model = SkipGram(**options.given(arguments, options.PARAMETERS))
    _check_stopping(arguments, model)
    return model


def _check_stopping(arguments: argparse.Namespace, model: SkipGram) -> None:
    """Refuse what says how to stop early where that is not asked for."""
    if not model.early_stopping:
        names = ("validation_fraction", "n_iter_no_change")
        options.refuse(arguments, names, "nothing is held out without --early-stopping")


def _progress(arguments: argparse.Namespace, model: SkipGram) -> Progress:
    """Return what shows how far a command is."""
    return Progress(lines=not (arguments.quiet or arguments.json), bars=not arguments.quiet, epochs=model.epochs)


def _text(arguments: argparse.Namespace) -> FileCorpus:
    """Return the corpus that the options describe."""
    if not arguments.files:
        options.fail(arguments, "give a FILE to read, or - for standard input, or --counts FILE")
    text = options.read_text(arguments, arguments.files)
    options.keep(arguments, text.names)
    return text


def _record(model: SkipGram, progress: Progress) -> dict[str, Any]:
    """Return what is known of a model as JSON can hold it."""
    estimate = progress.estimate
    return {
        "words": len(model.vocabulary),
        "dim": model.vectors.matrix.shape[1],
        "contexts": model.max_contexts_,
        "parameters": model.get_params(),
        "estimate": estimate and {"flops": estimate.flops, "memory": estimate.memory},
        "history": model.history,
        "ledger": model.ledger and asdict(model.ledger),
    }


def add_train(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "train",
        train,
        example="fastembed train news.txt more.txt.gz -o news.safetensors --dim 200",
        keys=MODEL_KEYS,
    )
    options.add_output(command, "model.safetensors")
    source = command.add_argument_group("what to learn from")
    options.add_text(source, required=False)
    add_file = partial(options.add_option, source, default=None, shown="none", metavar="FILE", type=values.file_name)
    add_file("--counts", text="learn from what `count` wrote, instead of from text")
    add_file("--validation-counts", text="counts not trained on, whose likelihood is watched")
    add_file("--continue", dest="model", text="go on training a model that `train` wrote, on new text alone")
    options.add_flag(source, "--grow-vocabulary", "add the words of the new text that --continue does not know")
    options.add_memory_limit(source)
    _add_training(command)


def add_count(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands,
        "count",
        count,
        example="fastembed count news/*.txt.gz -o counts.safetensors --window 5",
        keys="output, words, contexts, nnz, total, ledger",
    )
    options.add_output(command, "counts.safetensors")
    options.add_text(command, required=True)
    text = "a line is a basket, all pairs of which count: each 1, or 1/(n - 1) in a basket of n"
    options.add_option(command, "--baskets", text=text, default=None, shown="windows", choices=("flat", "share"))
    options.add_counting(command)
    options.add_memory_limit(command)
    options.add_threads(command)
    options.add_quiet(command)


def add_demo(commands: options.Commands) -> None:
    """Add the command to the parser."""
    command = options.add_command(
        commands, "demo", demonstrate, example="fastembed demo -o demo.safetensors", keys=f"{MODEL_KEYS}, neighbors"
    )
    options.add_output(command, "model.safetensors")
    _add_training(command)


def _add_training(command: argparse.ArgumentParser) -> None:
    """Add the options of all commands that train."""
    options.add_counting(command.add_argument_group("how to count"))
    options.add_training(command.add_argument_group("how to train"))
    options.add_threads(command)
    options.add_quiet(command)
