"""The command line as a whole: exit codes, one line an error, quiet pipes, Ctrl-C, and what the help promises."""

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastembed import cli, demo
from fastembed.cli.parser import build_parser
from fastembed.cli.progress import Progress
from fastembed.skipgram import SkipGram
from fastembed.vectors import Vectors

COMMANDS = ("train", "count", "neighbors", "analogy", "evaluate", "export", "plot", "info", "demo")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes and signals")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "v.safetensors"
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]])
    Vectors(["man", "woman", "king", "queen"], matrix).save(path)
    return path


def run(capsys, *argv):
    """Return the exit code, stdout and stderr of a command line."""
    code = cli.main([str(argument) for argument in argv])
    return code, *capsys.readouterr()


def usage(capsys, *argv):
    """Return what a wrong command line says, after checking its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in argv])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return " ".join(err.split())


def python(*argv, **options):
    """Run ``python -m fastembed`` as a process of its own; -P keeps the current folder out of its path."""
    command = [sys.executable, "-P", "-m", "fastembed", *map(str, argv)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=120, **options)


def subparsers():
    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


# ------------------------------------------------------------------------------------------------ help and options


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
def test_the_example_is_a_right_command_line(command):
    """And it is one line of a terminal."""
    (example,) = re.findall(r"^example: fastembed (.*)", subparsers()[command].epilog)
    assert len(f"example: fastembed {example}") <= 78
    assert build_parser().parse_args(example.split()).run


def test_every_option_says_its_default():
    for name, command in subparsers().items():
        for action in command._actions:
            if action.option_strings and action.dest != "help":
                assert re.search(r"\(default: .+\)$", action.help), (name, action.option_strings)


def test_an_option_means_the_same_everywhere():
    """--method is the one whose choices are the command's own: analogies are solved by other methods than maps."""
    found = {}
    for command in subparsers().values():
        for action in command._actions:
            if action.option_strings and action.dest != "method":
                text = re.sub(r" \(default: .+\)$", "", action.help)
                read = getattr(action.type, "__qualname__", None)
                facts = (action.option_strings, action.dest, text, action.nargs, action.metavar, read, action.choices)
                assert found.setdefault(action.option_strings[-1], facts) == facts


def test_every_command_has_json_and_debug_and_every_writer_is_quiet():
    for command in subparsers().values():
        options = {option for action in command._actions for option in action.option_strings}
        assert {"--json", "--debug"} <= options
        writes = any(action.dest == "output" for action in command._actions)
        assert writes == ("--quiet" in options)


def test_train_takes_every_parameter_of_skipgram():
    destinations = {action.dest for action in subparsers()["train"]._actions}
    assert set(SkipGram().get_params()) <= destinations


def test_defaults_shown_are_those_of_skipgram():
    shown = {action.dest: action.help for action in subparsers()["train"]._actions}
    for name, value in SkipGram().get_params().items():
        text = {"None": "none", "True": "yes", "False": "no"}.get(str(value), value)
        if name != "threads":
            assert shown[name].endswith(f"(default: {text})")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice"),
        (["train"], "give a FILE to read"),
        (["train", ""], "a file name expected, got an empty text"),
        (["train", "f", "-o", ""], "argument -o/--output: a file name expected, got an empty text"),
        (["train", "f", "-o", "folder/"], "a file name expected, got the folder 'folder/'"),
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
        (["count", "f", "--window", "0,0"], "an integer or two, as 0,1, expected, got '0,0'"),
        (["count", "f", "--window", "\u0663,1"], "an integer or two, as 0,1, expected, got '\u0663,1'"),
        (["count", "f", "--memory-limit", "much"], "a size of at least 1M, such as 800M or 4G, expected, got 'much'"),
        (["count", "f", "--memory-limit", "1K"], "a size of at least 1M, such as 800M or 4G, expected, got '1K'"),
        (["count", "f", "--token-pattern", "("], "'(' is no regular expression"),
        (["count", "f", "--token-pattern", "(a)(b)"], "has 2 groups"),
        (["count", "f", "--token-pattern", "[a-z]*"], "'[a-z]*' matches the empty text"),
        (["count", "f", "--max-size", "0"], "\"none\" or an integer of at least 1 expected, got '0'"),
        (["neighbors", "v"], "WORD"),
        (["neighbors", "v", "w", "-n", "0"], "an integer of at least 1 expected, got '0'"),
        (["neighbors", "v", "w", "--top", "3"], "unrecognized arguments: --top 3"),
        (["analogy", "v", "a", "b"], "C"),
        (["evaluate"], "VECTORS"),
        (["evaluate", "v"], "nothing to evaluate with: give --similarity, --analogies or --perplexity FILE"),
        (["evaluate", "v", "--similarity"], "expected at least one argument"),
        (["evaluate", "v", "--method", "cosadd"], "invalid choice: 'cosadd'"),
        (["export", "v"], "OUTPUT"),
        (["export", "v", "o", "--format", "word"], "invalid choice: 'word'"),
    ],
)
def test_wrong_usage_exits_with_two(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in usage(capsys, *argv)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A text, and its model and counts, in the current folder; the demo is of a small library."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("the cat sat on the mat\nthe dog sat on the cat\n" * 20, encoding="utf-8")
    (tmp_path / "pairs").write_text("cat dog 5\ncat mat 2\n", encoding="utf-8")
    model = SkipGram(dim=3, min_count=1).fit("text")
    model.save("model.safetensors")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "a.py").write_text('"""' + "bind the socket, take the lock; " * 9 + '"""', encoding="utf-8")
    small = demo.standard_library(tmp_path / "library")
    monkeypatch.setattr(demo, "standard_library", lambda: small)
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
def test_json_has_the_keys_that_the_help_names(capsys, command, case):
    """stdout is one JSON document, whether --quiet is given or not."""
    argv = command.split()
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")
    keys = re.sub(r"\s+", " ", subparsers()[argv[0]].epilog.partition("with the keys: ")[2])
    while "(" in keys:
        keys = re.sub(r" \([^()]*\)", "", keys)
    documented = keys.split("; ")[case].split(": ")[-1].split(", ")
    assert sorted(json.loads(out)) == sorted(documented)


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("command", ["train", "count", "neighbors", "evaluate", "export", "plot", "info"])
def test_a_missing_file_is_one_line(capsys, tmp_path, command):
    more = {
        "train": ["-o", tmp_path / "o"],
        "count": ["-o", tmp_path / "o"],
        "neighbors": ["king"],
        "evaluate": ["--similarity", tmp_path / "absent"],
        "export": [tmp_path / "o.vec"],
        "plot": ["-o", tmp_path / "o.png", "--history"],
        "info": [],
    }[command]
    code, out, err = run(capsys, command, tmp_path / "absent.txt", *more)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: .*absent\.txt.*\n", err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "count", "export", "plot"])
def test_a_missing_output_folder_is_found_before_anything_is_read(capsys, tmp_path, command):
    output = tmp_path / "nowhere" / "v"
    code, out, err = run(capsys, command, tmp_path / "absent", *([] if command == "export" else ["-o"]), output)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: cannot write '.*v': the folder '.*nowhere' does not exist\n", err)


def test_an_unknown_word_is_one_line_with_the_closest_spellings(capsys, saved):
    code, out, err = run(capsys, "neighbors", saved, "king", "quen")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"fastembed: error: 'quen' is not among the 4 tokens.* 'queen'.*\n", err)


def test_debug_shows_the_traceback(capsys, saved):
    code, _, err = run(capsys, "neighbors", saved, "quen", "--debug")
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("fastembed: error: 'quen'")


def test_runs_as_a_module_and_gives_its_exit_code(saved):
    done = python("neighbors", saved, "king", "-n", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["king", "man", "0.7071"]
    assert python("neighbors", saved, "quen").returncode == 1
    assert python("neighbors").returncode == 2


# ------------------------------------------------------------------------------------------------ stdout


@posix
@pytest.mark.parametrize("count", [1, 4000])
def test_a_closed_pipe_is_quiet(tmp_path, count):
    path = tmp_path / "many.safetensors"
    Vectors([f"w{i}" for i in range(5000)], np.eye(5000, 2, dtype=np.float32)).save(path)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 - a descriptor
        command = [sys.executable, "-P", "-m", "fastembed", "neighbors", str(path), "w1", "-n", str(count)]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (1, "")


@posix
def test_a_closed_pipe_of_help_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 - a descriptor
        command = [sys.executable, "-P", "-m", "fastembed", "--help"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_one_line(saved):
    command = f"{sys.executable} -P -m fastembed neighbors {saved} king > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"fastembed: error: .*No space left on device\n", done.stderr)


@posix
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_standard_streams(saved, streams):
    command = f"{sys.executable} -P -m fastembed neighbors {saved} king -n 1 {streams}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", timeout=120, check=False)
    expected = "king\n  man                       0.7071\n" if streams == "2>&-" else ""
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@posix
def test_an_error_without_stderr_does_not_go_to_stdout(saved):
    command = f"{sys.executable} -P -m fastembed neighbors {saved} quen 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_words_that_the_terminal_cannot_show(tmp_path):
    path = tmp_path / "v.safetensors"
    Vectors(["a", "日本"], np.eye(2)).save(path)
    done = python("neighbors", path, "a", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u65e5\u672c" in done.stdout
    done = python("neighbors", path, "a", "--json", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert json.loads(done.stdout)["queries"][0]["neighbors"][0]["word"] == "日本"


# ------------------------------------------------------------------------------------------------ Ctrl-C

AT_IMPORT = """
import os, runpy, signal, sys

module = sys.argv.pop(1)

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
runpy.run_module("fastembed", run_name="__main__")
"""

INTERRUPTED_IMPORT = """
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("a broken installation")
"""


@posix
@pytest.mark.parametrize("module", ["numpy", "scipy", "tqdm", "fastembed._kernels.cooccur", "fastembed.cli.training"])
def test_ctrl_c_during_imports_is_one_line(module):
    command = [sys.executable, "-P", "-c", AT_IMPORT, module, "info"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fastembed: interrupted\n")


@posix
def test_ctrl_c_that_an_import_makes_another_error_of_is_still_one():
    """NumPy's import does so: it says that the installation is broken."""
    code = AT_IMPORT.replace("os.kill(os.getpid(), signal.SIGINT)", INTERRUPTED_IMPORT)
    command = [sys.executable, "-P", "-c", code, "numpy", "info"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fastembed: interrupted\n")


def test_nothing_is_imported_before_the_command_line_is_in_charge():
    code = (
        "import sys, fastembed.cli; print([m for m in ('numpy', 'scipy', 'safetensors', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@posix
def test_ctrl_c_while_reading_is_one_line(tmp_path):
    command = [sys.executable, "-P", "-m", "fastembed", "train", "-", "-o", str(tmp_path / "v"), "--min-count", "1"]
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += f"import os; os.execv({sys.executable!r}, {command!r})"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"some words\n" * (1 << 16))  # more than a pipe holds: it is reading
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, b"")
    assert re.fullmatch(rb"fastembed: interrupted after [\d,]+ bytes of standard input\n", err)
    assert not (tmp_path / "v").exists()


# ------------------------------------------------------------------------------------------------ progress


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self):
        return True


RECORD = {"epoch": 1, "nll": 2.0, "perplexity": 7.389, "learning_rate": 1.0, "seconds": 0.5}
LINE = "epoch  1 of 2   nll 2.0000   perplexity 7.4   0.5 s\n"


def report(**options):
    with Progress(epochs=2, **options) as progress:
        progress.reading(5, 10)
        progress.counting(3, None)
        progress.epoch(RECORD)


def test_bars_on_a_terminal_only(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    report(lines=True, bars=True)
    assert capsys.readouterr().out == LINE
    for stage in ("reading", "count", "epochs"):
        assert stage in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", json_terminal := Terminal())
    report(lines=False, bars=True)
    assert capsys.readouterr().out == ""
    assert "epochs" in json_terminal.getvalue()
    for bars, stream in ((False, Terminal()), (True, io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        report(lines=True, bars=bars)
        assert (capsys.readouterr().out, stream.getvalue()) == (LINE, "")


def test_the_line_of_an_epoch_with_lines_held_out(capsys):
    with Progress(lines=True, bars=False, epochs=12) as progress:
        progress.epoch(RECORD | {"epoch": 10, "validation_nll": 2.5})
    assert capsys.readouterr().out == LINE.replace(" 1 of 2", "10 of 12").replace(
        "0.5 s", "validation nll 2.5000   0.5 s"
    ).replace("7.4   v", "7.4   v")
