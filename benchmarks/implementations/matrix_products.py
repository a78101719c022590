"""Matrix products: those of the same steps and nothing else, into preallocated buffers."""

from collections.abc import Callable
from typing import final

import numpy as np

from benchmarks.implementations.base import Implementation, Predict, chunks
from benchmarks.workloads import SEED, Array, Job


@final
class MatrixProducts(Implementation):
    """Compute products without learning. Batches are slices, to exclude the gathering of rows."""

    def load(self, job: Job) -> None:
        w = job.workload
        self.job = job
        self.products: list[tuple[Array, Array, Array]] = []
        rng = np.random.default_rng(SEED)

        def random_rows(width: int) -> Array:
            return rng.standard_normal((w.batch_rows, width), np.float32)

        inputs = [random_rows(n) for n in w.sizes[1:-1]]  # of each layer but the first
        deltas = [random_rows(n) for n in w.sizes[1:]]
        out = [np.empty_like(dZ) for dZ in deltas]
        back = [np.empty_like(A) for A in inputs]
        grads = [np.empty_like(W) for W, _ in job.weights]
        for start in range(0, w.rows, w.batch_rows):
            X = job.X[start : start + w.batch_rows]
            m = len(X)
            A = [X, *(a[:m] for a in inputs)]
            for i, (W, _) in enumerate(job.weights):
                self.products.append((A[i], W.T, out[i][:m]))
            for i in reversed(range(len(deltas))):
                self.products.append((deltas[i][:m].T, A[i], grads[i]))
                if i:
                    self.products.append((deltas[i][:m], job.weights[i][0], back[i - 1][:m]))

    def reset(self) -> None:
        """Do nothing: the products change no weights."""

    def train(self, epochs: int) -> list[float]:
        for _ in range(epochs):
            for a, b, out in self.products:
                a.dot(b, out=out)
        return []

    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        X = self.job.X[:rows]
        outs = [
            np.empty((min(rows, chunk or rows), n), np.float32) for n in self.job.workload.sizes
        ]

        factors = [W.T for W, _ in self.job.weights]

        def predict() -> None:
            for A in [X] if chunk is None else chunks(X, chunk):
                for W, out in zip(factors, outs[1:], strict=True):
                    A = A.dot(W, out=out if len(A) == len(out) else out[: len(A)])

        return predict, lambda: np.empty(0)
