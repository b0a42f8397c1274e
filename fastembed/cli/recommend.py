"""Items for users: ``fastembed train-recommender`` and ``recommend``, and ``evaluate`` by a recommender."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from fastembed._base.validation import number_of
from fastembed.cli import common, inputs
from fastembed.recommender import Recommender

PARAMETERS = {name: inputs.TRAINING[name] for name in ("dim", "epochs", "seed")}
FIELDS = ("user", "item", "weight")


def add_fields(to: common.Group) -> None:
    """Add the fields of pairs in structured files."""
    for name, text in (
        ("user", "the field of the users, in files with a user and an item per row: a name or a number"),
        ("item", "the field of the items"),
        ("weight", "the field of the weights"),
    ):
        common.add_option(to, f"--{name}", text, shown="none", metavar="NAME")


def fields_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that were given, and whether the first row is a header."""
    return {name: getattr(arguments, name) for name in FIELDS} | {"header": not arguments.no_header}


def add_train_recommender(commands: common.Commands) -> None:
    """Add the command to the parser."""
    example = "likes.csv --user who --item film"
    command = common.add_command(commands, "train-recommender", train_recommender, example=example)
    common.add_output(command, "recommender.safetensors")
    text = "files with a basket per line, its items between spaces, or commas in .csv with --no-header; or with a user "
    text += "and an item per row: .csv, .tsv, .jsonl, .parquet with --user and --item"
    command.add_argument("files", nargs="+", metavar="FILE", help=text)
    add_fields(command)
    common.add_no_header(command)
    common.add_parameters(command, Recommender, PARAMETERS, {"epochs": "by the size of the data"})
    common.add_threads(command)


def train_recommender(arguments: argparse.Namespace) -> None:
    """Learn who takes what, from baskets or from pairs of a user and an item.

    `recommend` answers with items for users or baskets, and `evaluate --held-out-items` says how good they are.
    """
    inputs.check_model_output(arguments)
    model = Recommender(**common.given(arguments, PARAMETERS), threads=arguments.threads)
    with common.showing(arguments) as progress:
        model.fit(inputs.paths_of(arguments.files), **fields_of(arguments), progress=progress)
    model.save(arguments.output)
    items, users = number_of(len(model.items_), "item"), number_of(len(model.users_), "user")
    what, last = f"a recommender of {items}, from {users}", model.history_[-1]
    if "found" in last:
        popular = f"{last['found_by_popularity']:.1%} among the ten most popular"
        what += f"; of the items hidden in training, {last['found']:.1%} are among the ten best, {popular}"
    common.print_written(arguments, what)


def add_recommend(commands: common.Commands) -> None:
    """Add the command to the parser."""
    keys = "model, answers (a list of user, or items, and recommended: a list of item, probability)"
    example = "films.safetensors m260 m858 -n 5"
    command = common.add_command(commands, "recommend", recommend, example=example, keys=keys)
    command.add_argument("model", metavar="MODEL", help="what `train-recommender` wrote")
    text = "an item of a basket; or - for standard input, with a basket per line"
    command.add_argument("items", nargs="*", default=[], metavar="ITEM", help=text)
    several = {"nargs": "+", "metavar": "NAME"}
    common.add_option(command, "--users", "users that the model knows, in place of a basket", [], "none", **several)
    common.add_topn(command, 10)
    common.add_left_out(command)
    text = "recommend only these items, of which those of the basket need --with-seen"
    common.add_option(command, "--among", text, shown="all", **several)
    common.add_flag(command, "--with-seen", "recommend also what is in the basket, or what the user has")
    common.add_threads(command)


def recommend(arguments: argparse.Namespace) -> None:
    """Print the most probable items for a basket of items, for many, or for users.

    The items given are one basket; baskets of standard input are answered when it ends: lines with their items between
    tabs, or without a tab between spaces. Without any item in a basket, the answer is what is popular. An item or user
    that the model does not know is an error; with --skip-unknown an item is left out, and a user is one without items.
    """
    if arguments.items and arguments.users:
        arguments.parser.error("give either ITEMs or --users")
    model = Recommender.load(arguments.model, threads=arguments.threads)
    names = set(map(str, model.items_.tolist()))
    lines = arguments.items == ["-"]
    baskets = [inputs.words_of(line, str, names) for line in inputs.stdin_lines()] if lines else [arguments.items]
    items = [names_like(model.items_, basket) for basket in baskets]
    users = names_like(model.users_, arguments.users) or None
    chosen = {name: names_like(model.items_, getattr(arguments, name) or ()) or None for name in ("exclude", "among")}
    how: dict[str, Any] = {"exclude_seen": not arguments.with_seen, "skip_unknown": arguments.skip_unknown, **chosen}
    lists = model.recommend(None if users else items, arguments.topn, users=users, **how)
    kind = "user" if arguments.users else "items"
    answers = [
        {kind: asked, "recommended": [{"item": item, "probability": p} for item, p in answer]}
        for asked, answer in zip(users or items, lists, strict=True)
    ]
    if common.print_json(arguments, model=arguments.model, answers=answers):
        return
    for answer in answers:
        asked = answer[kind]
        common.print_line(str(asked) if arguments.users else " ".join(map(str, asked)) or "(no items)")
        for record in answer["recommended"]:
            common.print_line(f"  {record['item']!s:<24}{record['probability']:8.4f}")


def names_like(known: Any, texts: Iterable[str]) -> list[Any]:
    """Return names of the command line as a model knows them: digits as int where its names are int."""
    digits = known.dtype.kind == "i"
    return [int(text) if digits and text.removeprefix("-").isdecimal() else text for text in texts]
