"""Structured files on the command line: one obvious command each."""

import io
import json

import pytest

from fastembed import SkipGram, Vectors

SMALL = ("--dim", 4, "--epochs", 2, "--quiet")
TEXTS = [f"the w{n % 9} and the w{(n + 1) % 9}" for n in range(300)]


@pytest.fixture
def records(tmp_path):
    """JSON lines of 300 texts."""
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{json.dumps({'id': n, 'text': text})}\n" for n, text in enumerate(TEXTS)), "utf-8")
    return path


@pytest.fixture
def plain(tmp_path):
    """The same texts as lines."""
    path = tmp_path / "plain.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def test_a_field_of_records_is_trained_on_as_lines_are(run, tmp_path, records, plain):
    csv, folder = tmp_path / "data.csv", tmp_path / "folder"
    csv.write_text("".join(f"{n},{text}\n" for n, text in enumerate(["text", *TEXTS])), encoding="utf-8")
    folder.mkdir()
    (folder / "part-0.csv").write_bytes(csv.read_bytes())
    (folder / "_SUCCESS").touch()
    output, matrices = tmp_path / "m.safetensors", []
    for files in (
        [plain],
        [records, "--field", "text"],
        [csv, "--field", "text"],
        [csv, "--field", 2],
        [folder, "--field", "text"],
    ):
        assert run("train", *files, "-o", output, *SMALL) == (0, "", "")
        matrices.append(Vectors.load(output).matrix.tobytes())
    assert len(set(matrices)) == 1
    assert run("train", csv, "--field", 2, "--no-header", "-o", output, *SMALL, "--min-count", 1) == (0, "", "")
    assert "text" in Vectors.load(output)


def test_a_folder_of_parquet_takes_one_command(run, tmp_path, plain):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    (tmp_path / "folder").mkdir()
    for part in (0, 1):
        table = pyarrow.table({"text": TEXTS[150 * part : 150 * (part + 1)], "label": [0] * 150})
        parquet.write_table(table, tmp_path / "folder" / f"part-{part}.parquet")
    outputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for output, files in zip(outputs, ([plain], [tmp_path / "folder", "--field", "text"]), strict=True):
        assert run("train", *files, "-o", output, *SMALL) == (0, "", "")
    assert len({Vectors.load(output).matrix.tobytes() for output in outputs}) == 1


def test_standard_input_may_hold_json_lines(run, tmp_path, records, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(records.read_bytes()), encoding="utf-8"))
    code, out, err = run("count", "-", "--field", "text", "-o", tmp_path / "c.safetensors")
    assert (code, err) == (0, "")
    assert "read 1,500 tokens in 300 lines" in out


def test_without_a_field_the_message_says_which_there_are(run, tmp_path, records):
    output = tmp_path / "m.safetensors"
    code, out, err = run("train", records, "-o", output)
    assert (code, out) == (1, "")
    assert "data.jsonl' has the fields 'id', 'text': name the one that holds the text, as --field text or" in err
    assert not output.exists()


def test_bad_rows_stop_the_command_or_are_counted(run, document, tmp_path, records):
    with records.open("a", encoding="utf-8") as file:
        file.write("no JSON\n")
    output = tmp_path / "m.safetensors"
    code, out, err = run("train", records, "--field", "text", "-o", output, *SMALL)
    assert (code, out) == (1, "")
    assert "data.jsonl', line 301: no JSON" in err
    assert not output.exists()
    found = document("train", records, "--field", "text", "--skip-bad", "-o", output, *SMALL)
    assert found["ledger"]["skipped"] == {"no JSON": 1}
    assert SkipGram.load(output).ledger.skipped == {"no JSON": 1}


def test_a_pattern_is_found_in_processes(run, tmp_path, plain):
    outputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for output, processes in zip(outputs, (1, 2), strict=True):
        options = ("--token-pattern", r"\w\d", "--processes", processes)
        assert run("train", plain, *options, "-o", output, *SMALL) == (0, "", "")
    assert len({Vectors.load(output).matrix.tobytes() for output in outputs}) == 1


def test_advice_is_given_on_texts_and_not_on_lists_of_tokens(run, tmp_path):
    texts = ["He went to London, at last."] * 50
    for field, values in (("text", texts), ("tokens", [text.split() for text in texts])):
        path = tmp_path / f"{field}.jsonl"
        path.write_text("".join(f"{json.dumps({field: value})}\n" for value in values), encoding="utf-8")
        options = ("--field", field, "-o", tmp_path / "m.safetensors", "--dim", 4, "--sample", "none")
        code, _, err = run("train", path, *options)
        assert code == 0
        assert ("such as 'London,'; --words" in err) == (field == "text")


def test_counts_have_no_fields(usage):
    message = usage("train", "--counts", "c.safetensors", "--field", "text", "--skip-bad")
    assert "--field, --skip-bad cannot be given as well" in message
