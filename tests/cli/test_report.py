"""The command report."""

import re

import pytest

from fastembed.skipgram import SkipGram


def test_a_report_is_written_with_the_scores_asked_for(run, document, model, tmp_path):
    pytest.importorskip("matplotlib")
    a, b, c = SkipGram.load(model).vectors.tokens[:3]
    (tmp_path / "pairs.tsv").write_text(f"{a}\t{b}\t9\n{a}\t{c}\t2\n{b}\t{c}\t5\n", encoding="utf-8")
    output = tmp_path / "report.html"
    found = document("report", model, "-o", output, "--words", a, "--similarity", tmp_path / "pairs.tsv")
    assert (found["output"], found["words"]) == (str(output), len(SkipGram.load(model).vectors))
    text = output.read_text(encoding="utf-8")
    assert re.search("<th>pairs.tsv</th><td>Spearman .*? on 3 of 3 pairs", text)
    assert f"<th>{a}</th>" in text
    assert run("report", model, "-o", output, "--quiet") == (0, "", "")


def test_what_makes_no_sense_is_rejected(run, usage, saved, model, tmp_path):
    assert "ends in .html" in usage("report", model, "-o", tmp_path / "report.png")
    assert "would overwrite" in usage("report", model, "-o", model)
    code, _, err = run("report", saved, "-o", tmp_path / "report.html")
    assert code == 1
    assert "a report needs a model that `train` wrote" in err
