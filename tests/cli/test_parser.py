"""The parser: the help of every command, and the messages for wrong usage."""

import argparse
import json
import re
from dataclasses import fields

import pytest

from fastembed import cli
from fastembed.cli import build_parser
from fastembed.corpus import Reading
from fastembed.skipgram import SkipGram

COMMANDS = (
    "train",
    "count",
    "tokens",
    "phrases",
    "neighbors",
    "analogy",
    "predict",
    "evaluate",
    "train-classifier",
    "test",
    "explain",
    "compare",
    "export",
    "plot",
    "report",
    "info",
    "demo",
)


def subparsers():
    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


def test_all_commands_are_there():
    assert tuple(subparsers()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_keys_of_json(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"example: fastembed {command}" in text
    assert "--json prints one object with the keys: " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_each_command_is_correct_and_fits_one_line(command):
    """And it is one line of a terminal."""
    (example,) = re.findall(r"^example: fastembed (.*)", subparsers()[command].epilog)
    assert len(f"example: fastembed {example}") <= 78
    assert build_parser().parse_args(example.split()).run


def test_every_option_says_its_default():
    for name, command in subparsers().items():
        for action in command._actions:
            if action.option_strings and action.dest != "help":
                assert re.search(r"\(default: .+\)$", action.help), (name, action.option_strings)


def test_an_option_means_the_same_in_every_command():
    """But for --method, since analogies are solved by other methods than maps, and for the --words of a picture."""
    found = {}
    for command in subparsers().values():
        for action in command._actions:
            if action.option_strings and action.dest not in ("method", "words"):
                text = re.sub(r" \(default: .+\)$", "", action.help)
                read = getattr(action.type, "__qualname__", None)
                facts = (action.option_strings, action.dest, text, action.nargs, action.metavar, read, action.choices)
                assert found.setdefault(action.option_strings[-1], facts) == facts


def test_every_command_has_json_and_debug_and_every_writer_has_quiet():
    for command in subparsers().values():
        options = {option for action in command._actions for option in action.option_strings}
        assert {"--json", "--debug"} <= options
        writes = any(action.dest == "output" for action in command._actions)
        assert writes == ("--quiet" in options)


def test_train_takes_every_parameter_of_skipgram():
    destinations = {action.dest for action in subparsers()["train"]._actions}
    reading = {field.name for field in fields(Reading)} - {"tokenizer", "errors"} | {"replace_invalid"}
    assert set(SkipGram().get_params()) - {"reading"} | reading <= destinations


def test_defaults_shown_are_those_of_skipgram():
    shown = {action.dest: action.help for action in subparsers()["train"]._actions}
    for name, value in SkipGram().get_params().items():
        text = {"None": "none", "True": "yes", "False": "no"}.get(str(value), value)
        if name not in ("threads", "reading"):
            assert shown[name].endswith(f"(default: {text})")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice"),
        (["train"], "give a FILE to read"),
        (["train", ""], "a file name expected, got an empty string"),
        (["train", "f", "-o", ""], "argument -o/--output: a file name expected, got an empty string"),
        (["train", "f", "-o", "folder/"], "a file name expected, got the folder 'folder/'"),
        (["train", "f", "-o", "-"], "a file name expected, got '-': files are written whole, not to stdout"),
        (["export", "v", "-"], "a file name expected, got '-': files are written whole, not to stdout"),
        (["train-classifier", "f", "--chars", "6-3"], "two ascending integers of at least 1 expected, got '6-3'"),
        (["train", "f", "--dim", "1.5"], "an integer of at least 1 expected, got '1.5'"),
        (["train", "f", "--dim", "²"], "an integer of at least 1 expected, got '²'"),
        (["train", "f", "--seed", "-1"], "an integer of at least 0 expected, got '-1'"),
        (["train", "f", "--max-contexts", "all"], '"auto" or "none" or an integer of at least 1 expected, got \'all\''),
        (["train", "f", "--sample", "x"], "\"none\" or a number above 0 expected, got 'x'"),
        (["train", "f", "--sample", "0"], "\"none\" or a number above 0 expected, got '0'"),
        (["train", "f", "--sample", "nan"], "\"none\" or a number above 0 expected, got 'nan'"),
        (["train", "f", "--validation-fraction", "0.6"], "a number above 0 and at most 0.5 expected, got '0.6'"),
        (["train", "f", "--weighting", "square"], "invalid choice: 'square'"),
        (["count"], "FILE"),
        (["count", "f", "--window", "0,0"], "an integer, or two as in 0,1, expected, got '0,0'"),
        (["count", "f", "--window", "\u0663,1"], "an integer, or two as in 0,1, expected, got '\u0663,1'"),
        (["count", "f", "--memory-limit", "much"], "a size of at least 1M, such as 800M or 4G, expected, got 'much'"),
        (["count", "f", "--memory-limit", "1K"], "a size of at least 1M, such as 800M or 4G, expected, got '1K'"),
        (["count", "f", "--token-pattern", "("], "'(' is not a regular expression"),
        (["count", "f", "--token-pattern", "(a)(b)"], "has 2 groups"),
        (["count", "f", "--token-pattern", "[a-z]*"], "'[a-z]*' matches the empty string"),
        (["count", "f", "--max-size", "0"], "\"none\" or an integer of at least 1 expected, got '0'"),
        (["neighbors", "v"], "WORD"),
        (["neighbors", "v", "w", "-n", "0"], "an integer of at least 1 expected, got '0'"),
        (["neighbors", "v", "w", "--top", "3"], "unrecognized arguments: --top 3"),
        (["analogy", "v", "a", "b"], "C"),
        (["evaluate"], "VECTORS"),
        (
            ["evaluate", "v"],
            "nothing to evaluate with: give --similarity, --analogies, --perplexity or --held-out-items FILE",
        ),
        (["evaluate", "v", "--similarity"], "expected at least one argument"),
        (["evaluate", "v", "--method", "cosadd"], "invalid choice: 'cosadd'"),
        (["export", "v"], "OUTPUT"),
        (["export", "v", "o", "--format", "word"], "invalid choice: 'word'"),
    ],
)
def test_wrong_usage_exits_with_two(usage, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in usage(*argv)


@pytest.fixture
def trained(tmp_path, monkeypatch, model, small_library):
    """A text, its model and word pairs in the current folder, and no drawing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").write_text("cat dog 5\ncat mat 2\n", encoding="utf-8")
    for name in ("plot_map", "plot_history"):
        monkeypatch.setattr(f"fastembed.plotting.{name}", lambda *_, **__: None)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("command", "case"),
    [
        ("train text", 0),
        ("count text", 0),
        ("neighbors model.safetensors cat", 0),
        ("analogy model.safetensors cat dog mat", 0),
        ("evaluate model.safetensors --similarity pairs --perplexity text", 0),
        ("export model.safetensors v.vec", 0),
        ("plot model.safetensors", 0),
        ("plot model.safetensors --history", 1),
        ("info model.safetensors", 0),
        ("info", 1),
        ("demo", 0),
    ],
)
def test_json_has_the_keys_that_the_help_names(run, command, case):
    """stdout is one JSON document, whether --quiet is given or not."""
    argv = command.split()
    code, out, err = run(*argv, "--json")
    assert (code, err) == (0, "")
    keys = re.sub(r"\s+", " ", subparsers()[argv[0]].epilog.partition("with the keys: ")[2])
    while "(" in keys:
        keys = re.sub(r" \([^()]*\)", "", keys)
    documented = keys.split("; ")[case].split(": ")[-1].split(", ")
    assert sorted(json.loads(out)) == sorted(documented)
