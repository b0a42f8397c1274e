"""The parser: the help of every command, the keys of --json, and the messages for wrong usage."""

import argparse
import json
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
def test_help_has_an_example_that_is_correct_and_fits_one_line_and_the_keys_of_json(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")  # whatever the terminal of the tests has
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    (example,) = re.findall(rf"^example: fastembed ({command} .*)", text, re.MULTILINE)
    assert len(f"example: fastembed {example}") <= 78
    assert cli.build_parser().parse_args(example.split()).run
    assert "--json prints one object with the keys: " in " ".join(text.split())


def test_an_option_says_its_default_and_means_the_same_in_every_command():
    """But for --method, since analogies are solved by other methods than maps, and for the --words of a picture."""
    found = {}
    for name, command in COMMANDS.items():
        for action in options_of(command):
            assert re.search(r"\(default: .+\)$", action.help), (name, action.option_strings)
            if action.dest not in ("method", "words"):
                text = re.sub(r" \(default: .+\)$", "", action.help)
                read = getattr(action.type, "__qualname__", None)
                facts = (action.option_strings, action.dest, text, action.nargs, action.metavar, read, action.choices)
                assert found.setdefault(action.option_strings[-1], facts) == facts


def test_every_command_has_json_and_debug_and_every_writer_has_quiet():
    for command in COMMANDS.values():
        options = {option for action in command._actions for option in action.option_strings}
        assert {"--json", "--debug"} <= options
        writes = any(action.dest == "output" for action in command._actions)
        assert writes == ("--quiet" in options)


def test_train_takes_every_parameter_of_skipgram_and_shows_its_default():
    shown = {action.dest: action.help for action in COMMANDS["train"]._actions}
    reading = {field.name for field in fields(Reading)} - {"tokenizer", "errors"} | {"replace_invalid"}
    assert set(SkipGram().get_params()) - {"reading"} | reading <= set(shown)
    for name, value in SkipGram().get_params().items():
        text = {"None": "none", "True": "yes", "False": "no"}.get(str(value), value)
        if name not in ("threads", "reading"):
            assert shown[name].endswith(f"(default: {text})")


# In some, `model` is a model, `v` a file of vectors, `text` a text, and `listed` a list of phrases
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "required: COMMAND"),
        # values
        ("train ''", "a file name expected, got an empty string"),
        ("train f --subwords 6-3", "two ascending integers of at least 1, as in 3-6, expected, got '6-3'"),
        ("train f --dim 1.5", "an integer of at least 1 expected, got '1.5'"),
        ("train f --max-contexts all", '"auto" or "none" or an integer of at least 1 expected, got \'all\''),
        ("train f --validation-fraction 0.6", "a number above 0 and at most 0.5 expected, got '0.6'"),
        ("count f --window \u0663,1", "an integer, or two as in 0,1, expected, got '\u0663,1'"),
        ("count f --memory-limit 999KB", "a size from 1M to 1000000T, such as 800M or 4G, expected, got '999KB'"),
        # what is missing
        ("train", "give a FILE to read"),
        ("export v", "OUTPUT"),
        ("train --counts c --early-stopping", "--early-stopping also needs --validation-counts"),
        # options that exclude one another
        ("train f --continue m --dim 3 --no-directed", "so --dim, --directed cannot be given"),
        ("train f --continue m --keep-only listed", "keeps the shape of the model and how it counts, so --keep-only"),
        ("train f --continue m --checkpoint c", "so --checkpoint cannot be"),
        ("train f --json --json-lines", "choose one"),
        ("train --counts c --window 8 --lowercase", "so --lowercase, --window cannot be given"),
        ("train --counts c --continue m --grow-vocabulary --min-count 2 --drop english", "so --drop, --min-count"),
        ("train text --baskets share --sample none --window 3", "all pairs of a basket count, so --sample, --window"),
        ("train text --graph --sample none --words", "from the edges of a graph, so --sample, --words cannot be given"),
        ("train --graph --counts c", "from the edges of a graph, so --counts cannot be given"),
        ("train f --weight", "weights are those of --pairs"),
        ("train f --pairs --graph", "give either --graph"),
        ("train f --pairs --tolerance 0", "counts are dropped of walks on a --graph alone"),
        ("train --graph", "give a FILE of edges to read"),
        ("train text --graph --window 1,2", "--window is one number with --graph"),
        ("train text --digits drop", "only --words changes case and numbers, so --digits cannot be given as well"),
        ("tokens text --top 5 --head 5", "--top counts the tokens of the whole text, so --head cannot be given"),
        ("neighbors v.txt king --purpose relatedness --input-format glove", "so --input-format cannot be given"),
        ("predict model cat --threshold 0.5", "only a classifier answers with labels, so --threshold"),
        ("evaluate v --analogies f --phrases p", "text is read for --perplexity and"),
        ("recommend m a --users b", "give either a basket of ITEMs or --users"),
        ("evaluate v --held-out-items f --hidden all --given 2", "--hidden all says how many items are hidden, so"),
        ("evaluate v --perplexity t --phrases auto", "--phrases auto would find those of the text to evaluate"),
        ("train-classifier f --learning-rate 0.1", "only --loss softmax has a learning rate"),
        ("plot v --history --words a --method umap -o p.png", "so --method, --words cannot"),
        # outputs
        ("train f -o v.vec", "a model is a .safetensors file, got 'v.vec'; `export` writes vectors in other formats"),
        ("train text -o text", "would overwrite the input"),
        ("train text --continue model --replay c -o c", "would overwrite the input"),
        ("train-classifier f -o p --loss softmax --dim 2 --pretrained p", "would overwrite the input"),
    ],
)
def test_wrong_usage_exits_with_two(usage, workplace, command, message):
    before = {file.name: file.read_bytes() for file in workplace.iterdir()}
    assert message in usage(*shlex.split(command))
    assert {file.name: file.read_bytes() for file in workplace.iterdir()} == before


def test_wrong_usage_is_one_line_and_names_the_option_that_may_be_meant(usage, workplace):
    assert usage("train", "text", "--epoch", 1, "--size=8") == (
        "fastembed train: error: unrecognized arguments: --epoch 1 --size=8: did you mean --epochs, --dim?;"
        " see fastembed train --help"
    )
    assert usage("training").startswith("fastembed: error: argument COMMAND: invalid choice: 'training'")


@pytest.mark.parametrize("command", ["train", "count"])
def test_files_of_folders_and_patterns_are_not_overwritten(usage, tmp_path, corpus, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "text").write_bytes(corpus.read_bytes())
    for source in ("folder", "folder/text", "./folder/../folder/t*"):
        assert "would overwrite the input" in usage(command, source, "-o", tmp_path / "folder" / "text")
    assert (tmp_path / "folder" / "text").read_bytes() == corpus.read_bytes()


@pytest.mark.usefixtures("workplace", "small_library")
@pytest.mark.parametrize(
    ("command", "case"),
    [
        ("train text", 0),
        ("count text", 0),
        ("tokens text", 0),
        ("tokens text --top 3", 1),
        ("phrases text", 0),
        ("neighbors model cat", 0),
        ("analogy model cat dog mat", 0),
        ("predict model cat", 0),
        ("evaluate model --similarity pairs --perplexity text", 0),
        ("export model v.vec", 0),
        ("compare model model", 0),
        ("plot model", 0),
        ("plot model --history", 1),
        ("info model --input-format safetensors", 0),
        ("info", 1),
        ("demo", 0),
    ],
)
def test_json_has_the_keys_that_the_help_names(run, monkeypatch, command, case):
    """stdout is one JSON document, whether --quiet is given or not."""
    for name in ("plot_map", "plot_history"):
        monkeypatch.setattr(f"fastembed.plotting.{name}", lambda *_, **__: None)
    argv = command.split()
    code, out, err = run(*argv, "--json")
    assert (code, err) == (0, "")
    keys = re.sub(r"\s+", " ", COMMANDS[argv[0]].epilog.partition("with the keys: ")[2])
    while "(" in keys:
        keys = re.sub(r" \([^()]*\)", "", keys)
    documented = keys.split("; ")[case].split(": ")[-1].split(", ")
    assert sorted(json.loads(out)) == sorted(documented)


def test_sizes_may_be_written_with_the_letters_of_bytes():
    sizes = {"1500000000": 1500000000, "1500m": 1500000000, "1.5GB": 1500000000, "2 GiB": 2**31}
    parser = cli.build_parser("count")
    for text, size in sizes.items():
        assert parser.parse_args(["count", "f", "-o", "c", "--memory-limit", text]).memory_limit == size
