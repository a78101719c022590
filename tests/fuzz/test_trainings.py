"""Random small trainings from the file to the exports: a sample of `make fuzz`."""

import pytest

from fuzz import trainings


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with trainings.browsing(tmp_path_factory.mktemp("page")) as browser:
        yield browser


@pytest.mark.parametrize("number", range(24))
def test_case_completes_or_raises_in_one_sentence(number, tmp_path, browser):
    assert trainings.use(number, tmp_path, browser).findings == []


def test_case_number_determines_the_case():
    first, again, other = trainings.case(3), trainings.case(3), trainings.case(4)
    assert first.frame.equals(again.frame)
    assert (first.as_file, first.config) == (again.as_file, again.config)
    assert first.config != other.config


def test_cases_cover_every_kind_and_mostly_complete():
    cases = [trainings.case(number) for number in range(200)]
    tasks = {one.config.task for one in cases}
    assert tasks == {None, "binary", "multiclass", "multilabel", "regression"}
    for name in (
        "batch_norm",
        "layer_norm",
        "class_weight",
        "group_duplicates",
        "dropout",
        "patience",
    ):
        assert len({getattr(one.config, name) for one in cases}) >= 2, name
    assert {one.as_file for one in cases} == {True, False}


def test_failures_are_detected(tmp_path, monkeypatch):
    number = next(n for n in range(99) if not trainings.use(n, tmp_path).refused)

    def fail(model):
        raise KeyError("oh")

    monkeypatch.setattr(trainings, "to_python", fail)
    found = trainings.use(number, tmp_path).findings
    assert [one for one in found if one.startswith(f"{number}: export to Python: KeyError: 'oh'")]
