"""Introverts and extroverts: two layers, batch gradient descent, a training cost of 0.30 or less.

python examples/introverts.py [TABLE.csv]     without a table, a simulated survey is used
"""

import sys

from plainnet import Epoch, TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.training import train

CONFIG = TrainConfig(
    target="Personality",
    hidden=(16,),
    optimizer="sgd",
    lr=0.5,
    batch_size="full",
    epochs=2000,
)
GOAL = 0.30


def report(epoch: Epoch) -> None:
    if epoch.number == 1 or epoch.number % 200 == 0:
        print(f"epoch {epoch.number:4}  cost {epoch.loss:.4f}")


def main() -> int:
    data = sys.argv[1] if len(sys.argv) > 1 else introverts()
    run = train(data, CONFIG, watch=report)
    print(run.model.record["evaluation"]["verdict"])
    cost = run.history.loss[-1]
    print(f"training cost {cost:.4f}, to reach: {GOAL:.2f} or less")
    return 0 if cost <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
