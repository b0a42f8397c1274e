"""Documents and labels as people have them: tables, structured files, indicator matrices; and what is refused."""

import csv
import io
import json
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastembed import Classifier
from fastembed.corpus import DocumentCorpus, Reading
from fastembed.formats.tensors import map_tensors, write_tensors

TEXTS = ["a red, red apple", 'the "green" plum', "größe\nzwei", "a plum and an apple", "two words", "red"] * 4
TOPICS = ["fruit", "fruit", "words", "fruit", "words", "colour"] * 4
SEVERAL = [["red", "fruit"], ["fruit", "green"], ["words"], ["fruit"], ["words"], ["red"]] * 4


def columns(several):
    return {"text": TEXTS, "topic": SEVERAL if several else TOPICS}


def written(name, several):
    """Return the bytes of a file with the fields id, topic and text."""
    rows = [(k, topic, text) for k, (text, topic) in enumerate(zip(*columns(several).values(), strict=True))]
    suffix = name.partition(".")[2]
    if suffix == "jsonl":
        lines = [json.dumps(dict(zip(("id", "topic", "text"), row, strict=True))) for row in rows]
        return "\r\n".join(lines).encode()
    if suffix in ("csv", "tsv"):
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter="," if suffix == "csv" else "\t")
        writer.writerow(("id", "topic", "text"))
        writer.writerows((k, "; ".join(topic) if several else topic, text) for k, topic, text in rows)
        return file.getvalue().encode("utf-8-sig")
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    table = pa.table({"id": range(len(rows)), **columns(several)})
    sink = pa.BufferOutputStream()
    pytest.importorskip("pyarrow.parquet").write_table(table, sink)
    return sink.getvalue().to_pybytes()


def same(model, several):
    expected = Classifier(threads=1).fit(TEXTS, columns(several)["topic"])
    assert model.classes_.tolist() == expected.classes_.tolist()
    assert_array_equal(model.predict_proba(TEXTS), expected.predict_proba(TEXTS))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_structured_files_are_learned_as_what_they_hold(tmp_path, name, several):
    path = tmp_path / name
    path.write_bytes(written(name, several))
    names = {"field": "text", "label": "topic", "label_separator": ";" if several else None}
    model = Classifier(threads=1).fit(path, **names)
    same(model, several)
    assert model.test(str(path), **names).nll == model.test(TEXTS, columns(several)["topic"]).nll
    again = Classifier(threads=1).fit([str(path)], **names).partial_fit([path], **names)
    assert again._model.documents == 2 * len(TEXTS)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "datasets", "records"])
def test_tables_and_their_columns_are_learned(kind, several):
    table = columns(several)
    if kind == "records":
        data = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    else:
        library = pytest.importorskip(kind, reason=f"needs {kind}")
        make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table", "datasets": "Dataset"}[kind]
        data = getattr(library, make)
        data = data.from_dict(table) if kind == "datasets" else data(table)
        same(Classifier(threads=1).fit(data["text"], data["topic"]), several)
        with pytest.raises(TypeError, match=r"got a whole \w+ with the columns 'text', 'topic': pass .* field="):
            Classifier().fit(data, TOPICS)
        with pytest.raises(ValueError, match=r"has no field 'topics'; its fields are 'text', 'topic'"):
            Classifier().fit(data, field="text", label="topics")
    model = Classifier(threads=1).fit(data, field="text", label="topic")
    same(model, several)
    assert model.test(data, field="text", label="topic").documents == len(TEXTS)


def test_several_labels_may_be_one_string_with_a_separator():
    joined = [" | ".join(labels) + " |" for labels in SEVERAL]
    same(Classifier(threads=1).fit(TEXTS, joined, label_separator="|"), several=True)
    none = Classifier(threads=1).fit([*TEXTS, "x"], [*joined, " "], label_separator="|")
    same(none, several=True)
    assert none.ledger_.skipped == {"without a label": 1}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2.0, r"a label must be a str or an int, got 2\.0: write it as an int, such as by astype\(int\), or as a str"),
        (True, r"got True: write it as 1 or 0, such as by astype\(int\), or as a name"),
        (None, "got None: a document without a label has an empty list; skip_bad or --skip-bad leaves such rows out"),
        (float("nan"), "got nan: a document without a label"),
        (np.float32("nan"), r"got .*nan.*: a document without a label"),
        ({"a": 1}, r"got \{'a': 1\}: the labels of a document are one list of these"),
        (b"x", "got b'x': write it as one of these"),
        ("", "an empty string is no label, got ''"),
        (" \t", "an empty string is no label"),
        (["x", None], "got None: a document without a label"),
        (["x", ["y"]], r"got \['y'\]: the labels of a document are one list"),
    ],
)
def test_what_is_no_label_is_refused_with_its_row(label, message):
    labels = [["x"], ["y"], label, ["x"]] if isinstance(label, list) else ["x", "y", label, "x"]
    with pytest.raises((TypeError, ValueError), match=f"^document 2: .*{message}"):
        Classifier().fit(["a", "b", "c", "d"], labels)
    weights = [1.0, 2.0, 9.0, 1.0]
    model = Classifier(threads=1).fit(["a", "b", "c", "d"], labels, weights, skip_bad=True)
    kept = Classifier(threads=1).fit(["a", "b", "d"], [labels[k] for k in (0, 1, 3)], [1.0, 2.0, 1.0])
    assert_array_equal(model.predict_proba(["a", "b"]), kept.predict_proba(["a", "b"]))
    assert sum(model.ledger_.skipped.values()) == 1


def test_a_frame_names_the_row_of_a_missing_label_and_of_a_missing_text():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    data = pandas.DataFrame({"text": ["a b", "c d", None, "e"], "label": ["x", "y", "x", None]}, index=[10, 20, 30, 40])
    for arguments, names in (((data["text"], data["label"]), {}), ((data,), {"field": "text", "label": "label"})):
        with pytest.raises(TypeError, match=r"^document 2 at index 30 is (None|nan), but a text or a list of tokens"):
            Classifier().fit(*arguments, **names)
        with pytest.raises(
            TypeError, match=r"^document 2 at index 40: a label must be a str or an int, got (None|nan)"
        ):
            Classifier().fit(*(each.drop(30) for each in arguments), **names)
        model = Classifier().fit(*arguments, **names, skip_bad=True)
        assert model.ledger_.skipped == {"null": 1, "null label": 1}
        with pytest.raises(TypeError, match=r"^document 2 at index 30 is "):
            model.predict(data["text"])
    whole = pandas.DataFrame({"text": ["a", "b", "c"], "n": pandas.array([1, 2, None], "Int64")})
    for numbers in (whole["n"], whole["n"].astype("float64")):  # of pandas, where one is missing
        with pytest.raises(TypeError, match=r"^document 2: .* got (<NA>|nan)"):
            Classifier().fit(whole["text"], numbers)
    kinds = whole.assign(n=pandas.Categorical(["u", "v", "u"]))
    assert Classifier().fit(kinds["text"], kinds["n"]).classes_.tolist() == ["u", "v"]


@pytest.mark.parametrize(
    ("name", "text", "message", "reason"),
    [
        ("a.csv", 'text,topic\na,x\n"b\nc",y\nd,\n', "line 5: an empty string is no label", "empty label"),
        ("a.csv", "text,topic\na,x\nb,y\nc\n", "line 4: 1 fields, where the first row has 2", "wrong number of fields"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"text": "c", "topic": 1.5}\n',
         r"line 3: a label must be a str or an int, got 1\.5", "no label"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"topic": 1}\n', "line 3: no field 'text'",
         "no field 'text'"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"text": null, "topic": 2}\n',
         "line 3: None, where a text or a list of tokens", "null"),
        ("a.tsv", "text\ttopic\na\tx\nb\ty\ncaf\udce9\tx\n", r"line 4: not valid UTF-8: b'\\xe9'", "not valid UTF-8"),
    ],
)  # fmt: skip
def test_a_bad_row_of_a_file_is_named_or_left_out(tmp_path, name, text, message, reason):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    names = {"field": "text", "label": "topic"}
    with pytest.raises(ValueError, match=rf"{name}', {message}"):
        Classifier().fit(path, **names)
    (tmp_path / f"none.{name}").write_text("text,topic\na,\n" if name == "a.csv" else "", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"no row with a text and a label in .*{name}'"):
        Classifier().fit(tmp_path / f"none.{name}", **names, skip_bad=True)
    model = Classifier().fit(path, **names, skip_bad=True)
    assert model.ledger_.skipped == {reason: 1}
    found = model.test(path, **names, skip_bad=True)
    assert found.skipped == {reason: 1}
    assert f"; left out: 1 {reason}" in found.summary()


def test_a_csv_without_a_header_has_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,1,a b\ny,2,c d\n", encoding="utf-8")
    model = Classifier().fit(path, field=3, label=1, header=False)
    assert model.predict(["c", "b"]).tolist() == ["y", "x"]
    with pytest.raises(ValueError, match="without a header, fields have numbers and no names, got field='x'"):
        Classifier().fit(path, field=3, label="x", header=False)
    with pytest.raises(ValueError, match="without a header, fields have numbers"):
        Classifier().fit(path, field="3", label="x", header=False)
    for names in ({"field": 3}, {"label": 1}):
        with pytest.raises(ValueError, match="give both field and label, or neither"):
            Classifier().fit(path, **names)
    with pytest.raises(ValueError, match="field and label are both 1"):
        Classifier().fit(path, field=1, label=1, header=False)
    with pytest.raises(ValueError, match="so that labels cannot be given as well"):
        Classifier().fit(path, ["x", "y"], field=3, label=1)


@pytest.mark.parametrize(
    ("documents", "labels", "message"),
    [
        ({"a": 1, "b": 2}, ["x", "y"], "documents must be in an order, .* got a dict"),
        ({"a", "b"}, ["x", "y"], "documents must be in an order, .* got a set"),
        (["a", "b"], {"x": 1, "y": 2}, "labels must be one per document, got {'x': 1"),
        (["a", "b"], np.array([["x"], ["y"]]), r"labels of shape \(2, 1\) are one column: .* labels.ravel\(\)"),
        (["a", "b"], np.array([["x", "y"], ["y", "x"]]), "or an indicator matrix of 0 and 1, got an array of shape"),
        (["a", "b"], np.eye(3), "labels must have one row per document: got 3 for 2 documents"),
        (["a", "b"], [[0, 1], [1, 0]], r"document 0: \[0, 1\] looks like a row of an indicator matrix"),
        (["a", "b"], np.array([[0, 1], [0, 1]]), "at least two labels, got one class, 1"),
        (["a", "b"], np.array([[0, 0.5], [0, 1]]), "has 1 for each label of a document, else 0; got 0.5"),
        (["a", "b", "c"], ["x", "y", 3], "document 2: labels must be all str or all int, got 'x' and 3"),
        (DocumentCorpus(["a b", "c d"]), ["x", "y"], "takes texts, or the path of files with field= and label=, in"),
    ],
)
def test_other_forms_are_refused_with_what_would_be_right(documents, labels, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Classifier().fit(documents, labels)


def test_records_without_a_field_are_named_and_labels_that_differ_in_white_space_alone_are_told():
    records = [{"text": "a", "topic": "x"}, {"text": "b"}, {"text": "c", "topic": "y"}]
    with pytest.raises(
        ValueError, match="document 1: no field 'topic' among 'text'; skip_bad or --skip-bad leaves such rows out"
    ):
        Classifier().fit(records, field="text", label="topic")
    model = Classifier().fit(records, field="text", label="topic", skip_bad=True)
    assert model.ledger_.skipped == {"no field 'topic'": 1}
    with pytest.raises(TypeError, match="document 0: 7, where a mapping with the field 'text' is expected"):
        Classifier().fit([7], field="text", label="topic")


@pytest.mark.parametrize(("one", "other"), [(" x", "x"), ("Pos", "pos"), ("1", "1.0")])
def test_labels_that_differ_in_form_alone_are_named(tmp_path, one, other):
    path = tmp_path / "train.txt"
    path.write_text(f"__label__{one} a\n__label__{other} b\n__label__y c\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=f"the labels {one!r} and {other!r} differ in white space, case or the form"):
        Classifier().fit(["a", "b", "c"], [one, other, "y"])
    if one == one.strip():
        with pytest.warns(UserWarning, match=f"the labels {one!r} and {other!r} differ"):
            Classifier().fit(path)
    with pytest.warns(UserWarning, match=f"the labels {one!r} and {other!r} differ"):
        Classifier().fit(["b", "c"], [other, "y"]).partial_fit(["a"], [one])


@pytest.mark.parametrize("loss", ["squared", "ova"])
@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix, lambda rows: np.array(rows, bool)])
def test_an_indicator_matrix_is_learned_as_lists_of_its_columns_and_predicted(tmp_path, form, loss):
    rng = np.random.default_rng(0)
    rows = rng.random((60, 3)) < [0.5, 0.4, 0.3]
    texts = [" ".join([f"w{k}" for k in np.flatnonzero(row)] + list(rng.choice(list("abc"), 3))) for row in rows]
    some = rows.any(axis=1)
    matrix = form(rows[some].astype(int).tolist())
    texts, rows = [text for text, has in zip(texts, some, strict=True) if has], rows[some]
    model = Classifier(loss, threads=1).fit(texts, matrix)
    lists = Classifier(loss, threads=1).fit(texts, [np.flatnonzero(row).tolist() for row in rows])
    assert model.classes_.tolist() == [0, 1, 2]
    assert_array_equal(model.predict_proba(texts), lists.predict_proba(texts))
    predicted = model.predict(texts)
    assert_array_equal(predicted, model.predict_proba(texts) >= 0.5)
    right = (predicted == rows).all(axis=1)
    assert model.score(texts, matrix) == right.mean()
    assert model.score(texts, matrix, np.arange(len(texts))) == np.average(right, weights=np.arange(len(texts)))
    model.save(tmp_path / "m.safetensors")
    for other in (Classifier.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert_array_equal(other.predict(texts), predicted)
    found, hits = model.test(texts, matrix), (rows & (predicted > 0)).sum(axis=0)
    assert found.precision == hits.sum() / predicted.sum()
    assert found.recall == hits.sum() / rows.sum()
    assert [each.predicted for each in found.per_label] == predicted.sum(axis=0).tolist()
    model.partial_fit(texts[:9], matrix[:9])
    assert model.predict(texts).shape == rows.shape


def test_the_columns_of_an_indicator_matrix_are_those_of_fit(tmp_path):
    pandas = pytest.importorskip("pandas")
    texts, table = ["red", "blue", "red blue"] * 5, pandas.DataFrame({1: [1, 0, 1] * 5, 0: [0, 1, 1] * 5})
    model = Classifier(threads=1).fit(texts, table)
    model.save(tmp_path / "m.safetensors")
    for same in (model, Classifier.load(tmp_path / "m.safetensors")):
        scores = [same.score(texts, each) for each in (table.astype("Int64"), table, table.to_numpy())]
        assert [*scores, same.test(texts, table).accuracy] == [1] * 4
        for other in (table[[0, 1]], table.assign(g=0), table.to_numpy()[:, :1].repeat(3, axis=1)):
            for call in (same.score, same.test, same.partial_fit):
                with pytest.raises(ValueError, match=r"must be the 2 of fit, in their order, \['1', '0'\]; got"):
                    call(texts, other)
        with pytest.raises(ValueError, match="the label 2 is no column of the indicator matrix of fit: call fit with"):
            same.partial_fit(texts, [[0], [1, 2], [1]] * 5)
    tensors, metadata = map_tensors(tmp_path / "m.safetensors")
    state = json.loads(metadata["model"])
    assert (len(state.pop("columns")), state["calibration"].pop()) == (2, 1)  # which earlier files do not have
    write_tensors(tmp_path / "old.safetensors", tensors, metadata | {"model": json.dumps(state)})
    assert_array_equal(Classifier.load(tmp_path / "old.safetensors").predict_proba(texts), model.predict_proba(texts))


def test_a_column_of_zeros_is_a_label_that_is_never_predicted():
    rows = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]] * 10)
    model = Classifier(threads=1).fit(["red", "blue", "red blue"] * 10, rows)
    assert_array_equal(model.predict(["red", "blue", "red blue"]), rows[:3])


def test_a_row_of_zeros_is_an_example_of_what_has_none_of_the_labels():
    texts = ["red", "blue", "grey grey", "red blue"] * 10
    rows = np.array([[1, 0], [0, 1], [0, 0], [1, 1]] * 10)
    model = Classifier(threads=1).fit(texts, rows)
    assert model.ledger_.skipped == {}
    assert model.score(texts, rows) == 1
    p, found = model.predict_proba(texts).astype(float), model.test(texts, rows)
    assert (found.documents, found.skipped, found.accuracy) == (40, {}, 1)
    assert_allclose(found.nll, -np.log(np.where(rows, p, 1 - p)).sum(axis=1).mean(), rtol=1e-5)
    with pytest.warns(UserWarning, match="no known feature"):
        shares = model.predict_proba(["unheard"])[0]
    assert_allclose(shares, rows.mean(axis=0))
    assert (model.predict_proba(["grey"])[0] < shares).all()
    with pytest.warns(UserWarning, match="with loss='softmax' at most one label of a document has a probability of"):
        assert Classifier("softmax").fit(texts, rows).ledger_.skipped == {"without a label": 10}


def test_scikit_learn_cross_validates_several_labels():
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="needs scikit-learn")
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import cross_val_predict, cross_val_score

    binarizer = preprocessing.MultiLabelBinarizer()
    labels = binarizer.fit_transform(SEVERAL)
    model = Classifier(threads=1)
    for scoring in (None, "f1_micro", "average_precision", "roc_auc", "accuracy"):
        for columns_ in (labels, labels[:, :2]):
            assert cross_val_score(model, TEXTS, columns_, cv=2, scoring=scoring).min() > 0.8
    predicted = cross_val_predict(model, TEXTS, labels, cv=2)
    assert accuracy_score(labels, predicted) > 0.8
    model.fit(TEXTS, labels)
    assert model.score(TEXTS, labels) == accuracy_score(labels, model.predict(TEXTS))
    assert set(binarizer.inverse_transform(model.predict(TEXTS[:1]))[0]) == set(SEVERAL[0])


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_a_file_that_changes_after_it_was_read_changes_nothing(tmp_path, name, labelled, held_out):
    path = tmp_path / name
    texts, labels = held_out
    lines = [f"__label__{label} {text}\n" for text, label in zip(texts, labels, strict=True)]
    if name == "a.csv":
        lines = ["text,topic\n", *(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))]

    def shrink(text):  # is called after the first reading, and before a second one would be
        path.write_text(lines[0] * 2, encoding="utf-8")
        return text.split()

    reading = Reading(tokenizer=shrink)
    model = Classifier(reading=reading, threads=1)
    fields = {"field": "text", "label": "topic"} if name == "a.csv" else {}
    for learn in (model.fit, model.partial_fit):
        path.write_text("".join(lines), encoding="utf-8")
        learn(path, **fields)
    expected = Classifier(reading=reading, threads=1).fit(*held_out).partial_fit(*held_out)
    assert_array_equal(model.predict_proba(texts), expected.predict_proba(texts))
