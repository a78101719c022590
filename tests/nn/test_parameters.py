"""Parameters: order of the flat vector, views, and loading by name."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.errors import PlainnetError
from plainnet.nn import Parameters, ParameterSpec
from plainnet.nn.parameters import check_arrays

KINDS = ("weight", "bias", "state")
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def specs_of(described):
    return [
        ParameterSpec(f"v{i}", shape, kind, "zeros") for i, (shape, kind) in enumerate(described)
    ]


@given(st.lists(st.tuples(shapes, st.sampled_from(KINDS)), max_size=8), st.sampled_from("fd"))
def test_views_partition_the_vector_in_order(described, dtype):
    specs = specs_of(described)
    params = Parameters(specs, dtype)
    sizes = {k: sum(int(np.prod(s)) for s, kind in described if kind == k) for k in KINDS}
    of_weights = [np.full(v.shape, v.kind == "weight") for v in specs if v.kind != "state"]
    expected = [number for array in of_weights for number in array.ravel().tolist()]
    assert params.decaying().tolist() == expected
    assert params.grad.shape == params.trained.shape == (sizes["weight"] + sizes["bias"],)
    assert params.theta.shape == (sum(sizes.values()),)
    assert params.theta.dtype == params.grad.dtype == np.dtype(dtype)
    assert params.theta.flags.c_contiguous
    assert params.grad.flags.c_contiguous

    params.theta[...] = np.arange(params.theta.size)
    params.grad[...] = np.arange(params.grad.size)
    expected_start = 0
    for state in (False, True):
        for v in specs:
            if (v.kind == "state") is not state:
                continue
            view = params.views[v.name]
            assert view.shape == v.shape
            assert np.shares_memory(view, params.theta)
            stop = expected_start + view.size
            assert view.ravel().tolist() == list(range(expected_start, stop))
            if state:
                assert v.name not in params.grads
                assert not np.shares_memory(view, params.trained)
            else:
                assert np.shares_memory(params.grads[v.name], params.grad)
                np.testing.assert_array_equal(params.grads[v.name], view)
            expected_start = stop


def test_trained_is_a_view_without_state():
    params = Parameters(specs_of([((2,), "state"), ((3,), "bias"), ((2, 2), "weight")]))
    params.trained += 1
    assert params.theta.tolist() == [1] * 7 + [0] * 2
    assert params.views["v0"].tolist() == [0, 0]


def test_load_copies_and_casts():
    params = Parameters(specs_of([((2,), "bias"), ((1, 2), "weight")]))
    arrays = {"v0": np.array([1.0, 2.0]), "v1": np.array([[3.0, 4.0]])}
    views = dict(params.views)
    params.load(arrays)
    arrays["v0"][0] = 99
    assert params.theta.tolist() == [1, 2, 3, 4]
    assert params.theta.dtype == np.float32
    assert all(params.views[name] is view for name, view in views.items())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"v0": np.zeros(2)},
            "the parameters do not fit the network: expected ['v0', 'v1'], "
            "and ['v1'] are missing or too many",
        ),
        (
            {"v0": np.zeros(2), "v1": np.zeros((1, 2)), "more": np.zeros(1)},
            "the parameters do not fit the network: expected ['v0', 'v1'], "
            "and ['more'] are missing or too many",
        ),
        (
            {"v0": np.zeros(2), "v1": np.zeros((2, 1))},
            "parameter 'v1' has shape (1, 2), got an array of shape (2, 1)",
        ),
        (
            {"v0": np.zeros(()), "v1": np.zeros((1, 2))},
            "parameter 'v0' has shape (2,), got an array of shape ()",
        ),
    ],
)
def test_invalid_load_raises_and_changes_nothing(arrays, message):
    specs = specs_of([((2,), "bias"), ((1, 2), "weight")])
    params = Parameters(specs)
    params.theta[...] = 5
    with pytest.raises(PlainnetError) as error:
        params.load({name: array + 1 for name, array in arrays.items()})
    assert str(error.value) == message
    assert params.theta.tolist() == [5] * 4
    with pytest.raises(PlainnetError) as error:
        check_arrays({spec.name: spec.shape for spec in specs}, arrays)
    assert str(error.value) == message


def test_duplicate_names_raise():
    with pytest.raises(PlainnetError) as error:
        Parameters(
            [ParameterSpec("W", (1,), "weight", "zeros"), ParameterSpec("W", (2,), "bias", "zeros")]
        )
    assert str(error.value) == "the names of the parameters must differ, got ['W', 'W']"


@pytest.mark.parametrize("shape", [(2**30 + 1,), (2**40, 2**40), (10**30,)])
def test_huge_vector_raises_before_allocation(shape):
    with pytest.raises(PlainnetError) as error:
        Parameters([ParameterSpec("W", shape, "weight", "zeros")])
    assert str(error.value) == (
        f"the network would have {np.prod([int(n) for n in shape], dtype=object)} parameters, "
        "more than the 1073741824 allowed: take fewer inputs or units"
    )


@pytest.mark.parametrize(
    "again", [copy.deepcopy, copy.copy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_views_of_a_copy_are_bound_to_the_copy(again):
    params = Parameters(
        [ParameterSpec("W", (2, 3), "weight", "zeros"), ParameterSpec("s", (2,), "state", "ones")]
    )
    params.grad[...] = 5
    twin = again(params)
    twin.views["W"][...], twin.grads["W"][...] = 7, 8
    twin.state[...] = 9
    assert twin.theta.tolist() == [7] * 6 + [9] * 2
    assert twin.grad.tolist() == [8] * 6
    assert params.theta.tolist() == [0] * 8
    assert params.grad.tolist() == [5] * 6
