"""From a table or pictures to the rows to train on, to validate with and to test on."""

import numpy as np
import pandas as pd
import pytest

from plainnet import DataError
from plainnet.data.datasets import image_dataset, table_dataset


def rng():
    return np.random.default_rng(0)


def table(m=40):
    return pd.DataFrame({"x": np.arange(m, dtype=float), "y": ["yes", "no"] * (m // 2)})


@pytest.mark.parametrize(("test", "validation"), [(0.25, 0.0), (0.25, 0.25), (0.0, 0.5), (0.5, 0)])
def test_the_parts_have_their_shares_and_all_rows(test, validation):
    data = table_dataset(table(), rng(), test=test, validation=validation)
    sizes = [0 if part is None else len(part.y) for part in (data.validation, data.test)]
    assert sizes == [40 * validation, 40 * test]
    assert len(data.train.y) + sum(sizes) == 40


def test_the_schema_knows_the_training_rows_only():
    data = table_dataset(table(), rng(), test=0.5)
    assert data.train.X.mean() == pytest.approx(0, abs=1e-6)
    assert data.test.X.mean() != pytest.approx(0, abs=1e-6)


def test_a_class_of_one_row_is_named_as_it_stands_in_the_table():
    frame = table().assign(y=["0", "1", "2", "1"] * 9 + ["0", "1", "2", "9"])
    with pytest.raises(DataError, match="the class '9' has 1 row"):
        table_dataset(frame, rng())
    with pytest.raises(DataError, match="the class 'rare' has 1 row"):
        image_dataset(
            np.zeros((5, 2, 2, 3), np.uint8), np.array([0, 0, 0, 0, 1]), ["a", "rare"], rng()
        )


def test_a_kind_for_the_target_is_refused():
    with pytest.raises(DataError) as error:
        table_dataset(table(), rng(), target=["y"], kinds={"y": "number"})
    assert str(error.value) == (
        "'y' is the target, whose kind the task decides: give no kind for it"
    )
