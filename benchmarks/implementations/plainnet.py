"""plainnet: fit() with its defaults, including the choice of threads, and each engine."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, final

from benchmarks.implementations.base import Implementation, Predict, sigmoid
from benchmarks.workloads import SEED, Array, Job, network
from plainnet import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    History,
    Loss,
    Optimizer,
    SoftmaxCrossEntropy,
    fit,
    predict_logits,
)


class _Plainnet(Implementation):
    engine: ClassVar[str]

    def load(self, job: Job) -> None:
        w = job.workload
        self.job = job
        self.net = network(w)
        self.loss: Loss = BinaryCrossEntropy() if w.sizes[-1] == 1 else SoftmaxCrossEntropy()
        rules: dict[str, Optimizer] = {
            "sgd": SGD(w.lr),
            "momentum": SGD(w.lr, momentum=0.9),
            "adam": Adam(w.lr),
        }
        self.optimizer = rules[w.optimizer]
        self.history, self.start = History(), self.net.params.theta.copy()
        self.reset()

    def reset(self) -> None:
        self.net.params.theta[...] = self.start

    def train(self, epochs: int) -> list[float]:
        self.history = fit(
            self.net,
            self.job.X,
            self.job.y,
            loss=self.loss,
            optimizer=self.optimizer,
            epochs=epochs,
            batch_size=self.job.workload.batch,
            engine=self.engine,
            seed=SEED,
        )
        return self.history.loss

    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        X, net = self.job.X[:rows], self.net
        if rows == 1:
            return lambda: net.predict_logits(X), lambda: sigmoid(net.predict_logits(X[:8]))
        predict = partial(predict_logits, net, engine=self.engine)
        return lambda: predict(X), lambda: sigmoid(predict(X[:8]))

    def chosen_threads(self) -> int:
        return self.history.threads


@final
class Plainnet(_Plainnet):
    """Compiled steps; the warm-up compiles them or loads them."""

    engine = "compiled"


@final
class PlainnetNumPy(_Plainnet):
    engine = "numpy"
