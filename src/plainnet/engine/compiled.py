"""Runner: runs the instructions of a program; CompiledStep trains, CompiledForward predicts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.engine.blas_threads import Team, available_threads, blas_threads
from plainnet.engine.instructions import CONSTANTS, DECAY, JOB_SIZE, PENALTY
from plainnet.engine.program import Program
from plainnet.engine.row_space import RowDense
from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import Optimizer

LOSS, WEIGHT, METRIC, ROWS, VALUE = range(5)  # the sums of an epoch, and the last batch's loss
BATCHES = 32  # of predictions in one call
CACHE_LINE = 64  # bytes


class Data(NamedTuple):
    """Rows, targets and weights as the interpreter takes them: two axes, one dtype."""

    X: Array
    y: Array
    weight: Array


class Update(NamedTuple):
    """What only training steps need: theta and other vectors, draws, learning rates, step count."""

    vectors: tuple[Array, ...]
    draws: Array
    rates: Array
    t: int = 0


@final
class Runner:
    """Runs a program for batches of rows; several threads share the rows of pixels."""

    def __init__(self, interpret: Callable[..., int], program: Program) -> None:
        self._interpret, self.program, self.net = interpret, program, program.net
        self._team = Team()
        self.first = 0  # instruction of a batch
        self._code = np.array([i[:-2] for i in program.code], np.int64)
        self._constants = np.array([(*i.c, *[0.0] * CONSTANTS)[:CONSTANTS] for i in program.code])
        self._shapes = np.array([i.shape for i in program.code], np.int64)
        self.work = _aligned(program.size, self.net.dtype)
        self.work[program.weights : program.weights + program.m] = 1

    def data(self, X: Array, y: Array, weight: Array | None) -> Data:
        """Return rows in the form that `run` takes."""
        w = np.empty((1, 1)) if weight is None else weight
        first = self.net.layers[0]
        X = first.of(X) if isinstance(first, RowDense) else X
        arrays = (a.reshape(len(a), -1) for a in (X, y, w))
        # Numba would compile again for arrays that are read-only
        return Data(*(np.require(a, self.net.dtype, ["C", "W"]) for a in arrays))

    def run(self, data: Data, order: Array, bounds: Array, sums: Array, update: Update) -> int:
        """Run batches, the rows order[bounds[i] : bounds[i + 1]]; return how many succeeded.

        A batch whose loss is not finite is the first that changes nothing. Each row of ``sums``
        belongs to an epoch, or a part of one, of equally many batches: it gets the loss times the
        weights, the weights, the metric and the rows added, and the last loss.
        """
        vectors, draws, rates, t = update
        threads, meeting = self._threads(), np.zeros(2, np.int64)
        program = self._code, self._constants, self._shapes, self.first
        batches = len(rates) // len(sums), tuple(data), order, bounds
        rest = draws, rates, t, vectors, self.work, sums

        def call(part: int) -> int:
            return int(self._interpret(jobs, *program, part, threads, meeting, *batches, *rest))

        jobs = np.zeros((1 if threads > 1 else available_threads(), JOB_SIZE), np.int64)
        if threads > 1:
            end = partial(meeting.fill, 2**62)  # all have met, and one has ended
            with suppress(RuntimeError):  # a thread cannot start: nothing has changed yet
                return self._team.run([partial(call, i) for i in range(threads)], end)[0]
            threads = 1
        return call(0)

    def _threads(self) -> int:
        """Choose how many threads share the rows of pixels."""
        parts = [f.split for f in self.program.code if f.shape[0]]
        threads = blas_threads(self.net, self.program.m, self.program.trains) if parts else 1
        return min(threads, max(parts, default=1))


def _aligned(n: int, dtype: Any) -> Array:
    """Return memory whose vectors lie in one cache line each: others take up to a third longer."""
    memory = np.empty(n + CACHE_LINE, dtype)
    start = -memory.ctypes.data % CACHE_LINE // memory.itemsize
    return memory[start : start + n]


@final
class CompiledStep:
    """The steps of a training, over the network's own theta and the optimizer's own state."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.net, self.program = runner, runner.net, runner.program
        decays = any(i.kind in (PENALTY, DECAY) for i in self.program.code)
        mask = self.net.params.decaying() if decays else runner.work[:0]
        self._decaying = mask.astype(self.net.dtype, copy=False)

    def run(
        self, optimizer: Optimizer, data: Data, order: Array, bounds: Array, sums: Array
    ) -> int:
        """Train on batches as `Runner.run` does; return how many succeeded."""
        net, drawn = self.net, self.program.drawn
        before = net.rng.bit_generator.state if drawn else None
        draws = self._draw(drawn * int(bounds[-1] - bounds[0]))
        rates = np.array([optimizer.lr_at(optimizer.t + i) for i in range(len(bounds) - 1)])
        slots = (*optimizer.state.values(), draws[:0], draws[:0])[:2]
        vectors = (net.params.theta, net.params.grad, self._decaying, *slots)
        done = self.runner.run(
            data, order, bounds, sums, Update(vectors, draws, rates, optimizer.t)
        )
        optimizer.t += done
        if done:
            optimizer.current_lr = float(rates[done - 1])
        if done < len(rates) and before is not None:  # the failed batch's masks are the last drawn
            net.rng.bit_generator.state = before
            self._draw(drawn * int(bounds[done + 1] - bounds[0]))
        return done

    def keep_batch(self) -> None:
        """Gather rows no more: the next batches have the rows of the last, in the same order."""
        self.runner.first = self.program.gathers

    def _draw(self, n: int) -> Array:
        """Draw numbers for the masks of dropout."""
        dtype: Any = self.net.dtype
        return self.net.rng.random(n, dtype)

    def logits(self, m: int) -> Array:
        """Return the logits of the last batch, of m rows."""
        k, start = self.net.n_out, self.program.Z
        return self.runner.work[start : start + k * m].reshape(k, m).T.copy()


@final
class CompiledForward:
    """`Sequential.predict_logits` with compiled code."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.net, self.size = runner, runner.net, runner.program.m

    def __call__(self, X: Array, transform: Transform | None = None) -> Array:
        """Compute the output of every row."""
        m, net = self.size, self.net
        Z = np.empty((len(X), net.n_out), net.dtype)
        rows = m if transform else m * BATCHES
        for start in range(0, len(X), rows):
            part = X[start : start + rows]
            part = net.validate_input(transform(part) if transform else part)
            self._run(part, Z[start : start + rows], m)
        return Z

    def _run(self, X: Array, Z: Array, m: int) -> None:
        order, bounds = np.arange(len(X)), np.append(np.arange(0, len(X), m), len(X))
        rates, none = np.zeros(len(bounds) - 1), self.runner.work[:0]
        update = Update((self.net.params.theta, none, none, none, none), none, rates)
        self.runner.run(self.runner.data(X, Z, None), order, bounds, np.zeros((1, 5)), update)
