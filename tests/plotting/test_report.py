"""The report of a model."""

import pytest

from fastembed import SkipGram
from fastembed.plotting import write_report

pytestmark = pytest.mark.thread_unsafe(reason="matplotlib is not made for threads")


@pytest.fixture
def model():
    lines = [[f"<i>{word}</i>", "b", "c", "d", word] for word in "xyz" for _ in range(9)]
    return SkipGram(dim=3, min_count=1, threads=1, epochs=3, window=2).fit(lines)


def test_the_report_has_what_is_known_of_the_model(model, tmp_path, chromium):
    path = tmp_path / "report.html"
    write_report(
        model, path, title="A & B", probes=["b", "<i>x</i>"], scores={"pairs <1>": "Spearman 0.5"}, method="pca"
    )
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(path.as_uri())
    text = chromium.find_element("tag name", "body").text
    near = ", ".join(f"{word} {cosine:.2f}" for word, cosine in model.vectors.most_similar("<i>x</i>"))
    for expected in ("A & B", "pairs <1> Spearman 0.5", f"<i>x</i> {near}", model.ledger.summary(), "window 2"):
        assert expected in text
    for record in model.history:
        assert f"{record['nll']:.6g}" in text
    curve = chromium.find_element("tag name", "img")
    assert curve.get_attribute("alt").startswith("nll per pair, from")
    assert curve.get_property("naturalWidth") > 100
    frame = chromium.find_element("tag name", "iframe")
    chromium.switch_to.frame(frame)
    assert chromium.find_element("tag name", "h1").text == f"Map of {len(model.vectors)} words"
    chromium.switch_to.default_content()
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_probes_are_words_that_stand_for_clusters(model, tmp_path):
    write_report(model, tmp_path / "report.html")
    assert "&lt;i&gt;" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [({"probes": ["nowhere"]}, KeyError, "nowhere"), ({"topn": 0}, ValueError, "topn must be at least 1")],
)
def test_bad_arguments_leave_no_file(model, arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_report(model, tmp_path / "report.html", **arguments)
    with pytest.raises(ValueError, match="must end in"):
        write_report(model, tmp_path / "report.pdf")
    with pytest.raises(TypeError, match="must be a SkipGram, got Vectors"):
        write_report(model.vectors, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
