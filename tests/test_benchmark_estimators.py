"""The comparison with MLPClassifier runs and computes correct intervals."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import estimators

    return estimators


def test_interval_matches_nadeau_and_bengio(comparison):
    differences = np.array([0.01, 0.03] * 15)  # mean 0.02, variance 0.0001 * 30 / 29
    low, high = comparison.interval(differences)
    half = 2.045 * np.sqrt((1 / 30 + 1 / 9) * 0.0001 * 30 / 29)
    assert (low, high) == pytest.approx((100 * (0.02 - half), 100 * (0.02 + half)))


def test_quick_run_prints_rows_and_writes_nothing(comparison, monkeypatch, capsys):
    before = comparison.PAGE.read_bytes()
    for name in ("PLAINNET", "MLP_SAME_CONFIG", "MLP_DEFAULTS"):
        fewer = {"epochs": 3} if name == "PLAINNET" else {"max_iter": 3}
        monkeypatch.setattr(comparison, name, type(getattr(comparison, name))(**fewer))
    comparison.main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["wine", "iris"]
    assert comparison.PAGE.read_bytes() == before


def test_replace_table_changes_only_the_table(comparison):
    page = comparison.PAGE.read_text(encoding="utf-8")
    once = comparison.replace_table(page, "accuracies", "| a |")
    assert "<!-- accuracies: written by python -m benchmarks.estimators -->\n| a |\n<!--" in once
    assert comparison.replace_table(once, "accuracies", "| a |") == once
    assert len(once.split("## Accuracies")[0]) == len(page.split("## Accuracies")[0])
    with pytest.raises(SystemExit, match="lacks the marks"):
        comparison.replace_table("nothing", "accuracies", "| a |")
