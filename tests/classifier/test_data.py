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
from fastembed.corpus import Reading

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
        writer.writerows([("id", "topic", "text"), *rows])
        return file.getvalue().encode("utf-8-sig")
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    sink = pa.BufferOutputStream()
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"id": range(len(rows)), **columns(several)}), sink)
    return sink.getvalue().to_pybytes()


def same(model, several):
    expected = Classifier(threads=1).fit(TEXTS, columns(several)["topic"])
    assert model.classes_.tolist() == expected.classes_.tolist()
    assert_array_equal(model.predict_proba(TEXTS), expected.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("a.csv", False),
        ("a.tsv", False),
        ("a.jsonl", False),
        ("a.jsonl", True),
        ("a.parquet", False),
        ("a.parquet", True),
    ],
)
def test_structured_files_are_learned_as_what_they_hold(tmp_path, name, several):
    path = tmp_path / name
    path.write_bytes(written(name, several))
    names = {"field": "text", "label": "topic"}
    model = Classifier(threads=1).fit(path, **names)
    same(model, several)
    assert model.test(str(path), **names).nll == model.test(TEXTS, columns(several)["topic"]).nll
    assert model.score(str(path), **names) == model.score(TEXTS, columns(several)["topic"])
    for answer in (model.predict, model.predict_proba, model.decision_function, model.predict_top):
        assert np.array_equal(answer(path, field="text"), answer(TEXTS))
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
        with pytest.raises(TypeError, match="documents"):
            Classifier().fit(data, TOPICS)
        with pytest.raises(ValueError, match="'topics'"):
            Classifier().fit(data, field="text", label="topics")
    model = Classifier(threads=1).fit(data, field="text", label="topic")
    same(model, several)
    assert model.test(data, field="text", label="topic").documents == len(TEXTS)
    assert_array_equal(model.predict(data, field="text"), model.predict(TEXTS))


@pytest.mark.parametrize(
    "label",
    [2.0, None, float("nan"), np.float32("nan"), {"a": 1}, b"x", "", " \t", ["x", None], ["x", ["y"]]],
    ids=repr,
)
def test_what_is_no_label_is_refused_with_its_row_or_left_out(label):
    labels = [["x"], ["y"], label, ["x"]] if isinstance(label, list) else ["x", "y", label, "x"]
    with pytest.raises((TypeError, ValueError), match=r"^document 2: a label must"):
        Classifier().fit(["a", "b", "c", "d"], labels)
    records = [{"text": text, "label": each} for text, each in zip("abcd", labels, strict=True)]
    names = {"field": "text", "label": "label"}
    with pytest.raises(ValueError, match=r"^document 2: a label must"):
        Classifier().fit(records, **names)
    model = Classifier(threads=1).fit(records, None, [1.0, 2.0, 9.0, 1.0], **names, skip_bad=True)
    kept = Classifier(threads=1).fit(["a", "b", "d"], [labels[k] for k in (0, 1, 3)], [1.0, 2.0, 1.0])
    assert_array_equal(model.predict_proba(["a", "b"]), kept.predict_proba(["a", "b"]))
    assert sum(model.ledger_.skipped.values()) == 1


@pytest.mark.parametrize("kind", [list, np.array])
def test_labels_may_be_bool(kind, tmp_path):
    labels = [topic == TOPICS[0] for topic in TOPICS]
    model = Classifier(threads=1, class_weight={True: 2.0, False: 1.0}).fit(TEXTS, kind(labels))
    model.save(tmp_path / "m.safetensors")
    found = Classifier.load(tmp_path / "m.safetensors").predict(TEXTS)
    named = Classifier(threads=1, class_weight={"yes": 2.0, "no": 1.0})
    assert (model.classes_.dtype, found.dtype) == (bool, bool)
    assert_array_equal(found, named.fit(TEXTS, ["yes" if label else "no" for label in labels]).predict(TEXTS) == "yes")
    assert model.score(TEXTS, labels) == model.test(TEXTS, labels).accuracy
    for others in ([True, 1, False], [True, "x", False]):
        with pytest.raises(TypeError, match="all str, all int or all bool"):
            Classifier().fit(["a", "b", "c"], others)
    by_rows = Classifier(threads=1).fit(
        [{"text": t, "topic": str(b)} for t, b in zip(TEXTS, labels, strict=True)], field="text", label="topic"
    )
    for each, others, message in (
        (model, [1], "bool, such as False, got the int 1"),
        (model, ["False"], "bool, such as False, got the str 'False'"),
        (by_rows, [True], "str, such as 'False', got the bool True"),
    ):
        for call in (each.score, each.test, each.partial_fit):
            with pytest.raises(TypeError, match=f"labels must be of the type that fit learned: {message}"):
                call(["a"], others)


def test_rows_that_are_all_left_out_are_an_error_with_a_reason(tmp_path):
    rows = [{"text": text, "topic": topic} for text, topic in zip("abcd", "xyxy", strict=True)]
    wrong = {"field": "text", "label": "label", "skip_bad": True}
    fitted = Classifier(threads=1).fit(rows, field="text", label="topic")
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for source, place in ((rows, "document 3"), (path, "'.*a.jsonl', line 4")):
        for call in (Classifier().fit, fitted.partial_fit, fitted.test, fitted.score):
            with pytest.raises(ValueError, match=f"^all 4 rows are left out, such as {place}: no field 'label' among"):
                call(source, **wrong)


def test_a_classifier_of_a_tokenizer_takes_lists_of_tokens_after_loading(tmp_path):
    reading = Reading(tokenizer=list)
    model = Classifier(threads=1, reading=reading).fit(["ab", "cd"] * 5, ["x", "y"] * 5)
    model.save(tmp_path / "m.safetensors")
    loaded = Classifier.load(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="lacks the tokenizer list: pass tokens"):
        loaded.predict(["ab"])
    assert_array_equal(loaded.predict_proba([["a", "b"]]), model.predict_proba(["ab"]))
    assert loaded.set_params(dim=None, reading=reading).predict(["ab"]) == ["x"]
    assert loaded.partial_fit(["e"], ["z"]).predict([["e"]]) == ["z"]


def test_what_a_frame_misses_is_named_or_left_out():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    data = pandas.DataFrame({"text": ["a b", "c d", None, "e"], "label": ["x", "y", "x", None]})
    names = {"field": "text", "label": "label"}
    with pytest.raises(TypeError, match=r"^document 3: a label must"):
        Classifier().fit(data["text"], data["label"])
    with pytest.raises(ValueError, match=r"^document 2: "):
        Classifier().fit(data, **names)
    model = Classifier().fit(data, **names, skip_bad=True)
    assert model.ledger_.skipped == {"null": 1, "null label": 1}
    with pytest.raises(TypeError, match=r"^document 2 is "):
        model.predict(data["text"])
    kinds = pandas.Series(pandas.Categorical(["u", "v", "u"]))
    assert Classifier().fit(["a", "b", "c"], kinds).classes_.tolist() == ["u", "v"]


@pytest.mark.parametrize(
    ("name", "text", "message", "reason"),
    [
        ("a.csv", 'text,topic\na,x\n"b\nc",y\nd,\n', "line 5: a label", "empty label"),
        ("a.csv", "text,topic\na,x\nb,y\nc\n", "line 4: 1 fields", "wrong number of fields"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"text": "c", "topic": 1.5}\n',
         "line 3: a label", "no label"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"topic": 1}\n', "line 3: no field 'text'",
         "no field 'text'"),
        ("a.jsonl", '{"text": "a", "topic": 1}\n{"text": "b", "topic": 2}\n{"text": null, "topic": 2}\n',
         "line 3: the document is None", "null"),
        ("a.tsv", "text\ttopic\na\tx\nb\ty\ncaf\udce9\tx\n", r"line 4: not valid UTF-8", "not valid UTF-8"),
    ],
)  # fmt: skip
def test_a_bad_row_of_a_file_is_named_or_left_out(tmp_path, name, text, message, reason):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    names = {"field": "text", "label": "topic"}
    with pytest.raises(ValueError, match=rf"{name}', {message}"):
        Classifier().fit(path, **names)
    model = Classifier().fit(path, **names, skip_bad=True)
    assert model.ledger_.skipped == {reason: 1}
    found = model.test(path, **names, skip_bad=True)
    assert found.skipped == {reason: 1}
    assert f"; left out: 1 {reason}" in found.summary()


def test_predictions_read_the_lines_of_files_without_their_labels(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("__label__x a b\n\n__label__y c d\n", encoding="utf-8")
    model = Classifier().fit(path)
    with pytest.warns(UserWarning, match="1 of 3 documents have no known feature"):
        assert model.predict([path]).tolist() == ["x", "x", "y"]
    path.write_text("a b\n__label__x c d", encoding="utf-8")
    assert model.predict_top(path) == model.predict_top(["a b", "c d"])
    with pytest.raises(FileNotFoundError, match=r"no such file: 'a b'; pass \[text\]"):
        model.predict("a b")


def test_a_csv_without_a_header_has_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,1,a b\ny,2,c d\n", encoding="utf-8")
    model = Classifier().fit(path, field=3, label=1, header=False)
    assert model.predict(["c", "b"]).tolist() == ["y", "x"]
    for wrong in ({"field": 3, "label": "x"}, {"field": 3}, {"label": 1}):
        with pytest.raises(ValueError, match="field"):
            Classifier().fit(path, **wrong, header=False)
    with pytest.raises(ValueError, match="labels cannot be given"):
        Classifier().fit(path, ["x", "y"], field=3, label=1)


@pytest.mark.parametrize(
    ("documents", "labels", "message"),
    [
        (["a", "b"], np.array([["x", "y"], ["y", "x"]]), "labels must have one dimension, or be a matrix"),
        (["a", "b"], np.eye(3), "labels .* 3 for 2 documents"),
        (["a", "b"], np.array([[0, 1], [0, 1]]), r"labels, got 1 class: \[1\]"),
        (["a", "b"], np.array([[0, 0.5], [0, 1]]), "indicator matrix .* 0.5"),
        (["a", "b", "c"], ["x", "y", 3], "labels must be all str, all int or all bool"),
        (["a", "b"], [2**63, 1], r"2\^63 - 1, got 9223372036854775808: pass them as str"),
        ({"text": ["a", "b"], "topic": ["x", "y"]}, ["x", "y"], "its fields, 'text', 'topic', by field and label"),
        ([{"text": "a"}, {"text": "b"}], ["x", "y"], r"document 0 is the record \{.*: name its fields by field and"),
        ([1, 2], ["x", "y"], "document 0 is 1, but a text or a list of tokens"),
    ],
)
def test_other_forms_of_documents_and_labels_are_refused(documents, labels, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Classifier().fit(documents, labels)


def test_one_label_may_be_among_lists():
    mixed = [labels[0] if len(labels) == 1 else labels for labels in SEVERAL]
    same(Classifier(threads=1).fit(TEXTS, mixed), several=True)


def test_names_of_files_in_a_list_are_not_learned_as_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("c1.txt", "c2.txt"):
        (tmp_path / name).write_text("a text", encoding="utf-8")
    with pytest.raises(TypeError, match=r"a str in a list is a text: for files pass one str, or \[pathlib.Path"):
        Classifier().fit(["c1.txt", "c2.txt"], ["x", "y"])
    assert Classifier().fit(["a c1.txt", "c d"], ["x", "y"]).predict(["c1.txt"]) == ["x"]


def test_a_column_of_labels_is_labels():
    documents, labels = ["a b", "c d", "a", "c"], np.array([1, 5, 1, 5])
    model = Classifier().fit(documents, labels[:, None])
    assert model.classes_.tolist() == [1, 5]
    assert model.score(documents, labels[:, None]) == 1
    with pytest.raises(TypeError, match=r"documents must be a list .*, or files with labels, got .texts\.txt.$"):
        Classifier().fit("texts.txt", 3)
    with pytest.raises(ValueError, match="documents must be texts, without a vectorizer, got an array of 2 dimensions"):
        model.fit(np.eye(4), labels)


@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix, lambda rows: np.array(rows, bool)])
def test_an_indicator_matrix_is_learned_as_lists_of_its_columns_and_predicted(tmp_path, form):
    rng = np.random.default_rng(0)
    rows = rng.random((60, 3)) < [0.5, 0.4, 0.3]
    texts = [" ".join([f"w{k}" for k in np.flatnonzero(row)] + list(rng.choice(list("abc"), 3))) for row in rows]
    some = rows.any(axis=1)
    matrix = form(rows[some].astype(int).tolist())
    texts, rows = [text for text, has in zip(texts, some, strict=True) if has], rows[some]
    model = Classifier(threads=1).fit(texts, matrix)
    lists = Classifier(threads=1).fit(texts, [np.flatnonzero(row).tolist() for row in rows])
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
    for call in (model.score, model.partial_fit):
        with pytest.raises(ValueError, match="3 columns of fit, got 2"):
            call(texts, rows[:, :2])
    with pytest.raises(ValueError, match="3 columns of fit"):
        model.partial_fit(texts[:1], [[3]])
    model.partial_fit(texts[:9], matrix[:9])
    assert model.predict(texts).shape == rows.shape


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
    with pytest.warns(UserWarning, match="at most one label of a document"):
        assert Classifier(loss="softmax").fit(texts, rows).ledger_.skipped == {"without a label": 10}


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
