"""plainnet demo: both examples reach their cost, and the suggested commands work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plainnet.cli.commands.demo as demo
from plainnet.model import Model

Cli = Callable[..., Any]


def test_demo_architectures() -> None:
    assert demo.SURVEY.hidden == (16,)
    assert demo.IMAGES.hidden == (8, 8, 8)
    for config in (demo.SURVEY, demo.IMAGES):
        assert (config.optimizer, config.batch_size) == ("sgd", "full")


@pytest.mark.parametrize(
    ("which", "n_in", "cost", "accuracy"),
    [("introverts", (14,), 0.30, 0.85), ("pandas", (32, 32, 3), 0.4, 0.65)],
)
def test_demo_trains_saves_and_suggests_a_working_command(
    cli: Cli,
    demo_folder: Callable[[str], Path],
    which: str,
    n_in: tuple[int, ...],
    cost: float,
    accuracy: float,
) -> None:
    folder = demo_folder(which)
    out = (folder / "output.txt").read_text(encoding="utf-8")
    for expected in ("held-out rows", "always ", "final cost 0."):
        assert expected in out
    if which == "pandas":
        assert "Better than the best baseline" in out.split("convolutional")[1]
    model = Model.load(folder / f"plainnet-{which}.safetensors")
    assert model.net.in_shape == n_in
    assert model.record["history"]["loss"][-1] < cost
    held_out = model.record["evaluation"]
    assert held_out["accuracy"] > accuracy > held_out["baselines"][0]["accuracy"]

    command = out.split("Next: plainnet ")[1].split()
    figures = json.loads(cli(*command, "--json").out)
    assert figures["rows"] == held_out["rows"]
    assert figures["accuracy"] == held_out["accuracy"]
    assert figures["loss"] == pytest.approx(held_out["loss"], rel=1e-4)
    predictions = cli("predict", *command[1:])
    assert predictions.code == 0
    assert len(predictions.out.splitlines()) == held_out["rows"] + 1


def test_both_demos_by_default(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, Path]] = []
    for name in ("_introverts", "_pandas"):
        monkeypatch.setattr(
            demo, name, lambda console, folder, name=name: ran.append((name, folder.resolve()))
        )
    assert cli("demo").code == 0
    assert ran == [("_introverts", tmp_path), ("_pandas", tmp_path)]
