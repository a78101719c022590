"""row_space: time and accuracy of methods for training on wide data.

Gradient descent on X (m, n) needs either coordinates C (m, r) of the rows in an orthonormal basis
of the row space, X = C Q^T, or the dot products K = X X^T of all pairs. Each method computes the
first layer's output after one step, Z = X (W - lr dZ^T X)^T. Run with
``python -m benchmarks.row_space``.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import SEED, Array

Step = Callable[[Array, Array], Array]  # (W, dZ) -> Z after the products of one step
Method = Callable[[Array, Array], tuple[int, Step]]  # (X, W) -> number of columns, step
ROUNDS, STEPS = 3, 200
MIN_SECONDS = 1.5  # seconds: longer measurements are not repeated
UNITS, LR = 8, 0.003
RANK_TOLERANCE = 1e-11  # smaller squared singular values, relative to the largest, are rounding


def plain(X: Array, W: Array) -> tuple[int, Step]:
    return X.shape[1], lambda W, dZ: X @ (W - np.float32(LR) * (dZ.T @ X)).T


def in_basis(C: Array, V: Array) -> tuple[int, Step]:
    """X = C Q^T, V = W Q: Z = C (V - lr dZ^T C)^T."""
    return C.shape[1], lambda W, dZ: C @ (V - np.float32(LR) * (dZ.T @ C)).T


def qr(X: Array, W: Array) -> tuple[int, Step]:
    Q, R = np.linalg.qr(X.T)
    return in_basis(np.ascontiguousarray(R.T), W @ Q)


def cholesky(X: Array, W: Array) -> tuple[int, Step]:
    """X X^T = C C^T, Q = X^T C^-T; fails for dependent rows."""
    C = np.linalg.cholesky(gram(X, np.float64)).astype(X.dtype)
    return in_basis(C, np.linalg.solve(C, X @ W.T).T)


def eigh(X: Array, W: Array) -> tuple[int, Step]:
    """X X^T = U L U^T, C = U L^(1/2), Q = X^T U L^(-1/2)."""
    L, U = np.linalg.eigh(gram(X, np.float64))
    kept = RANK_TOLERANCE * L[-1] < L
    L, U = L[kept], U[:, kept]
    V = (W @ X.T) @ (U / np.sqrt(L)).astype(X.dtype)
    return in_basis((U * np.sqrt(L)).astype(X.dtype), V)


def svd(X: Array, W: Array) -> tuple[int, Step]:
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    kept = len(X) * np.finfo(X.dtype).eps * S[0] < S
    return in_basis(U[:, kept] * S[kept], W @ Vt[kept].T)


def dot_products(X: Array, W: Array) -> tuple[int, Step]:
    """F = [X X^T, X W^T]: Z = F [-lr dZ; 1], as in RowSpace."""
    F = np.hstack([gram(X, X.dtype), X @ W.T])
    A = np.vstack([np.zeros((len(X), len(W))), np.eye(len(W))]).astype(X.dtype)

    def step(W: Array, dZ: Array) -> Array:
        A[: len(X)] = np.float32(-LR) * dZ
        Z: Array = F @ A
        return Z

    return F.shape[1], step


def gram(X: Array, dtype: type) -> Array:
    A: Array = X.astype(dtype, copy=False)
    product: Array = A @ A.T
    return product


METHODS: dict[str, Method] = {
    "plain training": plain,
    "basis by QR of X^T": qr,
    "basis by Cholesky of X X^T": cholesky,
    "basis by eigenvectors of X X^T": eigh,
    "basis by SVD of X": svd,
    "dot products X X^T (plainnet)": dot_products,
}


def data(m: int, n: int) -> dict[str, Array]:
    """Generate rows of three kinds: independent, smooth as in images, and half of them copies."""
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal((m, n), np.float32)
    smooth = (noise * (1 / np.arange(1, n + 1, dtype=np.float32))).cumsum(axis=1)
    smooth += 0.02 * rng.standard_normal((m, n), np.float32)
    copies = noise[rng.integers(0, m // 2, m)]
    return {"independent rows": noise, "smooth rows": smooth, "half duplicated": copies}


@dataclass(frozen=True)
class Measurement:
    """Time and error of one method on one kind of rows."""

    rows: str
    method: str
    seconds: float  # of the preparation
    columns: int
    step: float  # seconds for the products of one step of the first layer
    error: float  # of Z after one step, relative to float64


def measurements(m: int = 400, n: int = 12288) -> list[Measurement]:
    return [measurement(kind, X, method) for kind, X in data(m, n).items() for method in METHODS]


def measurement(kind: str, X: Array, method: str) -> Measurement:
    rng = np.random.default_rng(SEED)
    W = (rng.standard_normal((UNITS, X.shape[1])) * np.sqrt(2 / X.shape[1])).astype(np.float32)
    dZ = (rng.standard_normal((len(X), UNITS)) / len(X)).astype(np.float32)
    times: list[float] = []
    try:
        while len(times) < ROUNDS and sum(times) < MIN_SECONDS:
            start = time.perf_counter()
            columns, step = METHODS[method](X, W)
            times.append(time.perf_counter() - start)
    except np.linalg.LinAlgError:
        return Measurement(kind, method, np.nan, 0, np.nan, np.nan)
    steps: list[float] = []
    while len(steps) < STEPS and sum(steps) < MIN_SECONDS:
        start = time.perf_counter()
        Z = step(W, dZ)
        steps.append(time.perf_counter() - start)
    X64, W64, dZ64 = (array.astype(np.float64) for array in (X, W, dZ))
    exact = X64 @ (W64 - LR * (dZ64.T @ X64)).T
    error = float(np.linalg.norm(Z - exact) / np.linalg.norm(exact))
    return Measurement(
        kind, method, statistics.median(times), columns, statistics.median(steps), error
    )


def table(results: list[Measurement]) -> str:
    lines = [
        "| rows | method | preparation, s | columns | products per step, ms "
        "| error after one step |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for o in results:
        if np.isnan(o.seconds):
            lines.append(f"| {o.rows} | {o.method} | fails: not positive definite | | | |")
            continue
        ready = "-" if o.method == "plain training" else f"{o.seconds:.3f}"
        lines.append(
            f"| {o.rows} | {o.method} | {ready} | {o.columns:,} | {1e3 * o.step:.3g} "
            f"| {o.error:.0e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measurements()))
