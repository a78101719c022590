"""Near duplicates: inserted ones are found, and rows that are close by chance are not."""

import numpy as np
import pandas as pd
import pytest

from plainnet.config import TrainConfig
from plainnet.data import Examples, TableSource, split
from plainnet.data.table_schema import TableSchema
from plainnet.evaluate import duplicates
from plainnet.evaluate.checks import repeated_rows
from plainnet.evaluate.duplicates import (
    Copies,
    cell_width,
    cells,
    count_copies,
    match_rows,
    near_duplicate_groups,
    sample_rows,
)
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.evaluation import Evaluation
from plainnet.training import train


def rows(m, n, seed=0):
    return np.random.default_rng(seed).standard_normal((m, n))


def jittered(X, size, seed=9):
    return X + size * np.random.default_rng(seed).standard_normal(X.shape)


@pytest.mark.parametrize("size", [1e-6, 1e-5, 2e-4])
@pytest.mark.parametrize("columns", [4, 30])
def test_repeated_rows_are_found(size, columns):
    X = rows(2000, columns)
    found = count_copies(np.vstack([X, jittered(X[:200], size / columns**0.5)]).astype(np.float32))
    assert found.equal <= 2  # numbers that are equal in float32
    assert 196 <= found.equal + found.near <= 200


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("m", [300, 3000, 20_000])
def test_rows_close_by_chance_are_not_found(m, power):
    """One number determines all columns, so that rows are close to each other on a curve."""
    x = rows(m, 1, seed=m)
    found = count_copies(np.hstack([x**k for k in range(1, power + 1)]))
    assert found.near <= 0.002 * m
    assert count_copies(rows(m, 6)).near == 0


def test_near_duplicates_match_pairwise_comparison():
    X = rows(400, 5, seed=3)
    X = np.vstack([X, jittered(X[:50], 1e-5), jittered(X[50:80], 0.3)])
    spread = X.std(axis=0)
    apart = np.linalg.norm((X[:, None] - X) / spread, axis=2)
    groups = near_duplicate_groups(X)
    together = groups[:, None] == groups
    assert together[apart < 1e-4].all()
    assert not together[apart > 0.1].any()
    assert (together.sum() - len(X)) // 2 == 50


def test_near_duplicates_are_scale_invariant():
    X = rows(500, 4)
    X = np.vstack([X, jittered(X[:40], 1e-6)])
    units = np.array([1e-3, 1.0, 1e4, 7.0])
    assert (
        near_duplicate_groups(X).tolist()
        == near_duplicate_groups(X * units + [0, 5, 1e5, -3]).tolist()
    )


def test_shifted_grids_cover_cell_edges():
    edge = cells(np.array([[1.0 - 1e-9, 0.4], [1.0 + 1e-9, 0.4]]))
    assert [one == other for one, other in edge] == [False, True]
    middle = cells(np.array([[0.5 - 1e-9, 0.4], [0.5 + 1e-9, 0.4]]))
    assert [one == other for one, other in middle] == [True, False]


def test_text_differing_in_case_or_spaces_is_equal():
    frame = pd.DataFrame(
        {"city": ["Oslo", "oslo ", "Bo", "New  York", "new york"] * 3, "n": [1, 1, 2, 3, 3] * 3}
    )
    schema = TableSchema.infer(frame)
    X = schema.transform(frame)
    assert schema.feature_names[:5] == ("city=Bo", "city=New  York", "city=Oslo", "city=new york",
                                        "city=oslo")  # fmt: skip
    before = X.copy()
    groups = near_duplicate_groups(schema.normalize_spelling(X))
    assert groups[:5].tolist() == [0, 0, groups[2], groups[3], groups[3]]
    assert len(set(groups)) == 3
    assert (before == X).all()
    assert count_copies(X, schema) == (10, 2)
    other = TableSchema.infer(frame[["n"]])
    assert other.normalize_spelling(X[:, -1:]) is not None


def table(m=300):
    """Rows of which a third is repeated, rounded and in another spelling."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.standard_normal((m, 3)), columns=["a", "b", "c"])
    frame["city"] = rng.choice(["Oslo", "Bo"], m)
    frame["y"] = rng.choice(["in", "out"], m)
    again = frame.iloc[: m // 3].copy()
    again["a"] = again["a"].round(5)
    again["city"] = again["city"].str.upper()
    return pd.concat([frame, again], ignore_index=True)


def named(found, name):
    return [one for one in found if one.name == name]


def test_near_duplicates_across_the_split_are_reported_and_grouped():
    config = TrainConfig(epochs=1, target=("y",))
    apart = train(table(), config)
    found = evaluate(apart.model, apart.data.test, train=apart.data.train.X).findings
    (finding,) = named(found, "duplicates across the split")
    assert finding.message == "Some held-out rows are nearly equal to rows that were trained on."
    stated = int(finding.evidence.split()[0])
    # the pairs whose halves are on different sides, counted from the table
    test = set(apart.data.test_rows.tolist())
    pairs = [(i in test, 300 + i in test) for i in range(100)]
    across = sum(one != other for one, other in pairs)
    assert stated == across > 10
    kept = train(table(), TrainConfig(epochs=1, target=("y",), group_duplicates=True))
    found = evaluate(kept.model, kept.data.test, train=kept.data.train.X).findings
    assert not named(found, "duplicates across the split")
    (within,) = named(found, "repeated rows")
    test = set(kept.data.test_rows.tolist())
    pairs = [(i in test, 300 + i in test) for i in range(100)]
    assert all(one == other for one, other in pairs)
    assert within.evidence.startswith(f"{sum(one for one, _ in pairs)} of {len(test)} ")


def test_near_duplicates_are_found_in_other_data():
    frame = table(300).iloc[:300]
    schema = TableSchema.infer(frame, exclude=("y",))
    train = schema.transform(frame)
    X = schema.transform(frame.assign(a=frame["a"] + 1e-6))
    _, equal, alike = match_rows(train, X, schema)
    assert alike.all()
    assert equal.mean() < 0.2  # some are the same in float32
    fresh = schema.transform(frame.assign(a=frame["a"] + 0.5))
    assert not match_rows(train, fresh, schema).near.any()


def test_no_width_finds_only_equal_rows():
    x = rows(3000, 1)
    assert cell_width(x) is None
    assert not match_rows(x, x + 1e-9).near.any()
    assert match_rows(x, x).near.all()


def test_split_normalizes_spelling_for_groups():
    asked = []

    def group(X):
        asked.append(X)
        return np.arange(len(X))

    split(TableSource(table(), target=("y",), group=group), np.random.default_rng(0))
    (X,) = asked
    city = X[:, 3:7]  # BO, Bo, OSLO, Oslo: two of them are never used
    assert (city.sum(axis=0) > 0).sum() == 2


def test_equal_and_nearly_equal_rows_are_distinguished():
    frame = table()
    run = train(frame, TrainConfig(epochs=1, target=("y",), test_fraction=0))
    some = frame.iloc[[*range(30), *range(300, 330)]]
    rows = Examples(run.model.schema.transform(some), run.model.target.encode(some))
    found = evaluate(run.model, rows).findings
    (within,) = named(found, "repeated rows")
    assert within.message == "Some of these rows are nearly equal to others of them."
    assert within.evidence == "30 of 60 repeat an earlier one"
    assert "in case or spaces alone" in within.cause
    assert repeated_rows(False, Copies(5, 2), 100)[0].message == (
        "Some of these rows are equal, 2 of them only nearly, to others of them."
    )
    assert repeated_rows(False, Copies(5, 0), 100) == []
    assert repeated_rows(True, Copies(1, 0), 100)[0].name == "repeated pictures"


@pytest.mark.parametrize("values", [None, 3])
def test_a_sample_keeps_copies_together(monkeypatch, values):
    """Half of the rows are copies of the others; of few values, all rows have many copies."""
    monkeypatch.setattr(duplicates, "MOST_ROWS", 2000)
    rng = np.random.default_rng(0)
    X = rows(5000, 4) if values is None else rng.integers(0, values, (5000, 4)).astype(float)
    order = rng.permutation(10_000)
    X = np.vstack([X, jittered(X, 1e-7 if values is None else 0)])[order]
    first, second = sample_rows(X[:8000], X[8000:])
    assert len(first) + len(second) == 2000
    chosen = set(order[np.append(first, 8000 + second)].tolist())
    together = sum((i + 5000) % 10_000 in chosen for i in chosen)
    assert together > (0.98 if values is None else 0.2) * 2000
    matches = match_rows(X[:8000], X[8000:])
    assert (matches.rows == second).all()
    partner = (order[8000:] + 5000) % 10_000
    truth = np.isin(partner, order[:8000]).mean() if values is None else 1
    assert matches.near.mean() == pytest.approx(truth, abs=0.05)


def test_findings_of_many_rows_name_the_sample():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.standard_normal(60_000), "b": rng.standard_normal(60_000)})
    frame = pd.concat([frame, frame], ignore_index=True)
    frame["y"] = rng.choice(["in", "out"], len(frame))
    run = train(frame, TrainConfig(epochs=1, hidden=(2,), batch_size=4096, target=("y",)))
    assert run.data.notes[-1].endswith("copies were looked for on a sample of 100,000 rows")
    found = Evaluation.from_json(run.model.record["evaluation"], run.model.target).findings
    (across,) = named(found, "duplicates across the split")
    number, _, of = across.evidence.split()[:3]
    share = int(number.replace(",", "")) / int(of.replace(",", ""))
    assert share == pytest.approx(0.8, abs=0.01)  # the other copy is among the training rows
    assert "%) on a sample of 100,000 rows; right: " in across.evidence
    assert [one.evidence for one in named(found, "sampled rows")] == ["120,000 rows"]
