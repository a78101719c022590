"""meet: threads of compiled code wait for each other."""

import sys
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from plainnet.engine.elementary import exact

SPINS = 200_000  # reads, some 0.1 ms, before a thread sleeps
PAUSE = 50  # microseconds
ENDED, ARRIVED = 0, 1  # numbers of a meeting


@intrinsic
def add_to(typingctx, numbers, i, n):
    """Add n to a number in one step that no other thread interrupts; return the old number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = arrayobj.make_array(numbers)(context, builder, args[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [args[1]]), args[2], "seq_cst")

    return types.intp(numbers, types.intp, types.intp), codegen


@intrinsic
def read(typingctx, numbers, i):
    """Read a number that other threads may change."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = arrayobj.make_array(numbers)(context, builder, args[0])
        return builder.load_atomic(builder.gep(array.data, [args[1]]), "seq_cst", 8)

    return types.intp(numbers, types.intp), codegen


@intrinsic
def sleep(typingctx):
    """Sleep for a short time, so that other programs may run."""
    name, duration = ("Sleep", 0) if sys.platform == "win32" else ("usleep", PAUSE)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        number = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(number, [number]), name
        )
        builder.call(function, [number(duration)])
        return context.get_dummy_value()

    return types.void(), codegen


@exact
def meet(meeting, total):
    """Wait until all threads have met, in total so many times; return whether none has ended."""
    add_to(meeting, ARRIVED, 1)
    spins = 0
    while read(meeting, ARRIVED) < total:
        spins += 1
        if spins > SPINS:
            sleep()
    return read(meeting, ENDED) == 0


@exact
def end(meeting):
    """Have the others return from their next meeting."""
    add_to(meeting, ENDED, 1)
    add_to(meeting, ARRIVED, 1)
