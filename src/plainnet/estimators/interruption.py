"""Interruption: the first Ctrl-C ends one training early, the second ends all of them."""

import math
import time
from dataclasses import dataclass
from typing import final

from plainnet.estimators.api import warn
from plainnet.train.history import History

PAUSE = 10.0  # seconds at most from one training of a cross-validation to the next


@final
@dataclass
class Interruption:
    """Whether Ctrl-C ended one of the trainings that follow one another without a pause."""

    seen: bool = False
    ended: float = -math.inf  # when the last training did, by time.monotonic

    def note(self, history: History, began: float, name: str) -> None:
        """Warn of the first training that was interrupted; raise KeyboardInterrupt at the second.

        A training that begins within seconds of the last one's end is of the same loop.
        """
        again = self.seen and began - self.ended < PAUSE
        now = history.stopped == "interrupted"
        self.seen, self.ended = now is not again, time.monotonic()
        if now and again:
            raise KeyboardInterrupt
        if now:
            warn(
                f"Training interrupted by user. {name} after {len(history)} epochs is kept; "
                "a second Ctrl-C, also in a training that follows at once, raises "
                "KeyboardInterrupt",
                UserWarning,
            )


INTERRUPTION = Interruption()  # of this process, whose main thread alone hears of Ctrl-C
