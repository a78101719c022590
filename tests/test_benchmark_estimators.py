"""The comparison with MLPClassifier runs, and its arithmetic is right."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import estimators

    return estimators


def test_the_interval_is_that_of_nadeau_and_bengio(comparison):
    differences = np.array([0.01, 0.03] * 15)  # mean 0.02, variance 0.0001 * 30 / 29
    low, high = comparison.interval(differences)
    half = 2.045 * np.sqrt((1 / 30 + 1 / 9) * 0.0001 * 30 / 29)
    assert (low, high) == pytest.approx((100 * (0.02 - half), 100 * (0.02 + half)))


def test_a_quick_run_shows_a_row_for_each_and_writes_nothing(comparison, monkeypatch, capsys):
    before = comparison.PAGE.read_bytes()
    for name in ("OURS", "SAME", "USUAL"):
        few = {"epochs": 3} if name == "OURS" else {"max_iter": 3}
        monkeypatch.setattr(comparison, name, type(getattr(comparison, name))(**few))
    comparison.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["wine", "iris"]
    assert comparison.PAGE.read_bytes() == before


def test_the_table_goes_between_its_marks_and_nowhere_else(comparison):
    page = comparison.PAGE.read_text(encoding="utf-8")
    once = comparison.written(page, "| a |")
    assert "<!-- accuracies: written by python -m benchmarks.estimators -->\n| a |\n<!--" in once
    assert comparison.written(once, "| a |") == once
    assert len(once.split("## Accuracies")[0]) == len(page.split("## Accuracies")[0])
    with pytest.raises(SystemExit, match="has lost its marks"):
        comparison.written("nothing", "| a |")
