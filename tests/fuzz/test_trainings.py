"""Random small trainings from the file to the exports: some of those that `make fuzz` makes."""

import pytest

from fuzz import trainings


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with trainings.browsing(tmp_path_factory.mktemp("page")) as browser:
        yield browser


@pytest.mark.parametrize("number", range(24))
def test_a_case_is_refused_in_one_sentence_or_goes_all_the_way(number, tmp_path, browser):
    assert trainings.use(number, tmp_path, browser).findings == []


def test_a_number_draws_the_same_case_and_others_draw_others():
    first, again, other = trainings.case(3), trainings.case(3), trainings.case(4)
    assert first.frame.equals(again.frame)
    assert (first.as_file, first.config) == (again.as_file, again.config)
    assert first.config != other.config


def test_the_cases_are_of_every_kind_and_most_are_not_refused():
    cases = [trainings.case(number) for number in range(200)]
    tasks = {one.config.task for one in cases}
    assert tasks == {None, "binary", "multiclass", "multilabel", "regression"}
    for name in ("batch_norm", "layer_norm", "balanced", "together", "dropout", "patience"):
        assert len({getattr(one.config, name) for one in cases}) == 2, name
    assert {one.as_file for one in cases} == {True, False}


def test_a_finding_would_be_seen(tmp_path, monkeypatch):
    number = next(n for n in range(99) if not trainings.use(n, tmp_path).refused)

    def fail(model):
        raise KeyError("oh")

    monkeypatch.setattr(trainings, "to_python", fail)
    found = trainings.use(number, tmp_path).findings
    assert [one for one in found if one.startswith(f"{number}: export to Python: KeyError: 'oh'")]
