"""Duplicates: inserted ones are found; re-encoded pictures match, and others do not."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import datasets

from plainnet.data.synthetic import pandas_and_bears
from plainnet.evaluate.baselines.colors import color_statistics
from plainnet.evaluate.duplicates import (
    BITS,
    contradictions,
    match_rows,
    near_duplicate_groups,
    perceptual_hash,
    thumbnails,
)
from plainnet.evaluate.row_hashes import are_in, count_distinct, distinct, first_equal, hash_rows


def stored_anew(X):
    """Resize each picture down and up and encode it as JPEG."""
    found = []
    for picture in X:
        content = io.BytesIO()
        side = len(picture)
        small = Image.fromarray(picture).resize((side * 3 // 4,) * 2).resize((side, side))
        small.save(content, "JPEG", quality=80)
        found.append(np.array(Image.open(content)))
    return np.array(found)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30))
def test_no_prediction_exceeds_the_accuracy_ceiling(rows):
    """Enumerate all functions of x and return the best accuracy."""
    x, y = np.array(rows).T
    right = sum(max((y[x == v] == c).sum() for c in range(3)) for v in set(x))
    mixed = [v for v in set(x) if len(set(y[x == v])) > 1]
    found = contradictions(x[:, None], y)
    assert found.ceiling == pytest.approx(right / len(x))
    assert (found.groups, found.rows) == (len(mixed), sum((x == v).sum() for v in mixed))


def test_fingerprints_are_per_row():
    X = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    marks = hash_rows(np.vstack([X, X[:10]]))
    assert len(set(marks)) == 1000
    assert (marks[1000:] == marks[:10]).all()
    assert marks.max() > 2**63  # all 64 bits are used


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1)), min_size=1, max_size=20))
def test_hashes_match_equal_rows(rows):
    for dtype in (np.int64, np.float32, np.float64, np.uint8):
        X = np.array(rows).astype(dtype)[:, ::-1]
        X = -X if dtype == np.float32 else X  # -0 equals 0
        hashes = hash_rows(X[:, :, None, None])
        found = [rows.index(row) for row in rows]
        assert first_equal(hashes).tolist() == found
        assert count_distinct(hashes) == len(distinct(hashes)) == len(set(rows))
        known = set(rows[::2])
        assert are_in(hashes, hashes[::2]).tolist() == [row in known for row in rows]


@pytest.mark.parametrize("n_bytes", [1, 7, 8, 9, 4096])
def test_one_changed_byte_changes_half_of_a_fingerprint(n_bytes):
    X = np.zeros((20_000, n_bytes), np.uint8)
    X[:, : min(n_bytes, 2)] = np.arange(20_000)[:, None] // [1, 256][: min(n_bytes, 2)]
    distinct = len(np.unique(X, axis=0))
    assert len(np.unique(hash_rows(X))) == distinct
    other = X.copy()
    other[:, -1] ^= 1
    changed = np.bitwise_count(hash_rows(X) ^ hash_rows(other))
    assert abs(changed.mean() - 32) < 1


def test_equal_rows_are_found_in_other_data():
    X = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    _, equal, alike = match_rows(X[:30], X)
    assert equal.tolist() == [True] * 30 + [False] * 20
    assert (alike == equal).all()


def test_reencoded_pictures_match():
    X = pandas_and_bears(60, size=64, seed=3)[0]
    again = stored_anew(X)
    _, equal, alike = match_rows(X[:30], again)
    assert not equal.any()
    assert alike[:30].mean() > 0.9
    assert alike[30:].mean() < 0.1
    assert match_rows(X[:30], X).equal.tolist() == [True] * 30 + [False] * 30


def test_similar_pictures_form_one_group():
    X = pandas_and_bears(30, size=64, seed=5)[0]
    groups = near_duplicate_groups(np.concatenate([X, X[:5], stored_anew(X[5:10])]))
    assert (groups[30:35] == groups[:5]).all()
    assert (groups[35:] == groups[5:10]).mean() >= 0.8
    assert len(set(groups[:30])) >= 28


def test_pictures_of_one_kind_are_no_copies():
    """Small digits of one class have nearly the same hash, though none is a copy."""
    digits = datasets.load_digits(n_class=2)
    X = (digits.images * 255 / 16).astype(np.uint8)[..., None].repeat(3, axis=-1)
    hashes = perceptual_hash(X)
    alike = np.bitwise_count(hashes[:, None] ^ hashes) <= BITS
    assert alike.sum() > 10 * len(X)
    assert len(set(near_duplicate_groups(X).tolist())) >= 0.98 * len(X)
    assert match_rows(X[::2], X[1::2]).near.mean() < 0.02


def test_blank_pictures_do_not_match():
    flat = np.full((4, 16, 16, 3), [[[[0]]], [[[60]]], [[[120]]], [[[250]]]], np.uint8)
    assert len(set(near_duplicate_groups(flat))) == 4


def test_hash_by_hand():
    """Nine columns, brighter to the right except at one step: one bit per row."""
    row = np.array([0, 10, 20, 30, 25, 40, 50, 60, 70], np.uint8)
    X = np.tile(row[:, None], (1, 8, 1, 3))
    assert perceptual_hash(X).tolist() == [int("00010000" * 8, 2)]
    larger = X.repeat(3, axis=1).repeat(5, axis=2)
    assert perceptual_hash(larger) == perceptual_hash(X)


def test_thumbnails_and_colors_are_means():
    X = np.random.default_rng(2).integers(0, 256, (70, 6, 9, 3), np.uint8)
    small = thumbnails(X, 2, 3)
    assert small[69, 1, 2] == pytest.approx(X[69, 3:, 6:].mean(), rel=1e-5)
    uneven = thumbnails(X, 4, 9)[0, 1]  # of rows 1.5 to 3
    gray = X[0].mean(axis=2)
    np.testing.assert_allclose(uneven, (0.5 * gray[1] + gray[2]) / 1.5, rtol=1e-5)
    seven = color_statistics(X)[68]
    pixels = X[68].reshape(-1, 3) / 255
    expected = [*pixels.mean(0), *pixels.std(0), np.mean(pixels.max(1) - pixels.min(1))]
    np.testing.assert_allclose(seven, expected, rtol=1e-5)


def test_real_pictures_contain_one_pair(shared_data):
    from plainnet.data.images import read_images

    X = read_images(shared_data / "pandas-bears", 64).X
    assert len(set(near_duplicate_groups(X).tolist())) == len(X) - 1
    pair = np.flatnonzero(np.bincount(near_duplicate_groups(X)) > 1)
    one, two = np.flatnonzero(near_duplicate_groups(X) == pair[0])
    assert np.abs(X[one].astype(int) - X[two]).mean() < 3
