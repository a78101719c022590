"""Members side by side train as each would alone."""

import numpy as np
import pytest

from plainnet import EarlyStopping, fit
from plainnet.errors import PlainnetError
from plainnet.nn import BinaryCrossEntropy, Dense, GroupedDense, MeanSquaredError, Sequential, Tanh
from plainnet.nn import SoftmaxCrossEntropy as Softmax
from plainnet.optim import Adam
from plainnet.train.members import Members

K, H = 3, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 5))
FOLD = np.arange(40) % K
CASES = {
    "regression": (MeanSquaredError(), 2, np.tanh(X[:, :2]) + rng.standard_normal((40, 2))),
    "binary": (BinaryCrossEntropy(), 1, (X[:, 0] + rng.standard_normal(40) > 0) * 1),
    "multiclass": (Softmax(0.1), 3, X[:, :3].argmax(axis=1)),
}
OPTIONS = {"epochs": 60, "early_stopping": EarlyStopping(60)}


def side_by_side(n_out):
    layers = [Dense(K * H), Tanh(), GroupedDense(K * H, K), Tanh(), GroupedDense(K * n_out, K)]
    return Sequential(layers, n_in=5, dtype=np.float64, seed=3)


def alone(net, j, n_out):
    """Return member j as a network of its own."""
    layers = [Dense(H), Tanh(), Dense(H), Tanh(), Dense(n_out)]
    one = Sequential(layers, n_in=5, dtype=np.float64)
    for ours, theirs in zip(one.params.views.values(), net.params.views.values(), strict=True):
        ours[...] = theirs.reshape(K, *ours.shape)[j]
    return one


@pytest.mark.parametrize("case", CASES)
def test_each_member_trains_as_alone_and_keeps_its_own_best_weights(case):
    loss, n_out, y = CASES[case]
    net = side_by_side(n_out)
    singles = [alone(net, j, n_out) for j in range(K)]
    seen = []
    call = {"loss": loss, "optimizer": Adam(0.05), "watch": seen.append, **OPTIONS}
    history = fit(net, X, y, members=Members(K, FOLD), **call)
    epochs, losses, lowest = [], [], []
    for j, single in enumerate(singles):
        out = j == FOLD
        own = fit(
            single,
            X[~out],
            y[~out],
            loss=loss,
            optimizer=Adam(0.05),
            validation_data=(X[out], y[out]),
            **OPTIONS,
        )
        Z = net.predict_logits(X).reshape(40, K, n_out)[:, j]
        np.testing.assert_allclose(Z, single.predict_logits(X), atol=1e-4)
        epochs.append(own.best_epoch)
        losses.append(np.array(own.val_loss) * out.sum())
        lowest.append(own.val_loss == np.minimum.accumulate(own.val_loss))
    assert len(set(epochs)) > 1
    assert history.best_epoch == max(epochs)
    assert [epoch.improved for epoch in seen] == [(n, K) for n in np.sum(lowest, axis=0)]
    np.testing.assert_allclose(history.val_loss, np.sum(losses, axis=0) / 40, atol=1e-4)


def test_class_weights_and_sample_weights_hold_for_each_member():
    loss, n_out, y = CASES["binary"]
    nets, weight = [side_by_side(n_out), side_by_side(n_out)], np.where(y, 3.0, 1.0)
    members = Members(K, FOLD)
    for net, how in zip(nets, ({"sample_weight": weight}, {"class_weight": {1: 3.0}}), strict=True):
        fit(net, X, y, loss=loss, epochs=5, members=members, **how)
    np.testing.assert_array_equal(nets[0].params.theta, nets[1].params.theta)
    plain = side_by_side(n_out)
    fit(plain, X, y, loss=loss, epochs=5, members=members)
    assert not np.allclose(plain.params.theta, nets[0].params.theta)


def test_members_take_no_other_validation_rows():
    loss, _, y = CASES["binary"]
    with pytest.raises(PlainnetError, match="validate with the rows of their own fold"):
        fit(side_by_side(1), X, y, loss=loss, members=Members(K, FOLD), validation_fraction=0.2)
