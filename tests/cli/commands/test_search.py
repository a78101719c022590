"""plainnet search: the table, reproducible commands, and interruptions."""

import io
import json
import re
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import plainnet.cli.commands.search as searching
import plainnet.search.search as module
from plainnet.cli.commands.search import show_trials
from plainnet.cli.progress import SearchDisplay
from plainnet.config import TrainConfig
from plainnet.model import Model
from plainnet.search.search import Search, SearchProgress
from plainnet.search.space import SEARCHED, space_of
from plainnet.search.trial import Rung, Scores, Trial
from plainnet.train.history import Epoch

Cli = Callable[..., Any]
QUICK = "--trials 3 --folds 2 --epochs 2"


def arguments(out: str, opening: str) -> list[str]:
    """Return the arguments of the command in a line."""
    (command,) = [text for text in out.splitlines() if text.startswith(opening)]
    return shlex.split(command.removeprefix(opening))[1:]


def spoil(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Give some trials a learning rate at which every training fails."""
    original = module._SearchRun._drawn

    def drawn(self: Any, number: int) -> TrainConfig:
        own = original(self, number)
        return replace(own, optimizer="sgd", lr=1e30) if number in numbers else own

    monkeypatch.setattr(module._SearchRun, "_drawn", drawn)


def test_table_end_to_end(cli: Cli, survey: Path) -> None:
    outcome = cli("search", survey, QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    for expected in (
        "survey.csv: 150 rows, 120 to train, 30 held out",
        "Search: 3 trials drawn at random",
        "120 rows in 2 folds: each validates a training of 2 epochs on the others",
        "learning rate: 0.0001 to 0.03",
        "Trials, best first",
        "Baselines on the same folds",
        "logistic regression",
        "standard deviation over 2 folds",
        "is the best. Trained on all 120 rows and evaluated on the held-out rows:",
        "On 30 held-out rows",
        "95 % interval",
    ):
        assert expected in outcome.out
    assert len(re.findall(r"^trial \d/3  loss [\d.]+  best loss", outcome.out, re.M)) == 3
    losses = re.findall(
        r"^ +\d +\d x \d+ .* ([\d.]+) ± [\d.]+ +[\d.]+ ± [\d.]+$", outcome.out, re.M
    )
    assert len(losses) == 3
    assert sorted(losses, key=float) == losses
    assert not list(Path().glob("*.safetensors"))


@pytest.mark.parametrize(
    "options",
    ["--seed 3 --optimizer adamw --group-duplicates", "--batch-norm --lr 0.02 --dropout 0"],
)
def test_best_command_gives_the_model_of_the_search(cli: Cli, survey: Path, options: str) -> None:
    spaced = survey.rename(survey.with_name("my survey's.csv"))
    outcome = cli("search", spaced, QUICK, options, "--out", "found.safetensors")
    assert outcome.code == 0
    assert "Saved: found.safetensors" in outcome.out
    assert cli(*arguments(outcome.out, "Train it: "), "--out", "again.safetensors").code == 0
    assert Path("again.safetensors").read_bytes() == Path("found.safetensors").read_bytes()
    chosen = Model.load("found.safetensors").record["config"]
    assert chosen["epochs"] == 2
    assert cli(*arguments(outcome.out, "Next: ")).code == 0


def test_pictures_end_to_end(cli: Cli, colors: Path) -> None:
    outcome = cli("search", colors, QUICK, "--size 8 --out p.safetensors")
    assert (outcome.code, outcome.err) == (0, "")
    assert "colors: 12 pictures, 10 to train, 2 held out" in outcome.out
    assert "7 numbers of color" in outcome.out
    assert cli(*arguments(outcome.out, "Train it: "), "--out", "q.safetensors").code == 0
    assert Path("q.safetensors").read_bytes() == Path("p.safetensors").read_bytes()


def told(outcome: Any) -> dict[str, Any]:
    assert outcome.err == ""
    assert outcome.out.count("\n") == 1
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.mark.parametrize("method", ["random", "halving", "optuna"])
def test_every_trial_has_a_reproducing_command(cli: Cli, survey: Path, method: str) -> None:
    if method == "optuna":
        pytest.importorskip("optuna")
    found = told(cli("search", survey, QUICK, f"--method {method} --json"))
    assert found["winner"] == found["trials"][0]["trial"]
    assert [b["name"] for b in found["baselines"]] == ["constant", "column", "regression"]
    assert found["held_out"]["rows"] == 30
    for trial in found["trials"]:
        again = told(cli(*shlex.split(trial["again"])[1:], "--json"))
        (alone,) = again["trials"]
        assert alone["rungs"][: len(trial["rungs"])] == trial["rungs"]
        assert alone["config"] == trial["config"]
        assert again["held_out"] is None
        assert again["baselines"] == found["baselines"]


def test_only_runs_the_given_trial(cli: Cli, survey: Path) -> None:
    found = told(cli("search", survey, QUICK, "--json"))
    alone = cli("search", survey, QUICK, "--only 2")
    assert "Trial 2 again" in alone.out
    assert "held-out rows" not in alone.out
    (trial,) = [one for one in found["trials"] if one["trial"] == 2]
    assert shlex.split(trial["again"])[1:] == arguments(alone.out, "Trial 2 again: ")
    assert shlex.split(trial["train"])[1:] == arguments(alone.out, "Train it: ")


def test_same_seed_gives_the_same_output(cli: Cli, survey: Path) -> None:
    first = cli("search", survey, QUICK)
    assert first == cli("search", survey, QUICK)
    assert first.out != cli("search", survey, QUICK, "--seed 1").out


@pytest.mark.parametrize(
    ("column", "head"),
    [([i / 7 for i in range(40)], "R²"), (["p;q", "q", "r", ""] * 10, "accuracy")],
)
def test_other_tasks(cli: Cli, tmp_path: Path, column: list[Any], head: str) -> None:
    pd.DataFrame({"x": range(40), "y": column}).to_csv(tmp_path / "t.csv", index=False)
    outcome = cli("search", "t.csv", QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    assert head in outcome.out.split("Trials, best first")[1].splitlines()[1]


def test_no_evaluation_without_held_out_rows(cli: Cli, survey: Path) -> None:
    out = cli("search", survey, QUICK, "--test-fraction 0").out
    assert "held out" not in out
    out = cli("search", survey, QUICK, "--test-fraction 0 --out m.safetensors").out
    assert "Trained on all 150 rows; no rows are held out." in out
    assert Path("m.safetensors").is_file()


# --- what goes wrong -----------------------------------------------------------------------------


def test_failed_trial_is_shown_with_its_reason(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 2)
    outcome = cli("search", survey, QUICK)
    assert outcome.code == 0
    assert "trial 2/3  failed" in outcome.out
    assert re.search(r"^ +2 .* failed +-$", outcome.out, re.M)
    assert "Note: trial 2 failed: the loss became nan in epoch 1, batch " in outcome.out


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["table", "json"])
def test_table_precedes_the_error_where_all_fail(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    spoil(monkeypatch, 1, 2, 3)
    outcome = cli("search", survey, QUICK, *option)
    assert outcome.code == 2
    assert outcome.err == "Error: none of 3 trials could be trained: see the notes\n"
    if option:
        found = json.loads(outcome.out)
        assert found["winner"] is None
        assert all("loss became nan" in trial["failure"] for trial in found["trials"])
    else:
        assert outcome.out.count("Note: trial") == 3


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["table", "json"])
def test_ctrl_c_shows_finished_trials(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    def press(self: SearchDisplay, moment: SearchProgress) -> None:
        if moment.trial == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SearchDisplay, "watch", press)
    outcome = cli("search", survey, QUICK, "--out m.safetensors", *option)
    assert (outcome.code, outcome.err) == (130, "")
    assert not Path("m.safetensors").exists()
    if option:
        found = json.loads(outcome.out)
        assert found["stopped"] == "interrupted"
        assert sorted(trial["trial"] for trial in found["trials"]) == [1, 2]
        assert found["held_out"] is None
    else:
        assert "Trials, best first, as far as they got" in outcome.out
        assert "Interrupted: 2 of 3 trials ran; nothing is saved. The best so far is" in outcome.out
        assert "held-out rows" not in outcome.out
        assert arguments(outcome.out, "Train it: ")[0] == "train"


def test_ctrl_c_before_the_first_trial_ends(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(self: SearchDisplay, moment: SearchProgress) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SearchDisplay, "watch", press)
    outcome = cli("search", survey, QUICK)
    assert outcome.code == 130
    assert outcome.err == "Error: interrupted: unfinished work is not saved\n"


def test_ctrl_c_in_the_final_training_prints_the_command(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pressing(searching.DoctorWatch):  # type: ignore[misc]
        def watch(self, epoch: Epoch) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(searching, "DoctorWatch", Pressing)
    outcome = cli("search", survey, QUICK, "--out m.safetensors")
    assert outcome.code == 130
    assert arguments(outcome.out, "Train it: ")[0] == "train"
    assert not Path("m.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--trials 0", "a search needs at least 1 trial, got 0"),
        ("--folds 1", "cross-validation needs at least 2 folds, got 1"),
        ("--folds 500", "500 folds need at least 500 rows, got 120: take fewer folds"),
        ("--only 21", "there is no trial 21 of 20: they count from 1"),
        ("--only 2 --out a.st", "--only runs a trial again and saves nothing: leave out --out"),
        ("--out nowhere/a.st", "there is no folder 'nowhere' to write 'a.st' into"),
        ("--out survey.csv", "'survey.csv' would overwrite an input: give --out another name"),
        (
            "--test-fraction 0.5 --validation-fraction 0.2",
            "a search validates on its folds: leave out validation",
        ),
        ("--epochs 0", "TrainConfig: epochs must be a whole number of at least 1, got 0"),
        ("--method grid", 'Invalid value "grid" for --method. Choose from: "random", "halving"'),
        ("--optimizer sgd --weight-decay 0.1", "weight_decay is an option of adamw, not of sgd"),
    ],
)
def test_invalid_options_raise_in_one_sentence(
    cli: Cli, survey: Path, options: str, says: str
) -> None:
    outcome = cli("search", survey.name, options)
    assert outcome.code == 2
    assert outcome.err.startswith(f"Error: {says}")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err


def test_missing_optuna_raises_in_one_sentence(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = cli("search", survey, QUICK, "--method optuna")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "Error: optuna is not installed, which --method optuna needs: "
        "pip install 'plainnet[search]'\n"
    )


# --- on a terminal -------------------------------------------------------------------------------


def terminal(width: int, **options: Any) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, highlight=False, **options)
    return console, screen


def lines(screen: io.StringIO) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    return [text for text in re.split(r"[\r\n]+", plain) if text.strip()]


def finding(rounds: list[tuple[int, int]], n: int = 3) -> Search:
    config = TrainConfig(hidden=(128,) * 3, lr=0.00012, l2=1.2e-05, dropout=0.25, batch_size=256)
    scores = Scores((0.25, 0.5), (0.75, 0.5))
    trials = [Trial(i, config, (Rung(rounds[-1][1], scores),)) for i in range(1, n + 1)]
    return Search(config, space_of(config, 1000), "random", 2, rounds, trials=trials)


@pytest.mark.parametrize("width", [30, 80, 100, 200])
@pytest.mark.parametrize("rounds", [[(3, 5)], [(3, 2), (2, 5)]])
def test_table_fits_the_terminal(width: int, rounds: list[tuple[int, int]]) -> None:
    console, screen = terminal(width)
    show_trials(console, finding(rounds), "accuracy")
    assert all(len(text.rstrip()) <= width for text in lines(screen))
    text = " ".join(lines(screen))
    assert ("Their options" in text) == (width < (80 if len(rounds) == 1 else 90))
    if width >= 80:
        assert "0.375 ± 0.177" in text  # the mean of 1/4 and 1/2, and sqrt(1/32)
        assert "62.5 ± 17.7" in text
        assert "3 x 128" in text


def test_best_of_many_trials_are_listed() -> None:
    console, screen = terminal(100)
    show_trials(console, finding([(45, 5)], n=45), "accuracy")
    assert lines(screen)[-2].strip() == "and 15 more"


@pytest.mark.parametrize("width", [20, 60, 100])
def test_progress_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    console, screen = terminal(width)
    found = finding([(3, 5)])
    with SearchDisplay(console, trials=3, folds=2) as watch:
        for trial in found.trials:
            for number in range(1, 6):
                done = 10 * (trial.number - 1) + number
                watch._line.next = 0.0  # as if a tenth of a second had passed
                watch.watch(SearchProgress(trial.number, 1, number, 5, done, 30))
            watch.watch_trial(found, trial)
    drawn = lines(screen)
    assert all(len(text) <= width for text in drawn)
    assert drawn[-1].startswith("trial 3/3  eta 0:0"[: width - 1])
    assert ("best loss 0.3750 (trial 1)" in drawn[-1]) == (width >= 60)
    assert ("epoch 5/5" in drawn[-1]) == (width == 100)


def test_searched_options_have_no_default() -> None:
    from plainnet.cli.options import Options

    assert Options().given() == set()
    given = Options(
        hidden=(), lr=0.1, l2=0.0, weight_decay=0.1, dropout=0.0, batch_size=32,
        channels=(8,), kernel=3, augment=(),
    )  # fmt: skip
    assert given.given() == set(SEARCHED)
