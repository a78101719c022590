"""rowspace: how to train wide data with fewer numbers, by time and by accuracy?

Gradient descent on X (m, n) needs either coordinates C (m, r) of the rows in an orthonormal basis
of the space they span, X = C Q^T, or the dot products K = X X^T of all pairs. Each way is asked for
the first outputs after one step, Z = X (W - lr dZ^T X)^T. Run by itself with
``python -m benchmarks.rowspace``.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import SEED, Array
from plainnet.nn.layers import block_width, product

Products = Callable[[Array, Array], Array]  # the products of one step: W and dZ to the next Z
Way = Callable[[Array, Array], tuple[int, Products]]  # X and W to columns and such steps
ROUNDS, STEPS = 3, 200
ENOUGH = 1.5  # seconds: what takes longer is not repeated
UNITS, LR = 8, 0.003
RANK_TOLERANCE = 1e-11  # weaker directions, squared and beside the strongest, are rounding


def plain(X: Array, W: Array) -> tuple[int, Products]:
    return X.shape[1], lambda W, dZ: X @ (W - np.float32(LR) * (dZ.T @ X)).T


def in_basis(C: Array, V: Array) -> tuple[int, Products]:
    """X = C Q^T, V = W Q: Z = C (V - lr dZ^T C)^T."""
    return C.shape[1], lambda W, dZ: C @ (V - np.float32(LR) * (dZ.T @ C)).T


def qr(X: Array, W: Array) -> tuple[int, Products]:
    Q, R = np.linalg.qr(X.T)
    return in_basis(np.ascontiguousarray(R.T), W @ Q)


def cholesky(X: Array, W: Array) -> tuple[int, Products]:
    """X X^T = C C^T, Q = X^T C^-T; no room for dependent rows."""
    C = np.linalg.cholesky(gram(X, np.float64)).astype(X.dtype)
    return in_basis(C, np.linalg.solve(C, X @ W.T).T)


def eigh(X: Array, W: Array) -> tuple[int, Products]:
    """X X^T = U L U^T, C = U L^(1/2), Q = X^T U L^(-1/2)."""
    L, U = np.linalg.eigh(gram(X, np.float64))
    kept = RANK_TOLERANCE * L[-1] < L
    L, U = L[kept], U[:, kept]
    V = (W @ X.T) @ (U / np.sqrt(L)).astype(X.dtype)
    return in_basis((U * np.sqrt(L)).astype(X.dtype), V)


def svd(X: Array, W: Array) -> tuple[int, Products]:
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    kept = len(X) * np.finfo(X.dtype).eps * S[0] < S
    return in_basis(U[:, kept] * S[kept], W @ Vt[kept].T)


def dot_products(X: Array, W: Array) -> tuple[int, Products]:
    """F = [X X^T, X W^T]: Z = F [-lr dZ; 1], which is what RowSpace does."""
    F = np.hstack([gram(X, X.dtype), X @ W.T])
    A = np.vstack([np.zeros((len(X), len(W))), np.eye(len(W))]).astype(X.dtype)
    Z = np.empty((len(X), len(W)), X.dtype)

    def products(W: Array, dZ: Array) -> Array:
        A[: len(X)] = np.float32(-LR) * dZ
        product(F, A, Z, block_width(len(F), A.size))
        return Z

    return F.shape[1], products


def gram(X: Array, dtype: type) -> Array:
    A: Array = X.astype(dtype, copy=False)
    product: Array = A @ A.T
    return product


WAYS: dict[str, Way] = {
    "plain training": plain,
    "basis by QR of X^T": qr,
    "basis by Cholesky of X X^T": cholesky,
    "basis by eigenvectors of X X^T": eigh,
    "basis by SVD of X": svd,
    "dot products X X^T (plainnet)": dot_products,
}


def data(m: int, n: int) -> dict[str, Array]:
    """Rows of three kinds: independent, like pictures (smooth), and half of them copies."""
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal((m, n), np.float32)
    smooth = (noise * (1 / np.arange(1, n + 1, dtype=np.float32))).cumsum(axis=1)
    smooth += 0.02 * rng.standard_normal((m, n), np.float32)
    copies = noise[rng.integers(0, m // 2, m)]
    return {"independent rows": noise, "smooth rows": smooth, "half are copies": copies}


@dataclass(frozen=True)
class Outcome:
    """How one way did on one kind of rows."""

    rows: str
    way: str
    seconds: float  # to get ready
    columns: int
    step: float  # seconds for the products of a step of the first layer
    error: float  # of Z after a step, beside Z in float64


def outcomes(m: int = 400, n: int = 12288) -> list[Outcome]:
    return [outcome(kind, X, way) for kind, X in data(m, n).items() for way in WAYS]


def outcome(kind: str, X: Array, way: str) -> Outcome:
    rng = np.random.default_rng(SEED)
    W = (rng.standard_normal((UNITS, X.shape[1])) * np.sqrt(2 / X.shape[1])).astype(np.float32)
    dZ = (rng.standard_normal((len(X), UNITS)) / len(X)).astype(np.float32)
    times: list[float] = []
    try:
        while len(times) < ROUNDS and sum(times) < ENOUGH:
            start = time.perf_counter()
            columns, products = WAYS[way](X, W)
            times.append(time.perf_counter() - start)
    except np.linalg.LinAlgError:
        return Outcome(kind, way, np.nan, 0, np.nan, np.nan)
    steps: list[float] = []
    while len(steps) < STEPS and sum(steps) < ENOUGH:
        start = time.perf_counter()
        Z = products(W, dZ)
        steps.append(time.perf_counter() - start)
    X64, W64, dZ64 = (array.astype(np.float64) for array in (X, W, dZ))
    exact = X64 @ (W64 - LR * (dZ64.T @ X64)).T
    error = float(np.linalg.norm(Z - exact) / np.linalg.norm(exact))
    return Outcome(kind, way, statistics.median(times), columns, statistics.median(steps), error)


def table(found: list[Outcome]) -> str:
    lines = [
        "| rows | way | to get ready, s | columns | products of a step, ms | error after a step |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for o in found:
        if np.isnan(o.seconds):
            lines.append(f"| {o.rows} | {o.way} | fails: not positive definite | | | |")
            continue
        ready = "-" if o.way == "plain training" else f"{o.seconds:.3f}"
        lines.append(
            f"| {o.rows} | {o.way} | {ready} | {o.columns:,} | {1e3 * o.step:.3g} | {o.error:.0e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(outcomes()))
