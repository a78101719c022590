"""Pandas and bears: 12288-8-8-8-1, batch gradient descent, a training cost below 0.005.

python examples/pandas_bears.py [FOLDER]     without a folder of class folders, drawn pictures
"""

import sys

from plainnet import Epoch, TrainConfig
from plainnet.data.synthetic import pandas_and_bears
from plainnet.training import train

CONFIG = TrainConfig(
    hidden=(8, 8, 8),
    optimizer="sgd",
    lr=0.01,
    batch_size="full",
    epochs=500,
)
GOAL = 0.005


def report(epoch: Epoch) -> None:
    if epoch.number == 1 or epoch.number % 50 == 0:
        print(f"epoch {epoch.number:4}  cost {epoch.loss:.4f}")


def main() -> int:
    data = sys.argv[1] if len(sys.argv) > 1 else pandas_and_bears(100)
    run = train(data, CONFIG, watch=report)
    print(run.model.record["evaluation"]["verdict"])
    cost = run.history.loss[-1]
    print(f"training cost {cost:.4f}, to reach: below {GOAL}")
    return 0 if cost < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
