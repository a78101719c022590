"""Batches: every row once per epoch, reshuffled batches, and one copy of the data."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet.errors import PlainnetError
from plainnet.nn import BatchNorm, BinaryCrossEntropy, Dense, MeanSquaredError, Sequential, mlp
from plainnet.optim import SGD
from plainnet.train.batches import Batches
from plainnet.train.fit import fit


def numbered(m: int, batch_size: int | None, weighted: bool = True) -> Batches:
    """Create distinguishable rows: X, y and weight all contain the row number."""
    rows = np.arange(m)
    X = np.repeat(rows[:, None], 3, axis=1).astype(np.float32)
    weight = rows.astype(np.float64) if weighted else None
    return Batches(X, rows.copy(), weight, batch_size, None, np.float32)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 70) | st.none(), st.integers(0, 2**32))
def test_every_row_once_per_epoch_with_its_target_and_weight(m, batch_size, seed):
    batches = numbered(m, batch_size)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        received, sizes = [], []
        for X, y, weight, *_ in batches.epoch(rng):
            np.testing.assert_array_equal(X, np.repeat(y[:, None], 3, axis=1))
            np.testing.assert_array_equal(weight, y)
            received += y.tolist()
            sizes.append(len(y))
        assert sorted(received) == list(range(m))
        full = min(batch_size or m, m)
        if m > full > 1 == m % full:  # a single row that is left over joins the batch before it
            assert sizes == [full] * (m // full - 1) + [full + 1]
        else:
            assert sizes == [full] * (m // full) + [m % full] * (m % full > 0)
        assert len(sizes) == len(batches)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_batches_are_reshuffled_between_epochs(seed):
    batches, rng = numbered(64, 8), np.random.default_rng(seed)
    epochs = [{frozenset(y.tolist()) for _, y, *_ in batches.epoch(rng)} for _ in range(3)]
    assert not epochs[0] & epochs[1]
    assert not epochs[1] & epochs[2]


def test_pairs_of_rows_share_batches_uniformly():
    # two of eight rows share a batch of four with probability 3/7
    batches, rng, together = numbered(8, 4), np.random.default_rng(0), np.zeros((8, 8))
    for _ in range(2000):
        for _, y, *_ in batches.epoch(rng):
            together[np.ix_(y, y)] += 1
    off_diagonal = together[~np.eye(8, dtype=bool)] / 2000
    # five standard deviations of a share of 2000
    assert np.abs(off_diagonal - 3 / 7).max() < 5 * np.sqrt(3 / 7 * 4 / 7 / 2000)


@pytest.mark.parametrize("done", range(5))
def test_resumed_epoch_skips_finished_batches(done):
    batches = numbered(17, 4)
    all_batches, rest = (
        [y.tolist() for _, y, *_ in batches.epoch(np.random.default_rng(0), passed)]
        for passed in (0, done)
    )
    assert [len(batch) for batch in all_batches] == [4, 4, 4, 5]
    assert rest == all_batches[done:]


def test_running_variance_is_independent_of_the_last_batch():
    """A batch of one row has no variance and would reduce it by a tenth each time."""
    X, y = np.random.default_rng(0).standard_normal((65, 3)), np.arange(65) % 2
    net = Sequential([BatchNorm(), Dense(1)], n_in=3, dtype=np.float64)
    fit(net, X, y, loss=BinaryCrossEntropy(), optimizer=SGD(1e-9), epochs=60, batch_size=16)
    running = net.params.views["batchnorm1.running_var"]
    np.testing.assert_allclose(running, X.var(axis=0, ddof=1), rtol=0.12)


@pytest.mark.parametrize(("m", "batch_size"), [(1, None), (5, 1)])
def test_batch_norm_never_gets_single_rows(m, batch_size):
    net = mlp(3, batch_norm=True)
    before = net.params.theta.copy()
    with pytest.raises(PlainnetError) as error:
        fit(net, np.eye(5, 3)[:m], np.ones(m), loss=MeanSquaredError(), batch_size=batch_size)
    assert str(error.value) == (
        "BatchNorm 'batchnorm1' has no variance to train with in a batch of one row: "
        "take a larger batch_size, or give more rows"
    )
    np.testing.assert_array_equal(net.params.theta, before)


def test_seed_determines_the_order():
    def order(seed):
        rng = np.random.default_rng(seed)
        batches = numbered(20, 6)
        return [row for _ in range(2) for _, y, *_ in batches.epoch(rng) for row in y.tolist()]

    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(3)[:20] != order(3)[20:]


def test_full_batch_keeps_the_order_without_copies():
    X, y = np.ones((5, 2), np.float32), np.arange(5)
    batches = Batches(X, y, None, None, None, np.float32)
    [(X_batch, y_batch, weight, *_)] = batches.epoch(np.random.default_rng(0))
    assert np.shares_memory(X, X_batch)
    assert np.shares_memory(y, y_batch)
    assert weight is None


@pytest.mark.parametrize("batch_size", [5, 6, 10**12])
def test_batch_size_above_the_number_of_rows(batch_size):
    batches = numbered(5, batch_size, weighted=False)
    assert len(batches) == 1
    orders = [next(iter(batches.epoch(np.random.default_rng(s))))[1].tolist() for s in range(5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize("batch_size", [None, 4])
def test_given_arrays_are_unchanged(batch_size):
    X, y = np.random.default_rng(0).normal(size=(10, 3)), np.arange(10)
    X.flags.writeable = y.flags.writeable = False
    batches = Batches(X, y, None, batch_size, None, np.float32)
    for X_batch, *_ in batches.epoch(np.random.default_rng(0)):
        assert X_batch.dtype == np.float32
        assert X_batch.flags.c_contiguous


@pytest.mark.parametrize(
    "X",
    [
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.arange(12).reshape(4, 3),
        np.arange(12).reshape(4, 3) > 5,
    ],
    ids=["fortran", "strided", "int", "bool"],
)
def test_any_layout_and_dtype_of_rows(X):
    for batch_size in (None, 3):
        batches = Batches(X, np.arange(4), None, batch_size, None, np.float32)
        for X_batch, y, *_ in batches.epoch(np.random.default_rng(0)):
            np.testing.assert_array_equal(X_batch, X[y].astype(np.float32))


def scale(X):
    return X.reshape(len(X), -1) / np.float32(255)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_uint8_pictures_are_converted_per_batch(batch_size):
    X = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 3), np.uint8)
    received = []

    def transform(rows):
        assert rows.dtype == np.uint8
        received.append(len(rows))
        return scale(rows)

    batches = Batches(X, np.arange(10), None, batch_size, transform, np.float32)
    for _ in range(2):
        for X_batch, y, *_ in batches.epoch(np.random.default_rng(0)):
            np.testing.assert_array_equal(X_batch, scale(X[y]))
    # all rows are the same numbers in each epoch, so the full batch is converted once
    assert received == [10] if batch_size is None else received == [4, 4, 2] * 2


@pytest.mark.parametrize("batch_size", [None, 4])
def test_training_on_uint8_equals_converting_first(batch_size):
    X = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 3), np.uint8)
    y = np.arange(10.0)
    ends = []
    for rows, transform in ((X, scale), (scale(X), None)):
        net = mlp(12)
        history = fit(
            net,
            rows,
            y,
            loss=MeanSquaredError(),
            epochs=3,
            batch_size=batch_size,
            transform=transform,
            validation_fraction=0.2,
        )
        ends.append((net.params.theta.tobytes(), history.record()))
    assert ends[0] == ends[1]


def peak_while_fitting(X, y, **options) -> int:
    net = mlp(X.shape[1:] if X.ndim > 2 else X.shape[1], hidden=(4,))
    fit(net, X[:8], y[:8], loss=MeanSquaredError(), epochs=1)
    tracemalloc.start()
    try:
        fit(net, X, y, loss=MeanSquaredError(), optimizer=SGD(1e-6), epochs=2, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("dtype", "options", "copies"),
    [
        (np.float32, {}, 0),
        (np.float32, {"batch_size": 64}, 0),
        (np.float64, {}, 1),  # the float32 rows that the network takes
        (np.float64, {"batch_size": 64}, 1),
    ],
)
def test_training_keeps_one_copy_of_the_data(dtype, options, copies):
    X = np.random.default_rng(0).normal(size=(8000, 256)).astype(dtype)
    size = X.size * 4
    peak = peak_while_fitting(X, np.zeros(8000), **options)
    # beside the rows: two or three arrays of 8000 x 4 numbers, checks of 1024 rows at a time
    assert copies * size <= peak < (copies + 0.35) * size


@pytest.mark.parametrize("batch_size", [None, 64])
def test_rows_are_not_copied(batch_size):
    X = np.random.default_rng(0).normal(size=(16_000, 128)).astype(np.float32)
    peak = peak_while_fitting(X, np.zeros(16_000), batch_size=batch_size)
    assert peak < 0.4 * X.nbytes


def test_converted_rows_are_released():
    X = np.random.default_rng(0).normal(size=(8000, 256))
    size, held = X.size * 4, []
    tracemalloc.start()
    try:
        fit(
            mlp(256, hidden=(4,)),
            X,
            np.zeros(8000),
            loss=MeanSquaredError(),
            epochs=1,
            validation_fraction=0.1,
            callbacks=[lambda epoch: held.append(tracemalloc.get_traced_memory()[0])],
        )
    finally:
        tracemalloc.stop()
    # nine tenths as float32 and the held out tenth as it came, in float64
    assert held[0] < 1.4 * size


def test_pictures_are_never_all_converted_at_once():
    X = np.random.default_rng(0).integers(0, 256, (2000, 16, 16, 3), np.uint8)
    net = mlp(768, hidden=(4,))
    tracemalloc.start()
    try:
        fit(net, X, np.zeros(2000), loss=MeanSquaredError(), transform=scale, batch_size=50)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.size  # a quarter of what the float32 rows would take
