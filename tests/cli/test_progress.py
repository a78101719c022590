"""The line on a terminal, the lines in piped output, and the bar while pictures are read."""

import io
import re

import pytest
from rich.console import Console

import plainnet.cli.progress as live
from plainnet.cli.progress import TrainingDisplay, clock, duration, reading, sparkline
from plainnet.data.targets import Target
from plainnet.train.history import Epoch

CLASSES = Target("binary", ("y",), ("no", "yes"))
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def epoch(number: int, of: int = 100, *, validated: bool = True) -> Epoch:
    val = 0.75 if validated else None
    return Epoch(number, of, 1 / number, val, 0.5, val, 0.1, 0.01)


def terminal(width: int = 80, **options: object) -> tuple[Console, io.StringIO]:
    """Return a console in terminal mode and its output."""
    screen = io.StringIO()
    wanted = {"force_terminal": True, "color_system": "standard", "highlight": False}
    return Console(file=screen, width=width, **(wanted | options)), screen  # type: ignore[arg-type]


def lines(screen: io.StringIO) -> list[str]:
    """Return the drawn frames in order."""
    plain = CONTROLS.sub("", screen.getvalue())
    return [line for line in re.split(r"[\r\n]+", plain) if line]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def watch(console: Console, n: int = 3, of: int = 100, target: Target = CLASSES) -> None:
    with TrainingDisplay(console) as display:
        display.start(target)
        for number in range(1, n + 1):
            display(epoch(number, of))
        display.finish()


def test_one_line_in_place_on_a_terminal() -> None:
    console, screen = terminal()
    watch(console, n=20)
    last = lines(screen)[-1]
    assert last.startswith("epoch  20/100  cost 0.0500  accuracy 50.0 %  val cost 0.7500  eta ")
    assert last.endswith("▁")
    assert "█" in last
    assert len(lines(screen)) <= 3  # the first, the last, and at most one between: not twenty
    assert screen.getvalue().count("\n") == 1  # all in one place


@pytest.mark.parametrize("console", [terminal(100), terminal(100, force_terminal=False)])
def test_members_that_improved_are_counted(console: tuple[Console, io.StringIO]) -> None:
    with TrainingDisplay(console[0]) as display:
        display.start(CLASSES)
        display(epoch(1)._replace(improved=(3, 8)))
        display.finish()
    assert "3 of 8 members improved" in lines(console[1])[-1]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120, 200])
def test_line_fits_the_terminal(width: int) -> None:
    console, screen = terminal(width)
    watch(console, n=50)
    assert len(lines(screen)[-1]) <= width
    assert lines(screen)[-1].startswith("epoch  50/100"[: width - 1])


def test_remaining_time_disappears_after_the_last_epoch() -> None:
    console, screen = terminal()
    watch(console, n=100)
    assert "eta" not in lines(screen)[-1]


def test_line_is_drawn_at_most_ten_times_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(live.time, "perf_counter", lambda: now)
    console, screen = terminal()
    with TrainingDisplay(console) as display:
        display.start(CLASSES)
        for number in range(1, 1001):
            now += 0.001
            display(epoch(number, 1000))
        now += 0.001
        display.finish()
    assert 9 <= len(lines(screen)) <= 12


def test_remaining_time_is_estimated_from_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(live.time, "perf_counter", lambda: now)
    console, screen = terminal()
    with TrainingDisplay(console) as display:
        display.start(CLASSES)
        now += 30
        display(epoch(10, 40))
        display(epoch(10, 40))
        assert display.finish() == 30
    assert "eta 15:00" in lines(screen)[0]  # after one epoch in half a minute, and 30 to go
    assert "eta 7:30" in lines(screen)[-1]  # after two


@pytest.mark.parametrize("options", [{"force_terminal": False}, {}])
def test_one_line_per_epoch_in_piped_output_and_on_dumb_terminals(
    options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not options:
        monkeypatch.setenv("TERM", "dumb")
    console, screen = terminal(20, **options)
    watch(console, n=3)
    assert screen.getvalue().splitlines() == [
        "epoch   1/100  cost 1.0000  accuracy 50.0 %  val cost 0.7500  val accuracy 75.0 %",
        "epoch   2/100  cost 0.5000  accuracy 50.0 %  val cost 0.7500  val accuracy 75.0 %",
        "epoch   3/100  cost 0.3333  accuracy 50.0 %  val cost 0.7500  val accuracy 75.0 %",
    ]


@pytest.mark.parametrize(("n", "of", "every"), [(1000, 1000, 10), (257, 1000, 10), (101, 101, 2)])
def test_long_trainings_print_about_100_lines_with_the_first_and_last_epoch(
    n: int, of: int, every: int
) -> None:
    console, screen = terminal(force_terminal=False)
    watch(console, n, of)
    head, *shown = screen.getvalue().splitlines()
    assert head == f"One line for every {every} epochs:"
    numbers = [int(line.split("/")[0].removeprefix("epoch")) for line in shown]
    assert numbers == sorted({1, *range(every, n + 1, every), n})
    assert len(shown) <= 102


def test_resumed_training_prints_its_first_epoch() -> None:
    console, screen = terminal(force_terminal=False)
    with TrainingDisplay(console) as display:
        display(epoch(503, 1000))
    assert "epoch  503/1000" in screen.getvalue()


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    color = "\x1b[36m"
    console, screen = terminal()
    watch(console)
    assert color in screen.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    console, screen = terminal()
    watch(console)
    assert color not in screen.getvalue()


def test_regression_error_has_its_unit() -> None:
    console, screen = terminal(force_terminal=False)
    watch(console, 1, target=Target("regression", ("y",), (), (5.0,), (200.0,)))
    assert "MAE 100.0000  " in screen.getvalue()
    console, screen = terminal(force_terminal=False)
    watch(console, 1, target=Target("regression", ("y", "z"), (), (5.0, 1.0), (200.0, 2.0)))
    assert "MAE 0.5000  " in screen.getvalue()  # of several, standardized


def test_terminal_is_restored_after_an_error() -> None:
    console, screen = terminal()

    def fail() -> None:
        with TrainingDisplay(console) as display:
            display(epoch(1))
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert screen.getvalue().rstrip("\n").endswith("\x1b[?25h")  # the cursor is shown again


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 5, ""),
        ([1.0], 5, "▁"),
        ([2.0, 2.0], 5, "▁▁"),
        ([0.0, 7.0], 5, "▁█"),
        (list(range(8)), 8, "▁▂▃▄▅▆▇█"),
        (list(range(80)), 8, "▁▂▃▄▅▆▇█"),
        ([3.0, 1.0], 0, ""),
    ],
)
def test_sparkline(values: list[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected


@pytest.mark.parametrize(
    ("seconds", "left", "taken"),
    [
        (0, "0:00", "0.0 s"),
        (59.96, "1:00", "60.0 s"),
        (61, "1:01", "1:01"),
        (7322, "2:02:02", "2:02:02"),
    ],
)
def test_times(seconds: float, left: str, taken: str) -> None:
    assert (clock(seconds), duration(seconds)) == (left, taken)


def test_bar_while_pictures_are_read() -> None:
    console, screen = terminal()
    with reading(console) as progress:
        assert progress is not None
        progress(1, 4)
        progress(4, 4)
        console.print("after")
    assert "reading " in screen.getvalue()
    assert "4/4" in screen.getvalue()
    assert lines(screen)[-1] == "after"


def test_no_bar_in_piped_output() -> None:
    console, screen = terminal(force_terminal=False)
    with reading(console) as progress:
        assert progress is None
    assert screen.getvalue() == ""
