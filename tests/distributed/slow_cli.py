"""The command line with epochs of at least 20 ms; ``KILL=1:20`` kills rank 1 after epoch 20."""

import os
import signal
import sys
import time

from plainnet.cli import main
from plainnet.train.state import TrainingState

_next_epoch = TrainingState.next_epoch


def next_epoch(state):
    time.sleep(0.02)
    if os.environ.get("KILL") == f"{state.train_step.ranks.rank}:{state.progress.number}":
        os.kill(os.getpid(), signal.SIGKILL)
    _next_epoch(state)


if __name__ == "__main__":
    TrainingState.next_epoch = next_epoch
    sys.exit(main())
