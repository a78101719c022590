"""Calls in other threads, with NumPy's handling of overflow in the calling one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def submit(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> "Future[T]":
    """Call a function in a thread of a pool."""
    return pool.submit(copy_context().run, function, *arguments)
