"""Hostile files are refused in one sentence with little memory; `make attacks` runs all of them."""

import sys

import pytest

from attacks import ATTACKS, attack, make_models, refused

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="address space is bounded on Linux alone"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("one", [one for one in ATTACKS if one.quick], ids=lambda one: one.name)
def test_attack_is_refused_with_little_memory(one, models, tmp_path):
    size, result = attack(one, tmp_path, models)
    assert refused(one, result), result
    print(f"{size:,} bytes, {result.seconds:.1f} s, {result.peak:,} bytes of memory")


def test_successful_attack_is_detected(models, tmp_path):
    from dataclasses import replace

    one = next(one for one in ATTACKS if one.quick)
    _, result = attack(replace(one, build=lambda folder: models["D"]), tmp_path, models)
    assert result.code == 0
    assert not refused(one, result)
    assert not refused(one, replace(result, code=2, err=f"Error: {one.says}\n", peak=10**9))
    assert not refused(one, replace(result, code=-9, err=""))
