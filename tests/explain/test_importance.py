"""Permutation importance: informative columns are found, and noise is consistent with zero."""

import json
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from nn.cases import LOSSES
from plainnet.config import TrainConfig
from plainnet.data.synthetic import pandas_and_bears
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.errors import PlainnetError
from plainnet.evaluate.per_example import NamedExamples, read_rows, row_scores
from plainnet.explain.excerpt import as_json
from plainnet.explain.importance import groups, importance
from plainnet.model import Model
from plainnet.nn import BinaryCrossEntropy, MeanSquaredError, mlp
from plainnet.training import train


def informative_table(m=400, seed=0, noise=0.5):
    """y depends on `strong`, slightly on `weak`, and not on `noise`."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 3))
    y = np.where(3 * X[:, 0] + X[:, 1] + noise * rng.standard_normal(m) > 0, "yes", "no")
    return pd.DataFrame({"noise": X[:, 2], "weak": X[:, 1], "strong": X[:, 0], "y": y})


@pytest.fixture(scope="module")
def model():
    return train(informative_table(), TrainConfig(hidden=(8,), epochs=40, lr=0.01)).model


def test_zero_change_has_no_sign(model):
    found = importance(
        model, read_rows(model, informative_table(m=50, seed=1).assign(noise=0.0)), repeats=1
    )
    (noise,) = (one for one in found if one.name == "noise")
    assert str(astuple(noise.score_change)) == "(0.0, 0.0, 0.0)"


def test_informative_column_is_first_and_noise_includes_zero(model):
    found = importance(model, read_rows(model, informative_table(seed=1)))
    assert [one.name for one in found] == ["strong", "weak", "noise"]
    strong, weak, noise = found
    assert strong.loss_rise.low > weak.loss_rise.high > weak.loss_rise.low > 0
    assert noise.loss_rise.low <= 0 <= noise.loss_rise.high
    assert strong.score_change.mean > 0.2
    assert strong.metric_name == "accuracy"
    assert abs(noise.score_change.mean) < 0.02
    json.dumps(as_json(tuple(found), 0), allow_nan=False)


def test_intervals_of_noise_have_nominal_coverage(model):
    """In about 3 of 60 new samples, the interval of a pure noise column excludes 0."""
    missed = 0
    for seed in range(60):
        found = importance(
            model, read_rows(model, informative_table(m=150, seed=100 + seed)), repeats=8
        )
        noise = next(one for one in found if one.name == "noise")
        missed += not noise.loss_rise.low <= 0 <= noise.loss_rise.high
    assert missed <= 8


def test_by_hand():
    """z = x is exact for the rows -1 and 1. After the swap, both errors are 2, squares 4."""
    frame = pd.DataFrame({"x": [-1.0, 1.0], "y": [-1.0, 1.0]})
    schema = TableSchema.infer(frame, exclude=["y"])
    target = Target.infer(frame, ["y"], "regression")
    net = mlp(1, hidden=(), init="ones")
    model = Model(schema, target, net, MeanSquaredError())
    (found,) = importance(model, read_rows(model, frame), repeats=3)
    assert found.name == "x"
    assert found.metric_name == "MAE"
    assert astuple(found.loss_rise) == (4.0, 4.0, 4.0)  # two rows can be exchanged in one way only
    assert astuple(found.score_change) == (2.0, 2.0, 2.0)


def test_interval_matches_the_u_statistic():
    """z = x: all pairs of receiving row i and source row j (Hoeffding, 1948)."""
    rng = np.random.default_rng(3)
    x = np.append(rng.standard_normal(14), 6.0)  # one value that is costly to be given
    y = x + 0.3 * rng.standard_normal(15)
    frame = pd.DataFrame({"x": x, "y": y})
    schema = TableSchema.infer(frame, exclude=["y"])
    target = Target("regression", ("y",), (), (float(x.mean()),), (float(x.std()),))
    model = Model(schema, target, mlp(1, hidden=(), init="ones"), MeanSquaredError())
    (found,) = importance(model, read_rows(model, frame), repeats=2000)
    h = ((x[None, :] - y[:, None]) ** 2 - ((x - y) ** 2)[:, None]) / x.var()
    np.fill_diagonal(h, 0)
    influence = (h.sum(axis=0) + h.sum(axis=1)) / 14
    assert found.loss_rise.mean == pytest.approx(h.sum() / (15 * 14), rel=0.02)
    half = 1.959964 * influence.std(ddof=1) / np.sqrt(15)
    assert found.loss_rise.high - found.loss_rise.mean == pytest.approx(half, rel=0.05)


def test_unused_column_has_zero_importance():
    frame = informative_table()
    schema = TableSchema.infer(frame, exclude=["y"])
    net = mlp(3, hidden=())
    net.params.load({"dense1.W": np.array([[0, 1, 2]], "f"), "dense1.b": np.zeros(1, "f")})
    model = Model(schema, Target.infer(frame, ["y"]), net, BinaryCrossEntropy())
    unread = importance(model, read_rows(model, frame), repeats=3)[-1]
    assert unread.name == "noise"
    assert astuple(unread.loss_rise) == (0.0, 0.0, 0.0)


def test_features_of_a_column_are_permuted_together():
    m = 60
    frame = pd.DataFrame(
        {
            "city": [("Oslo", "Bo", "Rom")[i % 3] for i in range(m)],
            "n": [None if i % 5 == 0 else i for i in range(m)],
            "same": ["1"] * m,
            "y": ["a" if i % 3 == 0 else "b" for i in range(m)],
        }
    )
    model = train(frame, TrainConfig(epochs=1)).model
    assert [(name, len(columns)) for name, columns in groups(model)] == [("city", 3), ("n", 2)]
    together = np.concatenate([columns for _, columns in groups(model)])
    assert together.tolist() == list(range(model.schema.n_features))


def test_seed_determines_the_sample(model, monkeypatch):
    rows = read_rows(model, informative_table(seed=1))
    one, same = (
        importance(model, rows, repeats=2, seed=5),
        importance(model, rows, repeats=2, seed=5),
    )
    other = importance(model, rows, repeats=2, seed=6)
    assert one == same != other
    monkeypatch.setattr("plainnet.explain.importance.MOST_ROWS", 50)
    few = importance(model, rows, repeats=2)
    assert few[0].name == "strong"
    assert (
        few[0].loss_rise.high - few[0].loss_rise.low > one[0].loss_rise.high - one[0].loss_rise.low
    )


def test_rows_are_unchanged(model):
    rows = read_rows(model, informative_table(seed=1))
    before = rows.X.copy(), model.net.params.theta.copy()
    rows.X.flags.writeable = False
    importance(model, rows, repeats=1)
    np.testing.assert_array_equal(rows.X, before[0])
    np.testing.assert_array_equal(model.net.params.theta, before[1])


def test_pictures_are_divided_into_tiles():
    X, y, classes = pandas_and_bears(20, size=10)
    y[:] = np.arange(20) % 2
    X[:] = 40
    X[y == 1, :3, 8:] = 200  # the upper right corner alone differs
    model = train((X, y, classes), TrainConfig(hidden=(), epochs=60, lr=0.01)).model
    assert sum(len(columns) for _, columns in groups(model)) == 300
    found = importance(model, NamedExamples(tuple("x" * 20), X, y.astype(np.float32)), repeats=3)
    assert found[0].name == "pixels 0-2 down, 8-9 across"
    assert found[0].loss_rise.low > 0
    assert found[-1].loss_rise.mean == pytest.approx(0, abs=1e-6)


def test_one_row_raises(model):
    with pytest.raises(PlainnetError) as error:
        importance(model, read_rows(model, informative_table(m=1)))
    assert str(error.value) == "importance needs at least 2 rows to exchange values, got 1"


@pytest.mark.parametrize("name", LOSSES)
def test_mean_of_example_losses_is_the_loss(name):
    make, n_out, draw = LOSSES[name]
    loss, rng = make(), np.random.default_rng(0)
    Z = 3 * rng.standard_normal((9, n_out))
    y = loss.encode(draw(rng, 9), n_out, np.float64)
    each = loss.per_example(Z, y)
    assert each.shape == (9,)
    assert each.mean() == pytest.approx(loss(Z, y)[0], rel=1e-12)
    assert each[4] == pytest.approx(loss(Z[4:5], y[4:5])[0], rel=1e-12)


def test_mean_of_example_scores_is_the_score(model):
    rows = read_rows(model, informative_table(seed=2))
    Z = model.net.predict_logits(rows.X)
    y = model.loss.encode(rows.y, 1)
    assert row_scores(model, Z, y).mean() == pytest.approx(model.loss.metric(Z, y))
