"""Many sessions at once: no failure; the long form is `make load`."""

from play.load import OTHERS, run_sessions
from play.served import served


def test_random_actions_of_several_sessions_do_not_fail():
    with served() as playground:
        left = iter(range(120))
        counts = run_sessions(
            playground.port, playground.token, 4, lambda: next(left, None) is not None
        )
    assert {status for _, status in counts} <= {200, 400}, counts
    assert sum(counts.values()) == 120
    assert len({action for action, _ in counts}) > len(OTHERS)
