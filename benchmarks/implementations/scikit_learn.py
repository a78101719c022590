"""scikit-learn: MLPClassifier without early stopping."""

import warnings
from collections.abc import Callable
from typing import final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.implementations.base import Implementation, Predict, chunks
from benchmarks.workloads import SEED, Array, Job

NEVER = 10**9


@final
class ScikitLearn(Implementation):
    """Set the initial weights by warm start. Mini-batches come from its own generator."""

    def load(self, job: Job) -> None:
        w = job.workload
        self.job = job
        self.y = job.y.ravel().astype(np.int64)
        self.model = MLPClassifier(
            w.sizes[1:-1],
            solver="adam" if w.optimizer == "adam" else "sgd",
            learning_rate_init=w.lr,
            momentum=0.9 if w.optimizer == "momentum" else 0.0,
            nesterovs_momentum=False,
            batch_size=w.batch_rows,
            shuffle=w.batch is not None,
            alpha=0.0,
            tol=0.0,
            n_iter_no_change=NEVER,
            max_iter=1,
            warm_start=True,
            random_state=SEED,
        )
        warnings.simplefilter("ignore", ConvergenceWarning)
        n_rows = max(w.batch_rows, 1000)
        self.model.fit(
            job.X[:n_rows], self.y[:n_rows]
        )  # creates its attributes; reset sets the weights
        self.reset()

    def reset(self) -> None:
        self.model.coefs_ = [W.T.copy() for W, _ in self.job.weights]
        self.model.intercepts_ = [b.copy() for _, b in self.job.weights]
        self.model.loss_curve_ = []

    def train(self, epochs: int) -> list[float]:
        self.model.set_params(max_iter=epochs)
        self.model.fit(self.job.X, self.y)
        return [float(loss) for loss in self.model.loss_curve_]

    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        X, model = self.job.X[:rows], self.model

        def predict() -> Array:
            outputs = [model.predict_proba(part) for part in chunks(X, chunk)]
            return np.concatenate(outputs) if chunk else outputs[0]

        return predict, lambda: predict()[:8, 1:]
