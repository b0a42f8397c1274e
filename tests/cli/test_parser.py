"""The parser: the help of every command, the keys of --json, and the messages for wrong usage."""

import argparse
import re
import shlex
from dataclasses import fields

import pytest

from fastembed import cli
from fastembed.corpus import Reading
from fastembed.skipgram import SkipGram


def subparsers():
    parser = cli.build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


COMMANDS = subparsers()


def options_of(command):
    return [action for action in command._actions if action.option_strings and action.dest != "help"]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_has_an_example_that_is_correct(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    (example,) = re.findall(rf"^example: fastembed ({command} .*)", text, re.MULTILINE)
    assert cli.build_parser().parse_args(example.split()).run


def test_an_option_says_its_default_and_means_the_same_in_every_command():
    """But for --method, since analogies are solved by other methods than maps, and for the --words of a picture."""
    found = {}
    for name, command in COMMANDS.items():
        for action in options_of(command):
            assert re.search(r"\(default: .+\)$", action.help), (name, action.option_strings)
            if action.dest not in ("method", "words"):
                text = re.sub(r" \(default: .+\)$", "", action.help)
                facts = (action.option_strings, action.dest, text, action.nargs, action.metavar, action.choices)
                assert found.setdefault(action.option_strings[-1], facts) == facts


def test_commands_that_write_are_quiet_and_commands_that_answer_print_json():
    answers = {"neighbors", "analogy", "predict", "evaluate", "compare", "test", "recommend", "info"}
    for name, command in COMMANDS.items():
        options = {option for action in command._actions for option in action.option_strings}
        assert ("--json" in options, "--quiet" in options) == (name in answers, name not in answers)


def test_train_takes_every_parameter_of_skipgram_and_shows_its_default():
    shown = {action.dest: action.help for action in COMMANDS["train"]._actions}
    assert {field.name for field in fields(Reading)} - {"tokenizer"} <= set(shown)
    for name, value in SkipGram().get_params().items():
        text = {"None": "none", "True": "yes", "False": "no"}.get(str(value), value)
        if name not in ("threads", "reading"):
            assert shown[name].endswith(f"(default: {text})")


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("", "COMMAND"),
        ("training", "'training'"),
        ("train f --epoch 3", "--epoch"),
        ("train f --dim 1.5", "--dim"),
        ("train f --subwords 6", "--subwords"),
        ("train f --max-contexts all", "--max-contexts"),
        ("count f --window 3,x", "--window"),
        ("count f --memory-limit 9X", "--memory-limit"),
        ("train", "FILE"),
        ("train f --counts c", "--counts"),
        ("train f --pairs --graph", "--graph"),
        ("train f --continue m --mpi", "--mpi"),
        ("export v", "OUTPUT"),
        ("evaluate v --held-out-items f --hidden all --given 2", "--given"),
        ("evaluate v", "--similarity"),
        ("trainn text", "did you mean train?"),
        ("train text --dmi 5", "did you mean --dim?"),
        ("train text --xyzzy", "unrecognized arguments: --xyzzy; see"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_two(capsys, command, word):
    with pytest.raises(SystemExit) as caught:
        cli.main(shlex.split(command))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), word in err) == ("", 1, True)


# In some, `model` is a model, `v` a file of vectors, and `text` a text
@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("train text --dim 0", "dim"),
        ("train text --validation-fraction 0.6 --early-stopping", "validation_fraction"),
        ("train text --digits drop", "digits"),
        ("train text --subwords 6-3", "subwords"),
        ("train text --continue model --dim 7", "dim"),
        ("train text -o v.vec", "v.vec"),
        ("train text --mpi", "comm"),
        ("plot v -o m.jpg", ".jpg"),
        ("plot v --history", "model"),
        ("neighbors v king --purpose relatedness", "model"),
        ("predict v king", "model"),
        ("evaluate v --perplexity text", "model"),
        ("phrases text --max-words 1", "max_words"),
    ],
)
def test_what_the_library_refuses_is_one_line_and_exits_with_one(run, workplace, command, word):
    if "--mpi" in command:
        pytest.importorskip("mpi4py")
    before = {file.name: file.read_bytes() for file in workplace.iterdir()}
    code, out, err = run(*command.split())
    assert (code, out, err.count("\n"), word in err) == (1, "", 1, True), err
    assert {file.name: file.read_bytes() for file in workplace.iterdir()} == before


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("command", "case"),
    [
        ("neighbors model cat", 0),
        ("analogy model cat dog mat", 0),
        ("predict model cat", 0),
        ("evaluate model --similarity pairs --perplexity text", 0),
        ("compare model model", 0),
        ("info model --input-format safetensors", 0),
        ("info", 1),
    ],
)
def test_json_has_the_keys_that_the_help_names(document, command, case):
    argv = command.split()
    keys = re.sub(r"\s+", " ", COMMANDS[argv[0]].epilog.partition("with the keys: ")[2])
    while "(" in keys:
        keys = re.sub(r" \([^()]*\)", "", keys)
    documented = keys.split("; ")[case].split(": ")[-1].split(", ")
    assert sorted(document(*argv)) == sorted(documented)


def test_sizes_may_be_written_with_the_letters_of_bytes():
    parser = cli.build_parser("count")
    for text, size in {"1500000000": 1500000000, "1500m": 1500000000, "1.5GB": 1500000000, "2K": 2000}.items():
        assert parser.parse_args(["count", "f", "--memory-limit", text]).memory_limit == size
