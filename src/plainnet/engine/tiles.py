"""Tiles: sums of products that stay in vector registers, where a loop would load and store them."""

from typing import Any, final

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from plainnet.engine.instructions import VECTOR


@final
class Vectors:
    """The numbers of an array from a start, read and written as vectors by generated code."""

    def __init__(self, context: Any, builder: Any, kind: Any, args: Any, lanes: int) -> None:
        from llvmlite import ir

        array, start = args
        self.ir, self.builder, self.lanes, self.align = ir, builder, lanes, kind.dtype.bitwidth // 8
        self.vector = ir.VectorType(context.get_value_type(kind.dtype), lanes)
        pointer = arrayobj.make_array(kind)(context, builder, array).data
        self.start = builder.gep(pointer, [start])

    def _address(self, offset: Any) -> Any:
        return self.builder.bitcast(
            self.builder.gep(self.start, [offset]), self.vector.as_pointer()
        )

    def load(self, offset: Any) -> Any:
        """Load a vector."""
        return self.builder.load(self._address(offset), align=self.align)

    def store(self, value: Any, offset: Any) -> None:
        """Store a vector."""
        self.builder.store(value, self._address(offset), align=self.align)

    def repeat(self, offset: Any) -> Any:
        """Load one number into all lanes."""
        number = self.builder.load(self.builder.gep(self.start, [offset]))
        empty, index = self.ir.Constant(self.vector, self.ir.Undefined), self.ir.IntType(32)
        first = self.builder.insert_element(empty, number, index(0))
        every = self.ir.Constant(self.ir.VectorType(index, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, empty, every)


def _add_product(builder: Any, total: Any, a: Any, b: Any) -> None:
    product = builder.fmul(a, b, flags=["contract"])
    builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)


def _lanes(kind: Any, bytes_: int) -> int:
    return max(1, bytes_ * 8 // int(kind.dtype.bitwidth))


def mixing_tile(outputs: int, vectors: int, width: int = VECTOR) -> Any:
    """Return a function: Y[o, r] = b[o] + sum over k of W[o, k] X[k, r] for a few o and vectors.

    k runs over neighbors in X, several times.
    """

    @intrinsic
    def tile(
        typingctx: Any, W: Any, w: Any, steps: Any, X: Any, x: Any, b: Any, o: Any,
        Y: Any, y: Any, n: Any
    ) -> Any:  # fmt: skip
        """Steps: of o in W and in Y, of k in X, of a run in W and in X; n: runs, and k in each."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds, lanes = signature.args, _lanes(W, width)
            W_, X_, B_, Y_ = (
                Vectors(context, builder, kinds[i], args[i : i + 2], lanes) for i in (0, 3, 5, 7)
            )
            of_o, of_y, of_k, run_w, run_x = cgutils.unpack_tuple(builder, args[2])
            runs, length = (builder.extract_value(args[9], i) for i in range(2))
            index = of_o.type
            offsets = [
                builder.add(builder.mul(of_y, index(o)), index(v * lanes))
                for o in range(outputs)
                for v in range(vectors)
            ]
            biases = [B_.repeat(index(o)) for o in range(outputs) for _ in range(vectors)]
            sums = [cgutils.alloca_once_value(builder, bias) for bias in biases]
            with (
                cgutils.for_range(builder, runs) as run,
                cgutils.for_range(builder, length) as loop,
            ):
                k = builder.add(builder.mul(run.index, run_w), loop.index)
                first = builder.mul(run.index, run_x)
                first = builder.add(first, builder.mul(loop.index, of_k))
                x_k = [X_.load(builder.add(first, index(v * lanes))) for v in range(vectors)]
                for o in range(outputs):
                    w_ok = W_.repeat(builder.add(builder.mul(of_o, index(o)), k))
                    for v in range(vectors):
                        _add_product(builder, sums[o * vectors + v], w_ok, x_k[v])
            for offset, total in zip(offsets, sums, strict=True):
                Y_.store(builder.load(total), offset)
            return context.get_dummy_value()

        i = types.intp
        steps, n = types.UniTuple(i, 5), types.UniTuple(i, 2)
        return types.void(W, i, steps, X, i, b, i, Y, i, n), codegen

    return tile


def gradient_tile(outputs: int, inputs: int) -> Any:
    """Return a function: S[o, c] += sum over pixels of Z[pixel, o, r] X[pixel, c, r].

    S has a sum for each lane of a vector, over its share of the rows.
    """

    @intrinsic
    def tile(
        typingctx: Any, Z: Any, z: Any, X: Any, x: Any, S: Any, s: Any, steps: Any, n: Any
    ) -> Any:
        """Steps: of pixels in Z and X, of o and c in S, of rows in Z and X; n: pixels, vectors."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds, lanes = signature.args, _lanes(S, VECTOR)
            Z_, X_, S_ = (
                Vectors(context, builder, kinds[i], args[i : i + 2], lanes) for i in (0, 2, 4)
            )
            of_z, of_x, of_o, of_c, rows_z, rows_x = cgutils.unpack_tuple(builder, args[6])
            pixels, vectors = (builder.extract_value(args[7], i) for i in range(2))
            index = of_o.type
            offsets = [
                builder.add(builder.mul(of_o, index(o)), builder.mul(of_c, index(c)))
                for o in range(outputs)
                for c in range(inputs)
            ]
            sums = [cgutils.alloca_once_value(builder, S_.load(offset)) for offset in offsets]
            with (
                cgutils.for_range(builder, pixels) as pixel,
                cgutils.for_range(builder, vectors) as part,
            ):
                r = builder.mul(part.index, index(lanes))
                in_z = builder.add(builder.mul(pixel.index, of_z), r)
                in_x = builder.add(builder.mul(pixel.index, of_x), r)
                each = [builder.mul(rows_x, index(c)) for c in range(inputs)]
                xs = [X_.load(builder.add(in_x, c)) for c in each]
                for o in range(outputs):
                    z = Z_.load(builder.add(in_z, builder.mul(rows_z, index(o))))
                    for c in range(inputs):
                        _add_product(builder, sums[o * inputs + c], z, xs[c])
            for offset, total in zip(offsets, sums, strict=True):
                S_.store(builder.load(total), offset)
            return context.get_dummy_value()

        i = types.intp
        counts = types.UniTuple(i, 6), types.UniTuple(i, 2)
        return types.void(Z, i, X, i, S, i, *counts), codegen

    return tile
