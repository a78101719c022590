"""CompiledStep: training steps as instructions that the interpreter runs, many in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from plainnet.engine.blas_threads import available_threads, limited_threads
from plainnet.engine.picture_layers import PARTS, PictureLayer
from plainnet.engine.program import Instruction, Product, Program
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import Optimizer

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

LOSS, WEIGHT, METRIC, ROWS, VALUE = range(5)  # the sums of an epoch, and the last batch's loss


class Data(NamedTuple):
    """Rows, targets and weights as the interpreter takes them: two axes, one dtype."""

    X: Array
    y: Array
    weight: Array


@final
class CompiledStep:
    """The steps of a training, over the network's own theta and the optimizer's own state."""

    def __init__(self, interpret: Any, program: Program) -> None:
        self.interpret, self.program, self.net = interpret, program, program.net
        self.code = np.array([i[:-1] for i in program.code], np.int64)
        self.constants = np.array([(*i.c, 0.0, 0.0, 0.0)[:3] for i in program.code])
        self.work = np.empty(program.size, self.net.dtype)
        self.work[program.weights : program.weights + program.m] = 1  # if rows have none
        self.decaying = self.net.params.decaying().astype(self.net.dtype)
        self._first = 0  # instruction of a step
        # by number of rows: before which instruction, a call, and the instruction after it
        self._calls: dict[int, list[tuple[int, Callable[[], object], int]]] = {}
        patches = np.empty((PARTS, program.patches), self.net.dtype)
        self._patches = list(patches)
        self._pool: ThreadPoolExecutor | None = None  # while pictures are trained on

    @property
    def drawn(self) -> int:
        """The number of draws for the masks of a batch."""
        return self.program.drawn * self.program.m

    def data(self, X: Array, y: Array, weight: Array | None) -> Data:
        """Return rows in the form that `run` takes."""
        w = np.empty((1, 1)) if weight is None else weight
        arrays = (a.reshape(len(a), -1) for a in (X, y, w))
        # Numba would compile again for arrays that are read-only
        return Data(*(np.require(a, self.net.dtype, ["C", "W"]) for a in arrays))

    def run(
        self, optimizer: Optimizer, data: Data, order: Array, bounds: Array, sums: Array
    ) -> int:
        """Train on batches, the rows order[bounds[i] : bounds[i + 1]]; return how many succeeded.

        A batch whose loss is not finite is the first that changes nothing. Each row of ``sums``
        belongs to an epoch, or a part of one, of equally many batches: it gets the loss times the
        weights, the weights, the metric and the rows added, and the last loss.
        """
        net, drawn = self.net, self.program.drawn
        before = net.rng.bit_generator.state if drawn else None
        draws = self._draw(drawn * int(bounds[-1] - bounds[0])) if drawn else self.work[:0]
        rates = np.array([optimizer.lr_at(optimizer.t + i) for i in range(len(bounds) - 1)])
        empty = self.work[:0]
        slots = (*optimizer.state.values(), empty, empty)[:2]
        vectors = (net.params.theta, net.params.grad, self.decaying, *slots)
        t, per_epoch = optimizer.t, len(rates) // len(sums)

        def call(first: int, last: int, step: int, stop: int) -> int:
            return int(
                self.interpret(
                    self.code,
                    self.constants,
                    first,
                    last,
                    per_epoch,
                    tuple(data),
                    order,
                    bounds[step : stop + 1],
                    draws[drawn * int(bounds[step] - bounds[0]) :],
                    rates[step:],
                    t + step,
                    vectors,
                    self.work,
                    sums[step // per_epoch :],
                )
            )

        done = 0
        if self.program.products:
            with self._threads():
                while done < len(rates) and self._step(
                    call, done, int(bounds[done + 1] - bounds[done])
                ):
                    done += 1
        else:
            done = call(self._first, len(self.code), 0, len(rates))
        optimizer.t += done
        if done:
            optimizer.current_lr = float(rates[done - 1])
        if done < len(rates) and before is not None:  # the failed batch's masks are the last drawn
            net.rng.bit_generator.state = before
            self._draw(drawn * int(bounds[done + 1] - bounds[0]))
        return done

    def keep_batch(self) -> None:
        """Gather rows no more: the next batches have the rows of the last, in the same order."""
        self._first = self.program.gathers

    def _draw(self, n: int) -> Array:
        """Draw numbers for the masks of dropout."""
        dtype: Any = self.net.dtype
        return self.net.rng.random(n, dtype)

    def _step(self, call: Any, step: int, m: int) -> bool:
        """Run one step with the products of BLAS between the instructions."""
        if m not in self._calls:
            self._calls[m] = [self._python(p, m) for p in self.program.products]
        first = self._first
        for position, compute, following in self._calls[m]:
            if position > first and not call(first, position, step, step + 1):
                return False
            compute()
            first = following
        return bool(call(first, len(self.code), step, step + 1))

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Have a thread for each part of a picture layer, where BLAS may use as many."""
        if not self.program.patches or available_threads() < PARTS:
            yield
            return
        from concurrent.futures import ThreadPoolExecutor  # slow to import

        with limited_threads(1), ThreadPoolExecutor(PARTS - 1) as self._pool:
            yield
        self._pool = None

    def _python(self, part: Product, m: int) -> tuple[int, Callable[[], object], int]:
        """Return what Python computes for m rows, with the instructions before and after it."""
        if part.kind not in ("forward", "backward"):
            arrays = self._product(part.kind, part.dense, m)
            return part.position, partial(np.matmul, *arrays), part.position
        _, number, _, x, y, p, q, need_dX, _ = part.dense
        layers = self.net.layers
        in_shape = layers[number - 1].out_shape if number else self.net.in_shape
        layer = PictureLayer(layers[number], in_shape, m, self._patches, self._run_parts)
        X, P, Y, Q = (self.work[start:] for start in (x, p, y, q))
        if part.kind == "forward":
            return part.position, partial(layer.forward, X, P, Y), part.position + 1
        return part.position, partial(layer.backward, bool(need_dX), X, P, Y, Q), part.position + 1

    def _run_parts(self, parts: Sequence[Callable[[], None]]) -> None:
        """Run the parts of a layer's pass, at the same time if there are threads."""
        first, *others = parts
        waiting = [self._pool.submit(part) for part in others] if self._pool else []
        first()
        for part in [future.result for future in waiting] or others:
            part()

    def _product(self, kind: str, dense: Instruction, m: int) -> tuple[Array, Array, Array]:
        """Return both factors and the result of a product for m rows."""
        _, n, k, x, y, p, _, groups, _ = dense
        params = self.net.params
        end = p + groups * k * n
        W, dW = (flat[p:end].reshape(groups, k, n) for flat in (params.theta, params.grad))
        X, Z = self.work[x : x + groups * n * m], self.work[y : y + groups * k * m]
        by_rows = self.program.by_rows and x == self.program.input
        X = X.reshape(1, m, n).mT if by_rows else X.reshape(groups, n, m)
        Z = Z.reshape(groups, k, m)
        return {"Z": (W, X, Z), "dW": (Z, X.mT, dW), "dX": (W.mT, Z, X)}[kind]

    def logits(self, m: int) -> Array:
        """Return the logits of the last batch, of m rows."""
        k = self.net.n_out
        return self.work[self.program.Z : self.program.Z + k * m].reshape(k, m).T.copy()
