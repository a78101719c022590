"""Augmentation: what it changes, what it keeps, and that it is seeded."""

import numpy as np
import pytest

from plainnet.errors import PlainnetError
from plainnet.nn import MeanSquaredError, Sequential
from plainnet.nn.layers import Dense, Flatten
from plainnet.train.augment import AUGMENTATIONS, augmentation
from plainnet.train.fit import fit


def pictures(m=40, side=12):
    return np.random.default_rng(0).integers(0, 256, (m, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_is_seeded_and_keeps_shape_and_type(name):
    augment, X = augmentation([name]), pictures()
    before = X.copy()
    first = augment(X, np.random.default_rng(1))
    assert (first.shape, first.dtype) == (X.shape, np.uint8)
    np.testing.assert_array_equal(first, augment(X, np.random.default_rng(1)))
    assert (first != augment(X, np.random.default_rng(2))).any()
    assert (first != X).any()
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_uniform_pictures_keep_their_pixels_except_in_light(name):
    X = np.full((20, 9, 9, 1), 100, np.uint8)
    same = (augmentation([name])(X, np.random.default_rng(1)) == X).all()
    assert same == (name != "light")


@pytest.mark.parametrize(("side", "most"), [(4, 0), (8, 1), (20, 2), (32, 3), (64, 6)])
def test_shift_moves_by_up_to_a_tenth_and_repeats_the_border(side, most):
    X = np.tile(np.arange(side, dtype=np.uint8), (500, side, 1))[..., None]  # the pixel's column
    moved = augmentation(["shift"])(X, np.random.default_rng(3))[:, 0, :, 0].astype(int)
    shifts = moved[:, side // 2] - side // 2
    assert set(shifts) == set(range(-most, most + 1))
    np.testing.assert_array_equal(moved, (np.arange(side) + shifts[:, None]).clip(0, side - 1))


def test_flip_mirrors_half_of_the_pictures():
    X = pictures(1000, 4)
    flipped = augmentation(["flip"])(X, np.random.default_rng(3))
    mirrored = (flipped == X[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (flipped == X).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 450 < mirrored.sum() < 550


def test_turn_keeps_the_center_and_moves_the_edge():
    X = pictures(200, 15)
    turned = augmentation(["turn"])(X, np.random.default_rng(3))
    np.testing.assert_array_equal(turned[:, 7, 7], X[:, 7, 7])
    assert (turned[:, 0] != X[:, 0]).any(axis=(1, 2)).mean() > 0.8


def test_light_changes_mean_and_spread_within_a_fifth():
    X = (pictures() // 4 + 90).astype(np.uint8)  # far from black and white
    lit = augmentation(["light"])(X, np.random.default_rng(3))
    for measure in (np.mean, np.std):
        ratio = measure(lit, axis=(1, 2, 3)) / measure(X, axis=(1, 2, 3))
        assert 0.78 < ratio.min() < 0.9
        assert 1.1 < ratio.max() < 1.22


def test_augmentations_apply_in_turn():
    X, rng = pictures(), np.random.default_rng
    both = augmentation(["flip", "shift"])(X, rng(4))
    generator = rng(4)
    expected = AUGMENTATIONS["flip"](X, generator)
    np.testing.assert_array_equal(both, AUGMENTATIONS["shift"](expected, generator))


def test_no_name_is_no_augmentation_and_unknown_names_are_refused():
    assert augmentation([]) is None
    with pytest.raises(PlainnetError) as error:
        augmentation(["shift", "mixup"])
    assert str(error.value) == (
        "unknown augmentation 'mixup': expected some of shift, flip, turn, light"
    )


@pytest.mark.parametrize("batch_size", [None, 3])
def test_fit_augments_training_rows_only(batch_size):
    """A new draw each epoch, also of the full batch; validation rows are left alone."""
    seen = []

    def augment(X, rng):
        seen.append((len(X), rng.random()))
        return X

    net = Sequential([Flatten(), Dense(1)], n_in=(2, 2, 1))
    X, y = np.ones((8, 2, 2, 1), np.uint8), np.arange(8.0)
    fit(
        net, X, y, loss=MeanSquaredError(), epochs=2, batch_size=batch_size,
        validation_data=(X[:5], y[:5]), augment=augment, transform=lambda X: X / 255,
    )  # fmt: skip
    assert [m for m, _ in seen] == [8, 8] if batch_size is None else [3, 3, 2] * 2
    assert len({draw for _, draw in seen}) == len(seen)
