"""Invalid input raises in one sentence and changes nothing."""

import numpy as np
import pandas as pd
import pytest

from plainnet import (
    Adam,
    BinaryCrossEntropy,
    Cosine,
    MeanSquaredError,
    NetClassifier,
    NetRegressor,
    PlainnetError,
    TrainingError,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)), np.arange(20) % 2


def classifier(**options):
    return NetClassifier(**{"hidden": (4,), "epochs": 2, **options})


OPTIONS = [
    (
        {"hidden": 8},
        "NetClassifier: hidden must be a sequence of whole numbers such as (8, 8) or None, got 8",
    ),
    (
        {"hidden": (), "dropout": 0.5},
        "dropout, batch_norm and layer_norm belong to hidden layers, and there is none: "
        "leave them out or set hidden",
    ),
    ({"batch_norm": "yes"}, "NetClassifier: batch_norm must be True or False, got 'yes'"),
    ({"standardize": None}, "NetClassifier: standardize must be True or False, got None"),
    (
        {"loss": "mse"},
        "loss 'mse' does not fit a binary target: take BinaryCrossEntropy or SoftmaxCrossEntropy",
    ),
    (
        {"loss": MeanSquaredError()},
        "loss MeanSquaredError does not fit a binary target: "
        "take BinaryCrossEntropy or SoftmaxCrossEntropy",
    ),
    (
        {"optimizer": "lbfgs"},
        "NetClassifier: optimizer must be sgd or rmsprop or adam or adamw, got 'lbfgs'",
    ),
    (
        {"optimizer": Adam(), "lr": 0.1},
        "Adam already has a learning rate: give it lr and schedule, "
        "or name the optimizer by a string",
    ),
    (
        {"lr": Cosine(0.1, 5), "schedule": "cosine"},
        "lr=Cosine(lr=0.1, steps=5, final=0.0) is a schedule already: leave schedule='cosine' out",
    ),
    ({"lr": "fast"}, "NetClassifier: lr must be a number or None, got 'fast'"),
    (
        {"schedule": "adaptive"},
        "NetClassifier: schedule must be constant or step or exponential or cosine or onecycle or "
        "None, got 'adaptive'",
    ),
    ({"epochs": 0}, "NetClassifier: epochs must be a whole number of at least 1, got 0"),
    (
        {"batch_size": "auto"},
        "NetClassifier: batch_size must be a whole number or 'full' or None, got 'auto'",
    ),
    (
        {"validation_fraction": 1.5},
        "NetClassifier: validation_fraction must be a number in [0, 1), got 1.5",
    ),
    (
        {"validation_fraction": (X, Y)},
        "NetClassifier: validation_fraction must be a share of the rows in [0, 1), got tuple: "
        "give fit validation rows as X_val and y_val",
    ),
    (
        {"patience": 3},
        "patience needs validation rows: set validation_fraction=0.1 or so, or give fit X_val and "
        "y_val",
    ),
    ({"callbacks": [5]}, "NetClassifier: callbacks must be a list of functions, got [5]"),
    (
        {"verbose": "loud"},
        "verbose must be True, False or how many epochs lie between two lines, got 'loud'",
    ),
    ({"dtype": "foo"}, "dtype must be 'float32', 'float64' or None, got 'foo'"),
    (
        {"random_state": "a"},
        "a seed is a whole number of at least 0 or a numpy.random.Generator, got 'a'",
    ),
    (
        {"class_weight": "even"},
        "class_weight must be 'balanced' or map classes to weights, got 'even'",
    ),
    ({"class_weight": {5: 1}}, "NetClassifier: class_weight names the class 5, and y holds 0, 1"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda value: str(value)[:30])
def test_invalid_options_raise(options, message):
    net = classifier(**options)
    with pytest.raises(PlainnetError) as caught:
        net.fit(X, Y)
    assert str(caught.value) == message
    assert not [name for name in vars(net) if name.endswith("_")]


ROWS = [
    (
        pd.DataFrame({"a": X[:, 0], "c": ["u", "v"] * 10}),
        Y,
        "NetClassifier expects numbers, but X holds 'u' in row 0, column 1: "
        "encode it first, for example with OneHotEncoder",
    ),
    (
        pd.DataFrame({"a": X[:, 0], "c": pd.array([1, None] * 10, dtype="Int64")}),
        Y,
        "NetClassifier expects numbers, but X holds '<NA>' in row 1, column 1: "
        "fill it first, for example with SimpleImputer "
        "(float() argument must be a string or a real number, not 'NAType')",
    ),
    (
        np.where(np.arange(40).reshape(20, 2) == 5, np.nan, X),
        Y,
        "NetClassifier: X holds NaN in row 2, column 1: "
        "fill it first, for example with SimpleImputer",
    ),
    (
        X * 1e200,
        Y,
        f"column 0 of X holds numbers too large to be standardized "
        f"(up to {np.abs(X[:, 0]).max() * 1e200:.3g}): divide them by a constant first",
    ),
    (X, Y[:5], "NetClassifier: X has 20 rows but y has 5"),
    (X, np.ones(20), "NetClassifier needs at least 2 classes in y, got 1 class: 1.0"),
    (
        X,
        np.linspace(0, 1, 20),
        f"Unknown label type: y is continuous ({np.linspace(0, 1, 20)[1]} in row 1), and "
        "NetClassifier takes classes: use NetRegressor, or round y",
    ),
    (
        X,
        np.array(["a", 1] * 10, dtype=object),
        "Unknown label type: NetClassifier takes texts or whole numbers in y, got int and str",
    ),
    (
        X,
        pd.Series(["a", None] * 10, dtype="string"),
        "NetClassifier: y holds no label in row 1 (<NA>): leave rows without a label out",
    ),
    (
        X,
        np.array([1.0, np.nan] * 10),
        "NetClassifier: y holds NaN in row 1: leave rows without a label out",
    ),
    (
        X,
        np.column_stack([Y, Y + 1]),
        "Unknown label type: y of shape (20, 2) must hold a 0 or 1 for each label, and this one "
        "holds other values; NetClassifier takes one class per row as y of shape (m,)",
    ),
    (
        X,
        np.array(["2026-01-01"] * 20, dtype="datetime64[D]"),
        "Unknown label type: NetClassifier takes texts, whole numbers or booleans in y, "
        "got datetime64[D]",
    ),
    ([["2026-01-01"]] * 20, Y, None),
]


@pytest.mark.parametrize(("rows", "labels", "message"), ROWS)
def test_invalid_data_raises(rows, labels, message):
    net = classifier().fit(X, Y)
    before = dict(vars(net))
    with pytest.raises(PlainnetError) as caught:
        net.fit(rows, labels)
    assert message is None or str(caught.value) == message
    assert vars(net) == before  # trained as it was


def test_non_numeric_targets_raise():
    net = NetRegressor((4,), epochs=2)
    with pytest.raises(PlainnetError) as caught:
        net.fit(X, np.array(["a"] * 20))
    assert str(caught.value) == (
        "NetRegressor expects numbers, but y holds 'a' in row 0: it takes numbers as targets"
    )
    with pytest.raises(PlainnetError) as caught:
        net.fit(X, np.full(20, np.nan))
    assert str(caught.value) == (
        "NetRegressor: y holds NaN in row 0: leave rows without a target out"
    )
    with pytest.raises(PlainnetError) as caught:
        NetRegressor(loss=BinaryCrossEntropy()).fit(X, Y)
    assert str(caught.value) == (
        "loss BinaryCrossEntropy does not fit a regression target: take MeanSquaredError or Huber"
    )
    with pytest.raises(PlainnetError) as caught:
        net.fit(X, X).score(X, Y)
    assert str(caught.value) == "NetRegressor was fitted with 2 outputs, got y of shape (20, 1)"


CALLS = [
    (
        lambda: classifier().fit(X, Y, X_val=X),
        "validation rows need both X_val and y_val",
    ),
    (
        lambda: classifier().fit(X, Y, X_val=X, y_val=Y[:3]),
        "X_val has 20 rows but y_val has 3",
    ),
    (
        lambda: classifier().fit(X, Y, X_val=X, y_val=Y + 5),
        "NetClassifier: y holds the class 5, but the classes of the training are 0, 1",
    ),
    (
        lambda: classifier().fit(X, Y, np.zeros(20)),
        "NetClassifier: the sample weights are all zero: some rows must count",
    ),
    (
        lambda: classifier(validation_fraction=0.2).fit(X, ["r", *["a", "b"] * 9, "a"]),
        "the class 'r' has 1 row, but a split needs at least 2 of each class, one for each side: "
        "add rows of it or drop it",
    ),
    (
        lambda: NetRegressor(validation_fraction=0.1).fit(X[:2], Y[:2]),
        "a split needs at least 4 rows, got 2: add rows or hold fewer parts out",
    ),
    (
        lambda: NetRegressor(validation_fraction=0.1).fit(X[:10], Y[:10]),
        "validation_fraction=0.1 of 10 rows leaves 9 to train on and 1 to validate with, and each "
        "needs 2: give more rows or another share",
    ),
    (
        lambda: classifier(l2=-1).partial_fit(X, Y, [0, 1]),
        "NetClassifier: l2 must be a number in [0, inf), got -1",
    ),
    (
        lambda: classifier(clip_norm=0).partial_fit(X, Y, [0, 1]),
        "NetClassifier: clip_norm must be a number in (0, inf), got 0",
    ),
    (
        lambda: classifier().partial_fit(X, Y),
        "classes must be passed on the first call to partial_fit: "
        "a first batch need not hold all of them",
    ),
    (
        lambda: classifier(class_weight="balanced").partial_fit(X, Y, [0, 1]),
        "class_weight='balanced' needs all rows at once: "
        "give partial_fit a weight for each class, such as {0: 1.0, 1: 5.0}",
    ),
    (
        lambda: classifier(validation_fraction=0.1).partial_fit(X, Y, [0, 1]),
        "partial_fit holds no rows out and never stops early: "
        "set validation_fraction and patience to 0, or call fit",
    ),
    (
        lambda: classifier(warm_start=True).fit(X, Y).set_params(hidden=(5,)).fit(X, Y),
        "warm_start continues with the existing network, but parameters that shape it have "
        "changed: reset them, or set warm_start=False to start again",
    ),
    (
        lambda: classifier().fit(X, Y).predict(X[:, :1]),
        "X has 1 features, but NetClassifier is expecting 2 features as input",
    ),
    (
        lambda: classifier().fit(X, np.column_stack([Y, 1 - Y])).partial_fit(X, Y),
        "NetClassifier was fitted with y of shape (m, 2), got (20,)",
    ),
    (
        lambda: classifier(class_weight="balanced").fit(X, np.column_stack([Y, 1 - Y])),
        "class_weight needs one class per row, which BinaryCrossEntropy with 2 outputs does not "
        "have",
    ),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message[:40] for _, message in CALLS])
def test_invalid_calls_raise(call, message):
    with pytest.raises(PlainnetError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (["a"] * 20, "sample_weight needs one weight for each of 20 rows, got <U1 of shape (20,)"),
        (
            np.ones(3),
            "sample_weight needs one weight for each of 20 rows, got float64 of shape (3,)",
        ),
        (-np.ones(20), "sample_weight must be finite and at least 0"),
        (np.full(20, np.nan), "sample_weight must be finite and at least 0"),
        (np.zeros(20), "sample_weight of score is all zero: some rows must count"),
    ],
)
def test_invalid_score_weights_raise(kind, weight, message):
    net = kind((4,), epochs=2).fit(X, Y)
    with pytest.raises(PlainnetError) as caught:
        net.score(X, Y, sample_weight=weight)
    assert str(caught.value) == message


def test_score_needs_a_target_per_row():
    with pytest.raises(PlainnetError) as caught:
        NetRegressor((4,), epochs=2).fit(X, Y).score(X, [1.0])
    assert str(caught.value) == "NetRegressor: X has 20 rows but y has 1"


def test_prediction_beyond_its_dtype_raises():
    net = NetRegressor((4,), epochs=2).fit(X.astype(np.float32), Y * 1e39)
    with pytest.raises(PlainnetError) as caught:
        net.predict(X)
    assert str(caught.value) == (
        "NetRegressor: a prediction is too large for float32: "
        "set dtype='float64', or divide the targets by a constant"
    )


@pytest.mark.parametrize("part", [False, True])
def test_diverging_loss_raises_and_keeps_the_network(part):
    net = NetRegressor((4,), optimizer="sgd", epochs=300, warm_start=True).fit(X, X[:, 0])
    before = net.predict(X)
    net.set_params(lr=1e6, activation="relu")
    train = net.partial_fit if part else net.fit

    def often():
        for _ in range(300):
            train(X, X[:, 0])

    with pytest.raises(TrainingError, match="lower the learning rate"):
        often()
    if not part:
        np.testing.assert_array_equal(net.predict(X), before)
