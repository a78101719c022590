"""ForeignArray: an array type as CuPy's, which follows NumPy's protocols and is no NumPy array."""

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

CREATION = (np.asarray, np.array, np.ascontiguousarray)
METHODS = {"all", "any", "argmax", "argmin", "astype", "clip", "copy", "dot", "max", "mean", "min"}
METHODS |= {"ravel", "reshape", "sum", "take", "transpose"}


class ForeignArray(NDArrayOperatorsMixin):
    """Wraps an array, counts operations, and refuses to become a NumPy array or to meet one."""

    counts: ClassVar = Counter()

    def __init__(self, array):
        self.array = np.asarray(array)

    def __array__(self, *args, **kwargs):
        raise TypeError("a ForeignArray is never converted to a NumPy array")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        assert method == "__call__"
        self.counts[ufunc.__name__] += 1
        kwargs |= {} if out is None else {"out": tuple(own(array) for array in out)}
        result = ufunc(*(own(value) for value in inputs), **kwargs)
        return foreign(result) if out is None else out[0]

    def __array_function__(self, function, types, args, kwargs):
        self.counts[function.__name__] += 1
        convert = taken if function in CREATION else own
        out = kwargs.get("out")
        kwargs = {name: convert(value) for name, value in kwargs.items()}
        result = function(*(convert(value) for value in args), **kwargs)
        return foreign(result) if out is None else out

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(name)

        def method(*args, out=None, **kwargs):
            self.counts[name] += 1
            kwargs |= {} if out is None else {"out": out.array}
            result = getattr(self.array, name)(*(own(value) for value in args), **kwargs)
            return foreign(result) if out is None else out

        return method

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    T = property(lambda self: foreign(self.array.T))

    def __len__(self):
        return len(self.array)

    def __bool__(self):
        return bool(self.array)

    def __float__(self):
        return float(self.array)

    def __int__(self):
        return int(self.array)

    def __getitem__(self, index):
        return foreign(self.array[own(index)])

    def __setitem__(self, index, value):
        self.array[own(index)] = own(value)


def foreign(value):
    """Wrap arrays and NumPy's numbers, as CuPy's sums are arrays too."""
    return ForeignArray(value) if isinstance(value, np.ndarray | np.generic) else value


def own(value):
    """Unwrap what may meet a ForeignArray: another one, or a number."""
    if isinstance(value, tuple | list):
        return type(value)(own(entry) for entry in value)
    if isinstance(value, np.ndarray):
        raise TypeError("a ForeignArray and a NumPy array do not mix")
    return taken(value)


def taken(value):
    """Unwrap what np.asarray may convert: NumPy arrays too."""
    return value.array if isinstance(value, ForeignArray) else value
