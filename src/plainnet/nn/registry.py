"""register: enter a class into a registry; call_text: the text of a constructor call."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def register(registry: dict[str, Any], name: str = "") -> Callable[[type[T]], type[T]]:
    """Enter a class into a registry, so that model files and options know it by name.

    Parameters
    ----------
    registry : dict
        ``LAYERS``, ``ACTIVATIONS`` or ``LOSSES`` of `plainnet.nn`, or ``OPTIMIZERS`` of
        `plainnet.optim`.
    name : str, optional
        By default the name of the class.

    Returns
    -------
    callable
        A class decorator.

    Examples
    --------
    >>> from plainnet.nn import LAYERS, Activation
    >>> @register(LAYERS)
    ... class Square(Activation):
    ...     def forward(self, X, train):
    ...         self.X = X
    ...         return X * X
    ...     def backward(self, dY, need_dX):
    ...         return 2 * self.X * dY
    >>> LAYERS.pop("Square") is Square
    True
    """

    def enter(kind: type[T]) -> type[T]:
        registry[name or kind.__name__] = kind
        return kind

    return enter


def call_text(instance: Any) -> str:
    """Write the constructor call that makes an equal layer, loss or optimizer."""
    arguments = ", ".join(f"{name}={getattr(instance, name)!r}" for name in instance.options)
    return f"{type(instance).__name__}({arguments})"
