"""Fingerprints estimate the share of trained rows and reveal no single row."""

import numpy as np
import pandas as pd
import pytest

from plainnet import Model, TrainConfig
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.data.table_schema import TableSchema
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.membership import guess_probability, hashes, trained_share
from plainnet.evaluate.row_hashes import hash_rows
from plainnet.training import train

QUICK = TrainConfig(epochs=1, hidden=(), test_fraction=0)


def people(m, seed=0):
    """Distinct rows of a space too large to enumerate."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.standard_normal((m, 3)), columns=["a", "b", "c"])
    frame["age"], frame["city"] = rng.integers(18, 80, m), rng.choice(list("pqrs"), m)
    return frame.assign(y=rng.choice(["no", "yes"], m))


def loaded(result, folder):
    result.model.save(folder / "m.safetensors")
    return Model.load(folder / "m.safetensors")


def rows_of(extras):
    return sorted(name for name in extras if name.startswith("rows."))


def matches(model, X):
    """Return whether a file has fingerprints, and which rows find their bit set."""
    packed, [part] = model.extras["rows.bits"].astype(np.int64), model.extras["rows.part"]
    marks = hashes(X, model.schema)
    position = (marks % np.uint64(16 * len(packed))).astype(np.int64)
    return (marks >> np.uint64(32)) < part * 2**32, (
        packed[position // 16] >> position % 16
    ) % 2 == 1


# --- the attack ----------------------------------------------------------------------------------


def every_possible_row(schema):
    """Enumerate all rows that the ranges and levels of a model file allow."""
    values = [
        np.arange(column.low, column.high + 1) if column.kind == "number" else [False, True]
        for column in schema.columns
    ]
    grid = np.meshgrid(*values, indexing="ij")
    names = [column.name for column in schema.columns]
    return pd.DataFrame({name: part.ravel() for name, part in zip(names, grid, strict=True)})


def numbers_in(value):
    """Return all non-integer numbers of a header."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers_in(one)]
    return [value] if isinstance(value, float) and value != round(value) else []


def test_survey_rows_cannot_be_enumerated(shared_data_or_none, tmp_path):
    if shared_data_or_none is None:
        source = tmp_path / "survey.csv"
        introverts(2900).to_csv(source, index=False)
    else:
        source = shared_data_or_none / "introverts.csv"
    result = train(source, TrainConfig(target=("Personality",), epochs=30))
    model = loaded(result, tmp_path)
    tried = model.schema.transform(every_possible_row(model.schema))
    assert len(tried) > 500_000
    marks = hash_rows(tried)
    parts = (result.data.train, result.data.test)
    trained, tested = (np.isin(marks, hash_rows(part.X)) for part in parts)
    assert trained.sum() > 1000
    # nothing is there to compare with
    assert rows_of(model.extras) == []
    assert trained_share(model, tried[:1000]) is None
    # where a number of the file is an output of the network, that is by chance
    p = model.predictions(tried)[:, 0].astype(np.float64)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    numbers = sorted({*numbers_in(model.record), *numbers_in(model.schema.to_json())})
    right = hits = 0
    for values in (p, 1 - p, np.log(p / (1 - p)), -np.log(p), -np.log(1 - p), p**2, (1 - p) ** 2):
        order = np.argsort(values)
        ends = np.searchsorted(values[order], np.add.outer([-1e-7, 1e-7], numbers))
        found = np.concatenate([order[low:high] for low, high in ends.T])
        right, hits = right + int((trained | tested)[found].sum()), hits + len(found)
    assert hits > 100
    assert right <= 0.02 * hits


def test_match_raises_the_odds_at_most_fivefold(tmp_path):
    """An attacker tests training rows among a hundred times as many plausible rows."""
    frame = people(2000)
    model = loaded(train(frame, QUICK), tmp_path)
    assert rows_of(model.extras) == ["rows.bits", "rows.part"]
    trained = model.schema.transform(frame)
    # fresh ones differ from real ones in one cell alone
    fresh = model.schema.transform(people(2000).assign(age=people(2000, 1)["age"]))
    fresh = fresh[~np.isin(hash_rows(fresh), hash_rows(model.schema.transform(frame)))]
    asked, hits = matches(model, trained)
    assert hits[asked].all()
    asked, hits = matches(model, fresh)
    assert asked.mean() > 0.5
    false = hits[asked].mean()
    assert false == pytest.approx(0.2, abs=0.03)
    # precision, where one of 100 rows was trained on: by chance 1 %, with the filter below 5 %
    precision = 0.01 / (0.01 + 0.99 * false)
    assert 0.04 < precision < 0.06


def test_several_models_reveal_hardly_more_than_one(tmp_path):
    frame = people(3000)
    models = [
        loaded(
            train(frame, TrainConfig(epochs=1, hidden=(), test_fraction=0.2, seed=seed)),
            tmp_path,
        )
        for seed in range(2)
    ]
    fresh = people(3000, seed=7)
    (asked, hits), (also_asked, others) = (
        matches(model, model.schema.transform(fresh)) for model in models
    )
    asked &= also_asked
    assert asked.sum() > 1000
    assert (hits & others)[asked].mean() > 0.14  # independent filters would leave 0.2^2 = 0.04


def test_model_file_contains_only_weights_and_the_filter(tmp_path):
    X, y, classes = pandas_and_bears(200, size=8)
    for result in (train(people(300), QUICK), train((X, y, classes), QUICK)):
        model = loaded(result, tmp_path)
        weights = {name for name in model.extras if name.startswith("baseline.")}
        m = len(result.data.train.X)
        assert all(m not in model.extras[name].shape for name in weights)
        assert set(model.extras) == weights | {"rows.bits", "rows.part"}
        # fewer bits than five a row, all told
        assert 16 * model.extras["rows.bits"].size < 5 * m


# --- where single rows could be guessed ----------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "kept"),
    [
        (people(99), False),  # too few
        (people(300), True),
        (introverts(2900), False),  # many rows are equal
        (pd.concat([people(500), people(500).iloc[:30]]), False),  # some are
        (people(500).drop(columns=["a", "b", "c"]), False),  # few are possible
        (people(150)[["a", "y"]].round(3), False),  # 150 of about 5000, although few are equal
        (people(150)[["a", "b", "y"]].round(3), True),
    ],
)
def test_no_filter_where_rows_could_be_guessed(frame, kept):
    model = train(frame, QUICK).model
    assert bool(rows_of(model.extras)) == kept


def test_guess_probability_by_counting():
    """Independent columns: the frequency of new rows among the training rows."""
    rng = np.random.default_rng(0)

    def some(m):
        ages = np.minimum(rng.geometric(0.1, m), 40)
        return pd.DataFrame({"age": ages, "n": rng.integers(0, 300, m), "z": rng.integers(0, 9, m)})

    frame = some(1000)
    schema = TableSchema.infer(frame)
    X = schema.transform(frame)
    often = np.isin(hash_rows(schema.transform(some(100_000))), hash_rows(X)).mean()
    probability = guess_probability(X, schema, hashes(X, schema))
    assert probability == pytest.approx(often, rel=0.5)
    assert probability >= often


def test_row_hash_is_equal_in_all_models_of_a_table():
    frame = people(1000)
    marks = []
    for rows, scaling in ((frame, "standard"), (frame.iloc[:700], "standard"), (frame, "none")):
        schema = TableSchema.infer(frame, exclude=("y",)).fit(rows, scaling)
        marks.append(hashes(schema.transform(frame), schema))
    assert (marks[0] == marks[1]).mean() > 0.95
    assert len(set(marks[0])) == len(set(marks[2])) == 1000


# --- the estimate --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    result = train(people(1000), QUICK)
    schema = result.model.schema
    return result.model, schema.transform(people(1000)), schema.transform(people(60_000, seed=1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("m", [50, 200, 1000])
def test_interval_contains_the_share(trained, m, share):
    model, known, fresh = trained
    rng, k, held = np.random.default_rng(m), round(share * m), 0
    warned = 0
    for _ in range(200):
        old, new = rng.choice(1000, k, replace=False), rng.choice(60_000, m - k, replace=False)
        found = trained_share(model, np.vstack([known[old], fresh[new]]))
        held += found.low <= share <= found.high
        warned += found.low > 0.05
    assert held >= 0.95 * 200
    if share == 0:
        assert warned <= (2 if m == 50 else 0)  # of 200 sets that nobody trained on
    if share >= 0.5:
        assert warned == 200


def test_copies_do_not_narrow_the_interval(trained):
    model, known, _ = trained
    once = trained_share(model, known[:50])
    assert trained_share(model, np.tile(known[:50], (20, 1))) == once


def test_evaluation_warns_of_training_rows(tmp_path):
    result = train(people(1000), TrainConfig(epochs=1, test_fraction=0.3))
    model = loaded(result, tmp_path)
    found = evaluate(model, result.data.train)
    (warning,) = [one for one in found.findings if one.name == "rows trained on"]
    assert warning.level == "warning"
    assert warning.message.startswith("Most of these rows were trained on: ")
    assert warning.evidence.startswith("about 100.0 %, 95 % interval 99.")
    assert found.verdict.startswith("No verdict, for at least 99.")
    assert found.to_json()["trained_on"]["value"] == 1.0
    fresh = evaluate(model, result.data.test)
    assert "rows trained on" not in [one.name for one in fresh.findings]
    assert fresh.trained_on.low == 0.0
    assert not fresh.verdict.startswith("No verdict")


def test_pictures_have_a_filter(tmp_path):
    X, y, classes = pandas_and_bears(300, size=12)
    model = loaded(train((X[:200], y[:200], classes), QUICK), tmp_path)
    assert trained_share(model, X[:200]).low > 0.9
    assert trained_share(model, X[200:]).low < 0.05


@pytest.mark.parametrize(
    "edit",
    [
        {"rows.bits": np.zeros(0)},
        {"rows.bits": np.full(8, 0.5)},
        {"rows.bits": np.full(8, -1.0)},
        {"rows.bits": np.full(8, 65536.0)},
        {"rows.bits": np.full((8, 1), 1.0)},
        {"rows.bits": np.zeros(8)},
        {"rows.bits": np.full(8, 65535.0)},
        {"rows.part": np.zeros(0)},
        {"rows.part": np.array([1.5])},
        {"rows.part": np.array([0.0])},
    ],
)
def test_edited_filter_is_ignored(edit):
    model = train(people(150), QUICK).model
    assert trained_share(model, model.preprocess(people(150))) is not None
    model.extras |= edit
    assert trained_share(model, model.preprocess(people(150))) is None
