"""A graph of ONNX operators, and the bytes of its file."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike

from plainnet._version import __version__
from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

IR_VERSION = 8
OPSETS = {"": 17, "ai.onnx.ml": 3}
TYPES = {"float32": 1, "uint8": 2, "int64": 7, "string": 8, "bool": 9, "float64": 11}
LIMIT = 2**31 - 2**20  # bytes of constants: protobuf is limited to two gigabytes


@final
class Graph:
    """Operators in their order, and the constants that they use."""

    def __init__(self, dtype: DTypeLike) -> None:
        try:
            import onnx.helper
        except ModuleNotFoundError:
            raise PlainnetError(
                "writing an ONNX file needs the library onnx, which is not installed: "
                "pip install 'plainnet[onnx]'"
            ) from None
        self.part = ""
        self.dtype = np.dtype(dtype)
        self._onnx: Any = onnx.helper
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: dict[str, Array] = {}
        self._taken: set[str] = set()

    def input(self, name: str, kind: str, shape: tuple[int | str, ...], text: str) -> str:
        """Add an input and return its name, which has a number if the given one is taken.

        A name in the shape is an open size; the text is for people.
        """
        name = self._free(name)
        self._inputs.append(self._onnx.make_tensor_value_info(name, TYPES[kind], shape, text))
        return name

    def output(
        self, name: str, value: str, kind: str, shape: tuple[int | str, ...], text: str
    ) -> None:
        """Add an output, named as given or, if that is taken, with a number."""
        name = self._free(name)
        self._outputs.append(self._onnx.make_tensor_value_info(name, TYPES[kind], shape, text))
        self._nodes.append(self._onnx.make_node("Identity", [value], [name], name))

    def constant(self, name: str, values: Array) -> str:
        """Add a constant array and return its name."""
        name = self._free(self._full(name))
        self._constants[name] = values
        return name

    def add(
        self, op: str, *inputs: str | float | Array, domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator and return the name of its output."""
        names = tuple(i if isinstance(i, str) else self._number(i) for i in inputs)
        output = self._free(self._full(op))
        node = self._onnx.make_node(op, names, [output], output, domain=domain, **attributes)
        self._nodes.append(node)
        return output

    def cast(self, value: str, kind: str) -> str:
        """Add a conversion to one of `TYPES` and return the name of the result."""
        return self.add("Cast", value, to=TYPES[kind])

    def to_bytes(self, metadata: Mapping[str, str], text: str) -> bytes:
        """Return the file."""
        from onnx import numpy_helper

        size = sum(values.nbytes for values in self._constants.values())
        if size > LIMIT:
            raise PlainnetError(
                f"an ONNX file holds at most {LIMIT:,} bytes of numbers, and this network has "
                f"{size:,}: export one with fewer inputs or units"
            )

        constants = [numpy_helper.from_array(values, n) for n, values in self._constants.items()]
        graph = self._onnx.make_graph(
            self._nodes, "plainnet", self._inputs, self._outputs, constants
        )
        used = {"", *(node.domain for node in self._nodes)}
        proto = self._onnx.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[self._onnx.make_opsetid(d, v) for d, v in OPSETS.items() if d in used],
            producer_name="plainnet",
            producer_version=__version__,
            doc_string=text,
        )
        self._onnx.set_model_props(proto, dict(metadata))
        return bytes(proto.SerializeToString(deterministic=True))

    def _number(self, value: float | Array) -> str:
        return self.constant(
            "constant", value if isinstance(value, np.ndarray) else np.array(value, self.dtype)
        )

    def _full(self, name: str) -> str:
        return f"{self.part}/{name}" if self.part else name

    def _free(self, name: str) -> str:
        """Return a free name; the columns of a table may have any name."""
        free, n = name or "unnamed", 1
        while free in self._taken:
            n += 1
            free = f"{name}_{n}"
        self._taken.add(free)
        return free
