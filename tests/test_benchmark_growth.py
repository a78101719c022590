"""The tables and the pages of the growth benchmark."""

from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def growth(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import growth

    return growth


def test_tables_have_text_gaps_and_two_classes(growth, tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "BLOCK", 20 * 100)  # written in blocks
    growth.write_table(tmp_path / "a.csv", 250, 20)
    frame = pd.read_csv(tmp_path / "a.csv")
    assert frame.shape == (250, 21)
    assert list(frame.select_dtypes(exclude="number")) == ["x9", "x19", "y"]
    assert list(frame.columns[frame.isna().any()]) == ["x4", "x14"]
    assert set(frame["y"]) == {"yes", "no"}


def test_both_commands_do_the_job(growth, tmp_path):
    growth.write_table(tmp_path / "table.csv", 200, 10)
    for command in growth.COMMANDS:
        cost = growth.measure(command, tmp_path)
        assert cost.seconds > 0
        assert cost.peak > 20  # MiB
    assert (tmp_path / "model.safetensors").stat().st_size > 0
    assert (tmp_path / "model.joblib").stat().st_size > 0
    with pytest.raises(SystemExit, match="failed"):
        growth.measure(["-c", "raise SystemExit(3)"], tmp_path)


def test_page_of_make_bench_keeps_the_growth_table(growth, monkeypatch):
    from benchmarks import report

    page = growth.PAGE.read_text(encoding="utf-8")
    changed = report.replace_table(page, "growth", "| a |")
    assert report.split_page(changed, "growth")[1] == "| a |"
    whole = report.page(report.Results(1), "| a |")
    assert report.split_page(whole, "growth")[1] == "| a |"


def test_page_of_make_bench_keeps_the_ratios_of_another_processor(monkeypatch):
    from benchmarks import report

    first, second = "A, 2 processors", "B, 4 processors"
    monkeypatch.setattr(report, "machine", lambda: first)
    page = report.page(report.Results(1))
    assert report.other_processor(page) == ""
    monkeypatch.setattr(report, "machine", lambda: second)
    kept = report.other_processor(page)
    assert kept.startswith(f"- Machine: {first}.\n- Date: ")
    assert report.ratio_table(report.Results(1)) in kept
    assert report.other_processor(report.page(report.Results(1), "", kept)) == kept
