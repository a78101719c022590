"""rowspace: which basis of the space of the rows, by time and by accuracy?

For X (m, n) with more columns than rows, each way gives coordinates C (m, r) and a basis Q (n, r)
with X = C Q^T. Run by itself with ``python -m benchmarks.rowspace``.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import SEED, Array
from plainnet.train.rowspace import RANK_TOLERANCE

Basis = Callable[[Array], tuple[Array, Array]]
ROUNDS = 3
ENOUGH = 1.5  # seconds: what takes longer is not repeated


def qr(X: Array) -> tuple[Array, Array]:
    Q, R = np.linalg.qr(X.T)
    return R.T, Q


def cholesky(X: Array, dtype: type) -> tuple[Array, Array]:
    """X X^T = C C^T, Q = X^T C^-T; no room for dependent rows."""
    C = np.linalg.cholesky(gram(X, dtype)).astype(X.dtype)
    return C, np.linalg.solve(C, X).T


def eigh(X: Array, dtype: type) -> tuple[Array, Array]:
    """X X^T = U L U^T, C = U L^(1/2), Q = X^T U L^(-1/2); what RowSpace does in float64."""
    L, U = np.linalg.eigh(gram(X, dtype))
    kept = max(RANK_TOLERANCE, np.finfo(dtype).eps * len(X)) * L[-1] < L
    L, U = L[kept], U[:, kept]
    return (U * np.sqrt(L)).astype(X.dtype), X.T @ (U / np.sqrt(L)).astype(X.dtype)


def svd(X: Array) -> tuple[Array, Array]:
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    kept = len(X) * np.finfo(X.dtype).eps * S[0] < S
    return U[:, kept] * S[kept], Vt[kept].T


def gram(X: Array, dtype: type) -> Array:
    A: Array = X.astype(dtype, copy=False)
    product: Array = A @ A.T
    return product


WAYS: dict[str, Basis] = {
    "QR of X^T": qr,
    "Cholesky of the Gram matrix, float32": lambda X: cholesky(X, np.float32),
    "Cholesky of the Gram matrix, float64": lambda X: cholesky(X, np.float64),
    "eigenvectors of the Gram matrix, float32": lambda X: eigh(X, np.float32),
    "eigenvectors of the Gram matrix, float64": lambda X: eigh(X, np.float64),
    "SVD of X": svd,
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
    seconds: float
    rank: int
    rebuild: float  # |C Q^T - X| / |X|
    orthonormal: float  # the largest |Q^T Q - I|


def outcomes(m: int = 400, n: int = 12288) -> list[Outcome]:
    return [outcome(kind, X, way) for kind, X in data(m, n).items() for way in WAYS]


def outcome(kind: str, X: Array, way: str) -> Outcome:
    times: list[float] = []
    try:
        while len(times) < ROUNDS and sum(times) < ENOUGH:
            start = time.perf_counter()
            C, Q = WAYS[way](X)
            times.append(time.perf_counter() - start)
    except np.linalg.LinAlgError:
        return Outcome(kind, way, np.nan, 0, np.nan, np.nan)
    C, Q, exact = C.astype(np.float64), Q.astype(np.float64), X.astype(np.float64)
    rebuild = np.linalg.norm(C @ Q.T - exact) / np.linalg.norm(exact)
    orthonormal = np.abs(Q.T @ Q - np.eye(Q.shape[1])).max()
    return Outcome(
        kind, way, statistics.median(times), Q.shape[1], float(rebuild), float(orthonormal)
    )


def table(found: list[Outcome]) -> str:
    lines = [
        "| rows | basis | seconds | columns | error of C Qᵀ | of Qᵀ Q = I |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for o in found:
        if np.isnan(o.seconds):
            lines.append(f"| {o.rows} | {o.way} | fails: not positive definite | | | |")
            continue
        lines.append(
            f"| {o.rows} | {o.way} | {o.seconds:.3f} | {o.rank} | {o.rebuild:.0e} "
            f"| {o.orthonormal:.0e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(outcomes()))
