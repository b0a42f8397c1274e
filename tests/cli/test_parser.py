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
        ("xyzzy", "there is no command 'xyzzy'; see fastembed --help"),
        ("train f --epoch 3", "--epoch"),
        ("train f --dim 1.5", "--dim: invalid int value: '1.5'; see fastembed train --help"),
        ("train --subwords f", "--subwords: invalid no or lengths value: 'f'; files and words come before options"),
        ("train f --max-contexts all", "--max-contexts: invalid auto or none or int value: 'all'"),
        ("train f --digits all", "--digits: invalid choice: 'all'"),
        ("count f --window 3,x", "--window: invalid window value: '3,x'"),
        ("plot --words a b file", "arguments are required: VECTORS; files and words come before options"),
        ("count f --memory-limit 9X", "--memory-limit: invalid size value: '9X'"),
        ("train", "FILE"),
        ("train f --counts c", "--counts"),
        ("train f --pairs --graph", "--graph"),
        ("train f --continue m --mpi", "--mpi and --continue exclude"),
        ("train f --mpi", "--mpi needs --counts"),
        ("train f --replay c", "--replay needs --continue"),
        ("train f --grow-vocabulary", "--grow-vocabulary needs --continue"),
        ("train f --tolerance 0.1", "--tolerance needs --graph"),
        ("train f --validation-fraction 0.1", "--validation-fraction needs --early-stopping"),
        ("train f --patience 3", "--patience needs --early-stopping"),
        ("train --graph f --patience 3", "--patience needs --early-stopping"),
        ("train --counts c --early-stopping --validation-fraction 0.1", "--validation-fraction says how text is read"),
        ("train f --continue m --max-contexts 9", "--max-contexts is not for --continue"),
        ("train --counts c --window 3", "--window says how text is counted"),
        ("train --counts c --words", "--words says how text is read"),
        ("train --graph f --field a", "--field says how text is read"),
        ("recommend m item --users user", "give either ITEMs or --users"),
        ("neighbors v", "WORD"),
        ("evaluate v --held-out-items f --hidden all --given 2", "--given"),
        ("evaluate v", "--similarity"),
        ("trainn text", "did you mean train?"),
        ("--json neighbors v a", "there is no command '--json'; options follow the command; see"),
        ("train text --dmi 5", "did you mean --dim?; see fastembed train --help"),
        ("train text --xyzzy", "unrecognized arguments: --xyzzy; see"),
        ("train text --dim 10 more", "unrecognized arguments: more; files and words come before options; see"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_two(capsys, command, word):
    with pytest.raises(SystemExit) as caught:
        cli.main(shlex.split(command))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), word in err) == ("", 1, True)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("predict model", "give WORDs, or -"),
        ("predict model cat --threshold 0.1", "--threshold needs a classifier"),
        ("train text --continue model -o m --patience 3", "--patience needs --early-stopping"),
        ("train text --continue model -o m --validation-fraction 0.1", "--validation-fraction needs --early-stopping"),
    ],
)
def test_an_option_that_a_model_does_not_use_is_wrong_usage(capsys, workplace, command, word):
    with pytest.raises(SystemExit) as caught:
        cli.main(command.split())
    assert caught.value.code == 2
    assert word in capsys.readouterr().err


# In some, `model` is a model, `v` a file of vectors, `text` a text, and `table.csv` a table with a damaged row
@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("train text --dim 0", "dim"),
        ("train text --validation-fraction 0.6 --early-stopping", "validation_fraction must"),
        ("train text --early-stopping --patience 0", "n_iter_no_change must be at least 1, got 0"),
        ("train text --keep-case", "keep_case"),
        ("train text --min-count 999", "below min_count=999\n"),
        ("train text --max-contexts 0", "max_contexts, if it is a number, must"),
        ("train table.csv", "'table.csv' has fields: name one by field or --field; CSV of lists"),
        ("train table.csv --field text --no-header", "the number of a field"),
        (
            "train table.csv --field text",
            "line 3: 3 fields instead of 2 (is a quote missing?); skip_bad=True or --skip-bad skips",
        ),
        ("train absent", "no such file: 'absent'\n"),
        ("train-recommender table.csv absent", "no such file: 'absent'\n"),
        ("train-recommender table.csv", "or --user and --item; CSV of baskets"),
        ("train-classifier table.csv --field text", "give both field and label, or neither\n"),
        ("train text --digits drop", "digits"),
        ("train text --subwords 6-3", "subwords"),
        ("train text --continue model --dim 7", "dim=7 is set, but the model has dim=3: keep"),
        ("train text -o v.vec", "v.vec"),
        ("plot v -o m.jpg", ".jpg"),
        ("plot v --history", "model"),
        ("predict v king", "model"),
        ("evaluate v --perplexity text", "model"),
        ("phrases text --max-words 1", "max_words"),
    ],
)
def test_what_the_library_refuses_is_one_line_and_exits_with_one(run, workplace, command, word):
    (workplace / "table.csv").write_text("id,text\n1,a b\n2,b,c\n", encoding="utf-8")
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
    for text, size in {
        "1500000000": 1500000000,
        "1500m": 1500000000,
        "1.5GB": 1500000000,
        "2K": 2000,
        "3MiB": 3 << 20,
        "1ki": 1024,
    }.items():
        assert parser.parse_args(["count", "f", "--memory-limit", text]).memory_limit == size
