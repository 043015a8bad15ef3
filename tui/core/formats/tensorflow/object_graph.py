"""SavedObjectGraph: what a TensorFlow 2 SavedModel's root can do, and what its `__call__` expects.

Field numbers are those of `tensorflow/core/protobuf/saved_object_graph.proto`, 2.21.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.core.formats.protobuf import BYTES, VARINT, Source, fields
from tui.core.formats.tensorflow import dtypes, messages

MAX_STORED = 20_000
MAX_OPTIONS = 32
"""Variants of one function that are decoded; a model has one for each combination of flags."""


@dataclass
class Function:
    """A function of the root."""

    arguments: list[str] = field(default_factory=list)
    """Names of its positional parameters, without `self`."""

    options: list[dict[str, Any]] = field(default_factory=list)
    """`{"args": […], "kwargs": {…}, "output": …}`, structures as `messages.structure` gives them."""


@dataclass
class ObjectGraph:
    """What the objects of a SavedModel are."""

    objects: int = 0
    children: list[str] = field(default_factory=list)
    """Attributes of the root."""

    call: Function | None = None
    """The root's `__call__`, `None` where it is not callable."""

    variables: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    """(name, dtype, shape) of every variable."""

    stored: dict[str, str] = field(default_factory=dict)
    """Where a variable in the root's list `variables` is stored (`variables/0`), and the variable's own name."""

    keras: bool = False
    """Whether the root was written by Keras."""


class _Parts:
    """The graph's top, in one pass: where its nodes and concrete functions lie."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.nodes: list[tuple[int, int]] = []
        self.concrete: dict[str, tuple[int, int]] = {}
        for number, kind, value, stop in fields(source, start, end):
            if kind != BYTES:
                continue
            if number == 1:
                self.nodes.append((value, stop))
            elif number == 2:
                key, first, last = messages.map_entry(source, value, stop)
                self.concrete[key] = (first, last)


def read_object_graph(source: Source, start: int, end: int) -> ObjectGraph:
    """The object graph between two offsets."""
    parts = _Parts(source, start, end)
    graph = ObjectGraph(objects=len(parts.nodes))
    if not parts.nodes:
        return graph
    children = _children(source, *parts.nodes[0], graph)
    graph.children = list(children)
    index = children.get("__call__", -1)
    if 0 <= index < len(parts.nodes):
        graph.call = _function(source, *parts.nodes[index], parts.concrete)
    named: dict[int, str] = {}
    for number, (first, last) in enumerate(parts.nodes):
        variable = _variable(source, first, last)
        if variable is not None:
            graph.variables.append(variable)
            named[number] = variable[0]
    graph.stored = _stored(source, parts, children.get("variables", -1), named)
    return graph


def _stored(source: Source, parts: _Parts, index: int, named: dict[int, str]) -> dict[str, str]:
    """The variables of the root's list by their place in it: a checkpoint names them by that."""
    if not 0 <= index < len(parts.nodes):
        return {}
    items = _children(source, *parts.nodes[index], ObjectGraph())
    found = ((f"variables/{place}", named.get(number, "")) for place, number in items.items() if place.isdigit())
    return {place: name for place, name in list(found)[:MAX_STORED] if name}


def _children(source: Source, start: int, end: int, graph: ObjectGraph) -> dict[str, int]:
    """The root's attributes by name, each with the index of its node."""
    out: dict[str, int] = {}
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            index, name = 0, ""
            for tag, wire, first, last in fields(source, value, stop):
                if tag == 1 and wire == VARINT:
                    index = first
                elif tag == 2 and wire == BYTES:
                    name = source.text(first, last, 512)
            out[name] = index
        elif number == 4 and kind == BYTES:
            for tag, wire, first, last in fields(source, value, stop):
                if tag == 1 and wire == BYTES:
                    graph.keras = source.text(first, last, 64).startswith("_tf_keras")
    return out


def _function(source: Source, start: int, end: int, concrete: dict[str, tuple[int, int]]) -> Function | None:
    """A node that is a function, `None` for any other."""
    for number, kind, value, stop in fields(source, start, end):
        if number == 6 and kind == BYTES:
            return _saved_function(source, value, stop, concrete)
        if number == 8 and kind == BYTES:
            return _bare_function(source, value, stop, concrete)
    return None


def _saved_function(source: Source, start: int, end: int, concrete: dict[str, tuple[int, int]]) -> Function:
    function = Function()
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES and len(function.options) < MAX_OPTIONS:
            place = concrete.get(source.text(value, stop, 512))
            if place is not None:
                function.options.append(_option(source, *place))
        elif number == 2 and kind == BYTES:
            function.arguments = _arguments(source, value, stop)
    return function


def _bare_function(source: Source, start: int, end: int, concrete: dict[str, tuple[int, int]]) -> Function:
    """A function of one form: `SavedBareConcreteFunction` (1 name, 2 argument keywords)."""
    function = Function()
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            place = concrete.get(source.text(value, stop, 512))
            if place is not None:
                function.options.append(_option(source, *place))
        elif number == 2 and kind == BYTES:
            function.arguments.append(source.text(value, stop, 256))
    return function


def _option(source: Source, start: int, end: int) -> dict[str, Any]:
    """One concrete function's inputs, as positional and keyword structures, and its output."""
    out: dict[str, Any] = {"args": [], "kwargs": {}, "output": None}
    for number, kind, value, stop in fields(source, start, end):
        if number == 3 and kind == BYTES:
            both = messages.structure(source, value, stop)
            items = both.get("items") if both.get("spec") == "tuple" else None
            if isinstance(items, list) and len(items) == 2:
                out["args"] = items[0].get("items") or []
                out["kwargs"] = items[1].get("items") or {}
        elif number == 4 and kind == BYTES:
            out["output"] = messages.structure(source, value, stop)
    return out


def _arguments(source: Source, start: int, end: int) -> list[str]:
    """Parameter names from a `FunctionSpec`'s `fullargspec` (a named tuple whose `args` is a list of strings)."""
    method = False
    names: list[str] = []
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            spec = messages.structure(source, value, stop)
            items = spec.get("items")
            listed = items.get("args", {}).get("items") if isinstance(items, dict) else None
            names = [str(item.get("value")) for item in listed] if isinstance(listed, list) else []
        elif number == 2 and kind == VARINT:
            method = bool(value)
    return names[1:] if method and names[:1] == ["self"] else names


def _variable(source: Source, start: int, end: int) -> tuple[str, str, tuple[int, ...]] | None:
    """A node that is a variable with a shape that is known."""
    for number, kind, value, stop in fields(source, start, end):
        if number != 7 or kind != BYTES:
            continue
        name, dtype = "", 0
        sizes: list[int | None] | None = []
        for tag, wire, first, last in fields(source, value, stop):
            if tag == 1 and wire == VARINT:
                dtype = first
            elif tag == 2 and wire == BYTES:
                sizes = messages.shape(source, first, last)
            elif tag == 6 and wire == BYTES:
                name = source.text(first, last, 512)
        if sizes is not None and all(size is not None for size in sizes):
            return name, dtypes.our_name(dtype), tuple(size or 0 for size in sizes)
    return None
