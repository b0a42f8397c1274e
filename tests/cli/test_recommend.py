"""`train-recommender`, `recommend`, and `evaluate` by a recommender, compared with the calls in Python."""

import numpy as np
import pytest

from fastembed import Recommender
from fastembed.evaluation import held_out_items

SMALL = ("--dim", "2", "--epochs", "3", "--threads", "1")
BASKETS = [["bread", "butter"], ["bread", "butter", "jam"], ["nails", "saw"], ["nails", "hammer", "saw"]] * 5


@pytest.fixture
def carts(tmp_path):
    path = tmp_path / "carts.txt"
    path.write_text("".join(f"{' '.join(basket)}\n" for basket in BASKETS), encoding="utf-8")
    return path


@pytest.fixture
def trained(run, tmp_path, carts):
    path = tmp_path / "m.safetensors"
    assert run("train-recommender", carts, "-o", path, "--quiet", *SMALL) == (0, "", "")
    return path


def test_baskets_are_learned_and_items_recommended(run, carts, trained):
    model = Recommender.load(trained)
    expected = Recommender(dim=2, epochs=3, threads=1).fit(BASKETS)
    np.testing.assert_array_equal(model.item_factors_, expected.item_factors_)
    code, out, err = run("train-recommender", carts, "-o", trained, *SMALL)
    assert (code, err) == (0, "")
    assert "epoch  3 of 3" in out
    assert out.endswith(f"wrote {trained}: a recommender of 6 items, from 20 users, {trained.stat().st_size:,} bytes\n")
    assert run("info", trained)[1].endswith(": 6 items, 20 users\n")
    lines = [f"  {item:<24}{p:8.4f}\n" for item, p in model.recommend([["bread", "jam"]], 2)[0]]
    assert run("recommend", trained, "bread", "jam", "-n", 2) == (0, f"bread jam\n{''.join(lines)}", "")


def test_pairs_are_read_from_fields_whose_integers_stay_integers(run, document, tmp_path):
    path, model = tmp_path / "p.jsonl", tmp_path / "m.safetensors"
    rows = [(who, what, 1.5) for who, basket in enumerate([[1, 2], [1, 2, 3], [8, 9], [7, 8]]) for what in basket]
    path.write_text("".join(f'{{"u": "u{u}", "i": {i}, "w": {w}}}\n' for u, i, w in rows), encoding="utf-8")
    fields = ("--user", "u", "--item", "i", "--weight", "w")
    assert run("train-recommender", path, *fields, "-o", model, "--quiet", *SMALL)[0] == 0
    known = Recommender.load(model)
    assert (known.users_.tolist(), known.items_.tolist()) == (["u0", "u1", "u2", "u3"], [1, 2, 3, 8, 9, 7])
    (answer,) = document("recommend", model, "--users", "u0", "--exclude", 3)["answers"]
    assert answer["user"] == "u0"
    found = [(each["item"], each["probability"]) for each in answer["recommended"]]
    assert found == known.recommend("u0", exclude=[3])
    (answer,) = document("recommend", model, 1, 2, "--among", 2, 8, "--with-seen")["answers"]
    assert [(each["item"], each["probability"]) for each in answer["recommended"]] == known.recommend(
        [[1, 2]], exclude_seen=False, among=[2, 8]
    )[0]
    path.write_text(path.read_text("utf-8").replace('"u', '"v').replace('"v":', '"u":'), "utf-8")  # new users
    (found,) = document("evaluate", model, "--held-out-items", path, *fields, "--hidden", 0.3)["held_out_items"]
    expected = held_out_items(known, path, hidden=0.3, user="u", item="i", weight="w")
    assert (found["perplexity"], found["popularity"]) == (expected.perplexity, expected.popularity)
    path.write_text('{"u": "u0", "i": 3}\n{"u": "new", "i": 1}\n{"u": "u2", "i": 7}\n{"u": "u2", "i": 1}\n', "utf-8")
    scored = run("evaluate", model, "--held-out-items", path, *fields[:4], "--hidden", "all", "-n", 2)[1]
    assert held_out_items(known, ["u0", "u2"], hidden=[[3], [7, 1]], topn=2).summary().split() == scored.split()[1:]


def test_baskets_come_from_standard_input(run, trained, stdin):
    model = Recommender.load(trained)
    stdin(b"bread jam\n\nsaw caviar\n")
    code, out, err = run("recommend", trained, "-", "-n", 1)
    assert (code, out, "'caviar' is not among the 6 items" in err) == (1, "", True)
    stdin(b"bread jam\n\nsaw caviar\n")
    code, out, err = run("recommend", trained, "-", "-n", 1, "--skip-unknown")
    answers = model.recommend([["bread", "jam"], [], ["saw"]], 1)
    texts = ["bread jam", "(no items)", "saw caviar"]
    shown = [f"{text}\n  {item:<24}{p:8.4f}\n" for text, ((item, p),) in zip(texts, answers, strict=True)]
    assert (code, out, err) == (0, "".join(shown), "")
    assert run("recommend", trained, "-n", 1) == (0, shown[1], "")  # what is popular
    Recommender(dim=2, epochs=1, threads=1).fit([["old ale", "jam"], ["jam", "saw"]] * 3).save(trained)
    stdin(b"old ale\nold ale\tjam\n")
    assert run("recommend", trained, "-", "-n", 1)[1].split("\n")[::2] == ["old ale", "old ale jam", ""]


def test_training_tells_what_a_user_can_judge(run, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "baskets.txt"
    lines = [" ".join(f"i{k + 20 * (user % 2)}" for k in rng.choice(20, 4, replace=False)) for user in range(1000)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, out, _ = run("train-recommender", path, "-o", tmp_path / "m", *SMALL)
    assert (code, "nll" in out, "perplexity" in out) == (0, False, False)
    last = Recommender.load(tmp_path / "m").history_[-1]
    assert last["found"] > 1.5 * last["found_by_popularity"]
    shares = f"{last['found']:.1%} are among the ten best, {last['found_by_popularity']:.1%} among the ten most popular"
    assert f"of the items hidden in training, {shares}, " in out


@pytest.mark.parametrize("option", ["--user", "--item", "--weight"])
def test_fields_of_pairs_are_wrong_usage_of_a_model_of_words(run, capsys, carts, tmp_path, option):
    model = tmp_path / "w.safetensors"
    assert run("train", carts, "-o", model, "--min-count", 1, "--quiet", *SMALL)[0] == 0
    for asked in ("--held-out-items", "--perplexity"):
        with pytest.raises(SystemExit, match="2"):
            run("evaluate", model, asked, carts, option, "u")
        assert f"{option} is for --held-out-items of a recommender" in capsys.readouterr().err
