"""A graph of ONNX operators, and the bytes of its file."""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import DTypeLike

from plainnet._version import __version__
from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

IR_VERSION = 8
OPSETS = {"": 17, "ai.onnx.ml": 3}
TYPES = {"float32": 1, "uint8": 2, "int64": 7, "string": 8, "bool": 9, "float64": 11}
LIMIT = 2**31 - 2**20  # bytes of constants: protobuf is limited to two gigabytes


class Port(NamedTuple):
    """An input or output of a graph."""

    name: str
    type: str
    shape: tuple[int | str, ...]  # a name for each open size
    text: str  # for people


class _Node(NamedTuple):
    op: str
    inputs: tuple[str, ...]
    output: str
    domain: str
    attributes: dict[str, Any]


@final
class Graph:
    """Operators in their order, and the constants that they use."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.part = ""
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.dtype = np.dtype(dtype)
        self._nodes: list[_Node] = []
        self._constants: dict[str, Array] = {}
        self._taken: set[str] = set()

    def input(self, name: str, kind: str, shape: tuple[int | str, ...], text: str) -> str:
        """Add an input and return its name, which has a number if the given one is taken."""
        self.inputs.append(Port(self._free(name), kind, shape, text))
        return self.inputs[-1].name

    def output(
        self, name: str, value: str, kind: str, shape: tuple[int | str, ...], text: str
    ) -> None:
        """Add an output, named as given or, if that is taken, with a number."""
        self.outputs.append(Port(self._free(name), kind, shape, text))
        self._nodes.append(_Node("Identity", (value,), self.outputs[-1].name, "", {}))

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
        self._nodes.append(_Node(op, names, output, domain, attributes))
        return output

    def cast(self, value: str, kind: str) -> str:
        """Add a conversion to one of `TYPES` and return the name of the result."""
        return self.add("Cast", value, to=TYPES[kind])

    def to_bytes(self, metadata: Mapping[str, str], text: str) -> bytes:
        """Return the file."""
        try:
            from onnx import helper, numpy_helper
        except ModuleNotFoundError:
            raise PlainnetError(
                "writing an ONNX file needs the library onnx, which is not installed: "
                "pip install 'plainnet[onnx]'"
            ) from None
        size = sum(values.nbytes for values in self._constants.values())
        if size > LIMIT:
            raise PlainnetError(
                f"an ONNX file holds at most {LIMIT:,} bytes of numbers, and this network has "
                f"{size:,}: export one with fewer inputs or units"
            )

        def port(p: Port) -> Any:
            return helper.make_tensor_value_info(p.name, TYPES[p.type], p.shape, p.text)

        nodes = [
            helper.make_node(n.op, n.inputs, [n.output], n.output, domain=n.domain, **n.attributes)
            for n in self._nodes
        ]
        graph = helper.make_graph(
            nodes,
            "plainnet",
            [port(p) for p in self.inputs],
            [port(p) for p in self.outputs],
            [numpy_helper.from_array(values, n) for n, values in self._constants.items()],
        )
        used = {"", *(node.domain for node in self._nodes)}
        proto = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(d, v) for d, v in OPSETS.items() if d in used],
            producer_name="plainnet",
            producer_version=__version__,
            doc_string=text,
        )
        helper.set_model_props(proto, dict(metadata))
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
