"""GraphDef: which ops a graph uses, its functions, versions, placeholders and constants.

Field numbers are those of `tensorflow/core/framework/{graph,node_def,function,tensor,attr_value}.proto`, 2.21.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.core.formats.protobuf import BYTES, VARINT, Source, WireError, fields
from tui.core.formats.tensorflow import dtypes, messages
from tui.core.tensors import Tensor

MAX_NODES = 2_000_000
MAX_KEPT = 20_000
"""Placeholders, outputs and constants that are kept by name."""


@dataclass
class Graph:
    """What a graph is made of."""

    nodes: int = 0
    """Nodes of the graph itself; those of its functions are in `function_nodes`."""

    function_nodes: int = 0
    functions: set[str] = field(default_factory=set)
    ops: dict[str, int] = field(default_factory=dict)
    """Uses by op, in graph and functions together, calls of functions left out."""

    producer: int | None = None
    min_consumer: int | None = None
    placeholders: list[dict[str, Any]] = field(default_factory=list)
    """Name, dtype and shape."""

    constants: list[Tensor] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """Nodes that no other node reads, in the order of the graph."""


class _Reader:
    """Collects one graph; `whole` also keeps what a frozen graph is called by: placeholders, constants, outputs."""

    def __init__(self, source: Source, name: str, whole: bool) -> None:
        self.source = source
        self.file = name
        self.whole = whole
        self.graph = Graph()
        self.names: list[str] = []
        self.read: set[str] = set()

    def run(self, start: int, end: int) -> Graph:
        """Walk the GraphDef between two offsets."""
        graph = self.graph
        for number, kind, value, stop in fields(self.source, start, end):
            if number == 1 and kind == BYTES:
                graph.nodes += 1
                if graph.nodes > MAX_NODES:
                    raise WireError(value, f"has more than {MAX_NODES:,} nodes")
                self.node(value, stop)
            elif number == 2 and kind == BYTES:
                self.library(value, stop)
            elif number == 4 and kind == BYTES:
                self.versions(value, stop)
        for name in graph.functions:
            graph.ops.pop(name, None)
        if self.whole:
            graph.outputs = [name for name in self.names if name not in self.read][:MAX_KEPT]
        return graph

    def versions(self, start: int, end: int) -> None:
        """`VersionDef`: a field that is absent is 0."""
        self.graph.producer, self.graph.min_consumer = 0, 0
        for number, kind, value, _ in fields(self.source, start, end):
            if number == 1 and kind == VARINT:
                self.graph.producer = value
            elif number == 2 and kind == VARINT:
                self.graph.min_consumer = value

    def library(self, start: int, end: int) -> None:
        """Every function of the library: its name and the ops in its body."""
        for number, kind, value, stop in fields(self.source, start, end):
            if number != 1 or kind != BYTES:
                continue
            for tag, wire, first, last in fields(self.source, value, stop):
                if tag == 1 and wire == BYTES:
                    self.graph.functions.add(self.first_text(first, last))
                elif tag == 3 and wire == BYTES:
                    self.graph.function_nodes += 1
                    if self.graph.function_nodes > MAX_NODES:
                        raise WireError(first, f"has functions of more than {MAX_NODES:,} nodes")
                    self.count(self.op_of(first, last))

    def first_text(self, start: int, end: int) -> str:
        """Field 1 of a message, as text."""
        for number, kind, value, stop in fields(self.source, start, end):
            if number == 1 and kind == BYTES:
                return self.source.text(value, stop, 512)
        return ""

    def op_of(self, start: int, end: int) -> str:
        """The op of a node: its second field, written early."""
        for number, kind, value, stop in fields(self.source, start, end):
            if number == 2 and kind == BYTES:
                return self.source.text(value, stop, 512)
        return ""

    def count(self, op: str) -> None:
        """One more use of an op."""
        ops = self.graph.ops
        if op in ops or len(ops) < MAX_KEPT:
            ops[op] = ops.get(op, 0) + 1

    def node(self, start: int, end: int) -> None:
        """One node of the graph itself."""
        if not self.whole:
            self.count(self.op_of(start, end))
            return
        name, op, attributes = "", "", []
        for number, kind, value, stop in fields(self.source, start, end):
            if kind != BYTES:
                continue
            if number == 1:
                name = self.source.text(value, stop, 512)
            elif number == 2:
                op = self.source.text(value, stop, 512)
            elif number == 3:
                text = self.source.text(value, stop, 512)
                self.read.add(text.lstrip("^").partition(":")[0])
            elif number == 5:
                attributes.append((value, stop))
        self.count(op)
        self.names.append(name)
        if op == "Placeholder" and len(self.graph.placeholders) < MAX_KEPT:
            self.graph.placeholders.append(self.placeholder(name, attributes))
        elif op == "Const" and len(self.graph.constants) < MAX_NODES:
            constant = self.constant(name, attributes)
            if constant is not None:
                self.graph.constants.append(constant)

    def placeholder(self, name: str, attributes: list[tuple[int, int]]) -> dict[str, Any]:
        """Name, dtype and shape of an input."""
        out: dict[str, Any] = {"name": name, "dtype": "", "shape": None}
        for start, end in attributes:
            key, first, last = messages.map_entry(self.source, start, end)
            for number, kind, value, stop in fields(self.source, first, last):
                if key == "dtype" and number == 6 and kind == VARINT:
                    out["dtype"] = dtypes.name_of(value)
                elif key == "shape" and number == 7 and kind == BYTES:
                    out["shape"] = messages.shape(self.source, value, stop)
        return out

    def constant(self, name: str, attributes: list[tuple[int, int]]) -> Tensor | None:
        """A constant with its place in the file; its bytes are not read."""
        for start, end in attributes:
            key, first, last = messages.map_entry(self.source, start, end)
            if key != "value":
                continue
            for number, kind, value, stop in fields(self.source, first, last):
                if number == 8 and kind == BYTES:
                    return tensor_proto(self.source, value, stop, name, self.file, "constant")
        return None


def tensor_proto(source: Source, start: int, end: int, name: str, file: str, role: str = "") -> Tensor:
    """A `TensorProto`'s dtype, shape, bytes and place."""
    dtype, sizes, content, held = 0, [], None, 0
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == VARINT:
            dtype = value
        elif number == 2 and kind == BYTES:
            sizes = messages.shape(source, value, stop) or []
        elif number == 4 and kind == BYTES:
            content = value
            held = stop - value
        elif kind == BYTES:
            held += stop - value
    shape = tuple(size or 0 for size in sizes)
    return Tensor(name, dtypes.our_name(dtype), shape, held, file, content, role=role)


def read_graph(source: Source, start: int, end: int, name: str, whole: bool = False) -> Graph:
    """The GraphDef between two offsets; `WireError` where it is none."""
    return _Reader(source, name, whole).run(start, end)
