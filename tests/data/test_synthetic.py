"""Generated data: the points of the course to the last bit, a survey, and drawn pictures."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from plainnet.data.synthetic import (
    circles,
    flower,
    introverts,
    moons,
    pandas_and_bears,
    spiral,
)
from plainnet.errors import DataError

TWO_DIMENSIONAL = [moons, circles, flower, spiral]


def descend(
    X: np.ndarray, y: np.ndarray, W: list[np.ndarray], tanh: bool, lr: float, steps: int
) -> float:
    """Give the course's cost after so many steps, samples being columns as the course has them."""
    b = [np.zeros((len(w), 1)) for w in W]
    for step in range(steps + 1):
        A = [X.T]
        for w, bias in zip(W, b, strict=True):
            Z = w @ A[-1] + bias
            last = len(A) == len(W)
            A.append(1 / (1 + np.exp(-Z)) if last else np.tanh(Z) if tanh else np.maximum(Z, 0))
        if step == steps:
            break
        dZ = (A[-1] - y) / len(y)
        for i in reversed(range(len(W))):
            dW, db = dZ @ A[i].T, dZ.sum(axis=1, keepdims=True)
            dZ = (W[i].T @ dZ) * (1 - A[i] ** 2 if tanh else A[i] > 0)
            W[i], b[i] = W[i] - lr * dW, b[i] - lr * db
    return float(-np.mean(y * np.log(A[-1]) + (1 - y) * np.log(1 - A[-1])))


@pytest.mark.parametrize(("steps", "published"), [(0, "0.693048"), (1000, "0.288083")])
def test_flower_matches_the_planar_assignment(steps: int, published: str) -> None:
    stream = np.random.RandomState(2)
    W = [0.01 * stream.randn(4, 2), 0.01 * stream.randn(1, 4)]
    assert f"{descend(*flower(n=400, seed=1), W, tanh=True, lr=1.2, steps=steps):.6f}" == published


@pytest.mark.parametrize(("steps", "published"), [(0, "0.883054"), (1000, "0.687983")])
def test_circles_match_the_initialization_assignment(steps: int, published: str) -> None:
    stream = np.random.RandomState(3)
    shapes = [(10, 2), (5, 10), (1, 5)]
    W = [stream.randn(*shape) * np.sqrt(2 / shape[1]) for shape in shapes]
    X, y = circles(n=300, noise=0.05, seed=1)
    assert f"{descend(X, y, W, tanh=False, lr=0.01, steps=steps):.6f}" == published


def test_moons_match_the_optimization_assignment() -> None:
    """The published cost after epoch 0 is that of its fifth batch: 44 points, four steps on."""
    stream = np.random.RandomState(3)
    shapes = [(5, 2), (2, 5), (1, 2)]
    W = [stream.randn(*shape) * np.sqrt(2 / shape[1]) for shape in shapes]
    b = [np.zeros((len(w), 1)) for w in W]
    X, y = moons(n=300, noise=0.2, seed=3)
    order = np.random.RandomState(11).permutation(300)
    for start in range(0, 300, 64):
        rows = order[start : start + 64]
        A = [X[rows].T]
        for i in range(3):
            Z = W[i] @ A[-1] + b[i]
            A.append(np.maximum(Z, 0) if i < 2 else 1 / (1 + np.exp(-Z)))
        cost = -np.mean(y[rows] * np.log(A[-1]) + (1 - y[rows]) * np.log(1 - A[-1]))
        dZ = (A[-1] - y[rows]) / len(rows)
        for i in (2, 1, 0):
            dW, db = dZ @ A[i].T, dZ.sum(axis=1, keepdims=True)
            dZ = (W[i].T @ dZ) * (A[i] > 0)
            W[i], b[i] = W[i] - 0.0007 * dW, b[i] - 0.0007 * db
    assert f"{cost:.6f}" == "0.690736"


@pytest.mark.parametrize("sample", TWO_DIMENSIONAL)
@pytest.mark.parametrize("n", [7, 100])
def test_point_counts_and_balanced_classes(sample: Callable[..., object], n: int) -> None:
    X, y = sample(n=n)  # type: ignore[misc]
    assert X.shape == (n, 2)
    assert X.dtype == np.float64
    assert y.dtype == np.int64
    assert np.ptp(np.bincount(y)) <= 1
    again, other = sample(n=n, seed=0)[0], sample(n=n, seed=1)[0]  # type: ignore[index]
    np.testing.assert_array_equal(X, again)
    assert not np.array_equal(X, other)


def test_points_without_noise_are_on_their_curves() -> None:
    X, y = circles(n=50, noise=0.0)
    np.testing.assert_allclose(np.hypot(*X.T), np.where(y == 0, 1, 0.8))
    X, y = moons(n=50, noise=0.0)
    center = np.where(y[:, None] == 0, (0, 0), (1, 0.5))
    np.testing.assert_allclose(np.hypot(*(X - center).T), 1)
    assert (np.where(y == 0, 1, -1) * (X - center)[:, 1] >= -1e-12).all()
    X, y = spiral(n=500, classes=5, noise=0.0)
    radius = np.hypot(*X.T)
    turn = np.arctan2(X[:, 0], X[:, 1]) - 4 * radius - 2 * np.pi * y / 5
    np.testing.assert_allclose(np.cos(turn), 1)
    assert np.bincount(y).tolist() == [100] * 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moons(n=1), "this sample needs n of at least 2, got 1"),
        (lambda: circles(n=0), "this sample needs n of at least 2, got 0"),
        (lambda: flower(n=-1), "this sample needs n of at least 2, got -1"),
        (lambda: spiral(n=2, classes=3), "this sample needs n of at least 3, got 2"),
        (lambda: spiral(classes=1), "a spiral needs at least 2 classes, got 1"),
        (lambda: introverts(n=1), "this sample needs n of at least 2, got 1"),
        (lambda: moons(noise=-0.1), "the noise must be 0 or more, got -0.1"),
        (lambda: circles(noise=float("nan")), "the noise must be 0 or more, got nan"),
        (lambda: pandas_and_bears(n=1), "this sample needs n of at least 2, got 1"),
        (lambda: pandas_and_bears(size=7), "drawn pictures have a size of 8 to 512 pixels, got 7"),
    ],
)
def test_invalid_arguments_raise(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message


RANGES = {
    "Time_spent_Alone": 11,
    "Social_event_attendance": 10,
    "Going_outside": 7,
    "Friends_circle_size": 15,
    "Post_frequency": 10,
}
ANSWERS = ("Stage_fear", "Drained_after_socializing")


def test_survey_ranges_and_missing_cells() -> None:
    survey = introverts()
    assert len(survey) == 2000
    for name, most in RANGES.items():
        column = survey[name].dropna()
        assert sorted(column.unique()) == list(range(most + 1))
        assert not np.signbit(column).any()  # no -0.0 in what is shown
    for name in ANSWERS:
        assert set(survey[name].dropna()) == {"No", "Yes"}
    assert set(survey["Personality"]) == {"Extrovert", "Introvert"}
    assert abs((survey["Personality"] == "Introvert").mean() - 0.49) < 0.04
    assert abs(survey.isna().any(axis=1).mean() - 0.15) < 0.02
    assert (survey.drop(columns="Personality").isna().mean() > 0.01).all()
    pd.testing.assert_frame_equal(survey, introverts(seed=0))
    assert not survey.equals(introverts(seed=1))


def test_survey_resembles_the_real_survey(shared_data: pd.DataFrame) -> None:
    real = pd.read_csv(shared_data / "introverts.csv")
    survey = introverts(len(real))
    assert list(survey.columns) == list(real.columns)
    assert survey.dtypes.equals(real.dtypes)
    for name, most in RANGES.items():
        assert (real[name].min(), real[name].max()) == (0, most)
        for kind in ("Introvert", "Extrovert"):
            means = [f.loc[f["Personality"] == kind, name].mean() for f in (real, survey)]
            assert abs(means[0] - means[1]) < 0.12 * most
    rows = set(real.itertuples(index=False, name=None))  # it is no copy: few rows meet by chance
    assert sum(row in rows for row in survey.itertuples(index=False, name=None)) < 0.2 * len(real)


def test_survey_is_learnable_with_errors() -> None:
    """Counting the answers that point to an introvert finds nine in ten, as on the real survey."""
    for seed in (0, 1, 2):
        survey = introverts(seed=seed)
        points = sum((survey[name] == "Yes").astype(float) - 0.5 for name in ANSWERS)
        for name, most in RANGES.items():
            towards = 1 if name == "Time_spent_Alone" else -1
            points = points + towards * (survey[name].fillna(most * 0.4) / most - 0.4)
        right = ((points > 0) == (survey["Personality"] == "Introvert")).mean()
        assert 0.87 < right < 0.95


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    X, y, classes = pandas_and_bears()
    assert classes == ("bears", "pandas")
    return X, y


def test_drawn_pictures_shape_and_seed(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = drawn
    assert X.shape == (400, 64, 64, 3)
    assert X.dtype == np.uint8
    assert y.tolist() == [0, 1] * 200
    assert len(np.unique(X.reshape(400, -1), axis=0)) == 400
    np.testing.assert_array_equal(pandas_and_bears(n=9)[0], X[:9])
    assert not np.array_equal(pandas_and_bears(n=9, seed=1)[0], X[:9])
    assert pandas_and_bears(n=2, size=150)[0].shape == (2, 150, 150, 3)


def test_drawn_pictures_vary(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """In brightness from picture to picture, and at every pixel within either class."""
    X, y = drawn
    brightness = X.mean(axis=(1, 2, 3))
    assert brightness.min() < 60 < 140 < brightness.max()
    for k in (0, 1):
        assert X[y == k].std(axis=0).min() > 20


def separated(features: np.ndarray, y: np.ndarray) -> float:
    """Give the accuracy of the best plane by least squares, on the pictures it was fitted to."""
    F = np.column_stack([features, np.ones(len(y))])
    w = np.linalg.lstsq(F, 2.0 * y - 1, rcond=None)[0]
    return float(((F @ w > 0) == y).mean())


def test_color_alone_does_not_tell_pandas_from_bears(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    """Means, spreads and colorfulness say next to nothing, as both wear the same colors."""
    X, y = drawn
    F = X.reshape(400, -1, 3) / 255
    colorful = (F.max(axis=2) - F.min(axis=2)).mean(axis=1)
    assert separated(np.column_stack([F.mean(axis=1), F.std(axis=1), colorful]), y) < 0.65


def test_four_layer_network_learns_the_drawn_pictures(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    """12288-8-8-8-1 by gradient descent alone, on 320 of them: to a cost below 0.01.

    The first weights move within the rows of X only, so that X Q, with Q a basis of those rows,
    trains the same network in a fraction of the time.
    """
    X, y = drawn[0][:320], drawn[1][:320]
    pixels = X.reshape(-1, 3).astype(np.float64)
    rows = ((pixels - pixels.mean(axis=0)) / pixels.std(axis=0)).reshape(320, -1)
    rng = np.random.default_rng(2)
    sizes = [12288, 8, 8, 8, 1]
    W = [rng.normal(0, np.sqrt(2 / n), (m, n)) for n, m in pairwise(sizes)]
    with threadpool_limits(1):  # threads only slow such small products down
        Q = np.linalg.qr(rows.T)[0]
        W[0] = W[0] @ Q
        assert descend(rows @ Q, y, W, tanh=False, lr=0.01, steps=1200) < 0.01
