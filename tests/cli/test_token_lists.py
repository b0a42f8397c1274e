"""The options --drop and --keep-only."""

import subprocess
import sys

import pytest

from fastembed.counts import Counts
from fastembed.skipgram import SkipGram


@pytest.fixture
def listed(tmp_path):
    """A file of three words, one of which occurs nowhere."""
    path = tmp_path / "listed"
    path.write_text("the\ncat\nzebra\n", encoding="utf-8")
    return path


def test_words_are_dropped_or_kept_by_every_command_that_counts(run, document, tmp_path, text, listed):
    small = ("--min-count", 1, "--dim", 2, "--epochs", 1)
    model, counts = tmp_path / "m.safetensors", tmp_path / "c.safetensors"
    found = document("train", text, "-o", model, "--drop", listed, *small)
    assert found["ledger"]["dropped"]["listed in drop"] == 120
    assert found["parameters"]["drop"] == ["the", "cat", "zebra"]
    assert sorted(SkipGram.load(model).vectors.tokens) == ["dog", "mat", "on", "sat"]
    assert document("train", text, "-o", model, "--drop", "english", *small)["words"] == 4
    for more in ((), ("--baskets", "flat")):
        assert document("count", text, "-o", counts, "--drop", listed, "--min-count", 1, *more)["words"] == 4
        assert sorted(Counts.load(counts).vocabulary) == ["dog", "mat", "on", "sat"]
    kept = tmp_path / "kept"
    kept.write_text("dog\ncat\nsat\n", encoding="utf-8")
    more = ("--continue", model, "--grow-vocabulary", "--keep-only", kept, "--drop", listed, "--epochs", 1)
    found = document("train", text, "-o", model, *more)
    assert found["parameters"]["keep_only"] == ["dog", "cat", "sat"]
    assert found["words"] == 4  # the vocabulary of the model stays


def test_words_to_keep_that_do_not_occur_are_named_in_one_line(tmp_path, text, listed):
    command = [sys.executable, "-P", "-m", "fastembed", "count", str(text), "-o", str(tmp_path / "c.safetensors")]
    done = subprocess.run([*command, "--keep-only", str(listed)], capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0
    assert done.stderr == "fastembed: warning: 1 of the 3 tokens of keep_only do not occur: 'zebra'\n"
    assert "dropped 120 (120 not listed in keep_only)" in done.stdout


@pytest.mark.parametrize(("data", "message"), [(b"\n", "holds no token"), (b"a\n\xff", "is not valid UTF-8 at line 2")])
def test_a_bad_list_is_named_and_nothing_is_written(run, tmp_path, text, listed, data, message):
    listed.write_bytes(data)
    for option in ("--drop", "--keep-only"):
        code, out, err = run("train", text, "-o", tmp_path / "m.safetensors", option, listed)
        assert (code, out) == (1, "")
        assert f"listed' {message}" in err
        assert not (tmp_path / "m.safetensors").exists()


def test_lists_without_a_text_to_count_are_wrong_usage(usage, run, text, model, listed):
    assert "--counts says what was counted and how, so --drop cannot" in usage(
        "train", "--counts", text, "--drop", listed
    )
    message = usage("train", text, "--continue", model, "-o", model, "--keep-only", listed)
    assert "keeps the shape of the model and how it counts, so --keep-only cannot" in message
    assert "No such file" in run("train", text, "--drop", "nowhere")[2]
