"""JAX: one jitted step per batch with donated buffers, or the whole training in one call."""

import os
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.implementations.base import Implementation, Predict, chunks, orders, sigmoid
from benchmarks.workloads import Array, Job, Workload

Carry = dict[str, Any]
Step = Callable[[Carry, jax.Array, jax.Array], tuple[Carry, jax.Array]]


class _JaxBase(Implementation):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if threads == 1:
            # XLA uses one thread per processor of the process. With one processor, passing each
            # step to another thread only costs time.
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            jax.config.update("jax_cpu_enable_async_dispatch", False)

    @final
    def load(self, job: Job) -> None:
        self.job = job
        self.X, self.y = jnp.asarray(job.X), jnp.asarray(job.y)
        self.step = make_step(job.workload)
        self._compile()
        self.reset()

    @final
    def reset(self) -> None:
        weights = [(jnp.array(W.T), jnp.array(b)) for W, b in self.job.weights]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        slots = {"sgd": 0, "momentum": 1, "adam": 2}[self.job.workload.optimizer]
        self.carry: Carry = {
            "weights": weights,
            "state": [zeros(weights) for _ in range(slots)],
            "t": jnp.zeros((), jnp.float32),
        }

    def _compile(self) -> None:
        """Create the jitted functions, which compile on their first call."""

    @final
    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        X, weights = self.X[:rows], self.carry["weights"]
        parts = chunks(X, chunk)
        jitted = jax.jit(logits)

        def predict() -> Any:
            if chunk is None:
                return jax.block_until_ready(jitted(weights, X))
            return np.concatenate([jitted(weights, part) for part in parts])

        return predict, lambda: sigmoid(np.asarray(predict()[:8]))


@final
class Jax(_JaxBase):
    """A Python loop over batches, the usual form of training in JAX."""

    def _compile(self) -> None:
        step = self.step

        @partial(jax.jit, donate_argnums=0)
        def batch_step(
            carry: Carry, total: jax.Array, X: jax.Array, y: jax.Array, rows: jax.Array
        ) -> tuple[Carry, jax.Array]:
            carry, loss = step(carry, X[rows], y[rows])
            return carry, total + loss * len(rows)

        self.full_step = jax.jit(step, donate_argnums=0)
        self.batch_step = batch_step

    def train(self, epochs: int) -> list[float]:
        w, carry, X, y = self.job.workload, self.carry, self.X, self.y
        losses, zero = [], np.zeros((), np.float32)
        for order in orders(w.rows, epochs) if w.batch else repeat(None, epochs):
            if order is None:
                carry, loss = self.full_step(carry, X, y)
                losses.append(loss)
                continue
            rows, total = order.astype(np.int32), zero
            for start in range(0, w.rows, w.batch_rows):
                part = rows[start : start + w.batch_rows]
                carry, total = self.batch_step(carry, total, X, y, part)
            losses.append(total / w.rows)
        self.carry = jax.block_until_ready(carry)
        return [float(loss) for loss in jax.device_get(losses)]


@final
class JaxWholeTraining(_JaxBase):
    """All epochs in one compiled call, without access to the epochs while they run."""

    def _compile(self) -> None:
        step, w = self.step, self.job.workload
        full = w.rows - w.rows % w.batch_rows

        def epoch(X: jax.Array, y: jax.Array, carry: Carry, order: jax.Array) -> Any:
            if w.batch is None:
                return step(carry, X, y)
            batches = order[:full].reshape(-1, w.batch)
            carry, losses = jax.lax.scan(lambda c, rows: step(c, X[rows], y[rows]), carry, batches)
            total = losses.sum() * w.batch
            if full < w.rows:
                carry, loss = step(carry, X[order[full:]], y[order[full:]])
                total += loss * (w.rows - full)
            return carry, total / w.rows

        @partial(jax.jit, donate_argnums=0)
        def whole(
            carry: Carry, X: jax.Array, y: jax.Array, orders: jax.Array, epochs: int
        ) -> tuple[Carry, jax.Array]:
            def body(i: jax.Array, state: tuple[Carry, jax.Array]) -> tuple[Carry, jax.Array]:
                carry, losses = state
                carry, loss = epoch(X, y, carry, orders[i])
                return carry, losses.at[i].set(loss)

            start = carry, jnp.zeros(len(orders))
            end: tuple[Carry, jax.Array] = jax.lax.fori_loop(0, epochs, body, start)
            return end

        self.whole = whole

    def train(self, epochs: int) -> list[float]:
        w = self.job.workload
        # Sized for the longest training, so that a shorter one needs no new compilation.
        drawn = np.zeros((max(epochs, w.epochs), w.rows if w.batch else 0), np.int32)
        if w.batch is not None:
            drawn[:epochs] = list(orders(w.rows, epochs))
        self.carry, losses = self.whole(self.carry, self.X, self.y, drawn, epochs)
        values: list[float] = np.asarray(losses)[:epochs].tolist()
        return values


def logits(weights: Any, X: jax.Array) -> jax.Array:
    *hidden, (W, b) = weights
    for W_hidden, b_hidden in hidden:
        X = jax.nn.relu(X @ W_hidden + b_hidden)
    return X @ W + b


def make_step(workload: Workload) -> Step:
    """Return the function of one step: loss, gradient and update."""
    optimizer, lr, binary = workload.optimizer, workload.lr, workload.sizes[-1] == 1

    def loss_of(weights: Any, X: jax.Array, y: jax.Array) -> jax.Array:
        Z = logits(weights, X)
        if binary:
            return jnp.mean(jnp.maximum(Z, 0) - Z * y + jnp.log1p(jnp.exp(-jnp.abs(Z))))
        own = jnp.take_along_axis(jax.nn.log_softmax(Z), y[:, None], axis=1)
        return -jnp.mean(own)

    def step(carry: Carry, X: jax.Array, y: jax.Array) -> tuple[Carry, jax.Array]:
        loss, grads = jax.value_and_grad(loss_of)(carry["weights"], X, y)
        state, t, each = carry["state"], carry["t"] + 1, jax.tree.map
        if optimizer == "adam":
            m = each(lambda m, g: 0.9 * m + 0.1 * g, state[0], grads)
            v = each(lambda v, g: 0.999 * v + 0.001 * g * g, state[1], grads)
            m_scale, v_scale = 1 / (1 - 0.9**t), 1 / (1 - 0.999**t)
            updates = each(lambda m, v: m_scale * m / (jnp.sqrt(v_scale * v) + 1e-8), m, v)
            state = [m, v]
        elif optimizer == "momentum":
            updates = each(lambda v, g: 0.9 * v + g, state[0], grads)
            state = [updates]
        else:
            updates = grads
        weights = each(lambda p, d: p - lr * d, carry["weights"], updates)
        return {"weights": weights, "state": state, "t": t}, loss

    return step
