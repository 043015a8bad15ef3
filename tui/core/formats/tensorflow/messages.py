"""The small messages that the larger ones are made of: shapes, tensor specs, and values that form a structure."""

from __future__ import annotations

from typing import Any

from tui.core.formats.protobuf import BYTES, FIXED32, FIXED64, VARINT, Source, WireError, fields, signed
from tui.core.formats.tensorflow.dtypes import name_of

MAX_RANK = 254
"""TensorFlow's own limit (`TensorShape::MaxDimensions`)."""

MAX_NODES = 5_000
"""Most values that one structure may hold."""


def shape(source: Source, start: int, end: int) -> list[int | None] | None:
    """A `TensorShapeProto`: sizes with `None` for an unknown one, or `None` where the rank is unknown."""
    sizes: list[int | None] = []
    unknown = False
    for number, kind, value, stop in fields(source, start, end):
        if number == 2 and kind == BYTES:
            if len(sizes) >= MAX_RANK:
                raise WireError(value, f"a shape at byte {start:,} has more than {MAX_RANK} dimensions")
            sizes.append(_size(source, value, stop))
        elif number == 3 and kind == VARINT:
            unknown = bool(value)
    return None if unknown else sizes


def _size(source: Source, start: int, end: int) -> int | None:
    """One `Dim`: -1 stands for unknown."""
    size = 0
    for number, kind, value, _ in fields(source, start, end):
        if number == 1 and kind == VARINT:
            size = signed(value)
    return None if size < 0 else size


def spec_text(dtype: str, sizes: list[int | None] | None) -> str:
    """`int32[?,128]`, as people write it."""
    if sizes is None:
        return f"{dtype}[…]"
    return f"{dtype}[{','.join('?' if size is None else str(size) for size in sizes)}]"


def tensor_spec(source: Source, start: int, end: int) -> dict[str, Any]:
    """A `TensorSpecProto` or `BoundedTensorSpecProto`: `{"spec": "tensor", "name", "dtype", "shape"}`."""
    out: dict[str, Any] = {"spec": "tensor", "name": "", "dtype": "", "shape": []}
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            out["name"] = source.text(value, stop, 512)
        elif number == 2 and kind == BYTES:
            out["shape"] = shape(source, value, stop)
        elif number == 3 and kind == VARINT:
            out["dtype"] = name_of(value)
    return out


_CONTAINERS = {51: "list", 52: "tuple", 53: "dict", 54: "namedtuple"}


def structure(source: Source, start: int, end: int) -> Any:
    """A `StructuredValue` as a tree of `{"spec": …}` nodes; built with a stack of our own, however deep it is.

    `tensor` (name, dtype, shape), `list`, `tuple` (items), `dict` (items by key), `namedtuple` (name, items by key),
    `value` (a plain value: None, a number, a string, a boolean) and `other` (a type that is only named).
    """
    root: dict[str, Any] = {"items": []}
    stack: list[tuple[int, int, Any, str | None]] = [(start, end, root["items"], None)]
    budget = MAX_NODES
    while stack:
        begin, stop, parent, key = stack.pop()
        budget -= 1
        if budget < 0:
            raise WireError(start, f"the structure at byte {start:,} has more than {MAX_NODES:,} values")
        node, below = _value(source, begin, stop)
        _attach(parent, key, node)
        items = node.get("items")
        stack.extend((first, last, items, name) for first, last, name in reversed(below))
    return root["items"][0]


def _attach(parent: Any, key: str | None, node: dict[str, Any]) -> None:
    if key is None:
        parent.append(node)
    else:
        parent[key] = node


_Below = list[tuple[int, int, str | None]]


def _value(source: Source, start: int, end: int) -> tuple[dict[str, Any], _Below]:
    """One value without what is in it, and where that lies."""
    node: dict[str, Any] = {"spec": "value", "value": None}
    below: _Below = []
    for number, kind, value, stop in fields(source, start, end):
        if number in _CONTAINERS and kind == BYTES:
            node, below = _container(source, number, value, stop)
        elif number in (33, 35) and kind == BYTES:
            node, below = tensor_spec(source, value, stop), []
        elif number == 34 and kind == BYTES:
            node, below = _type_spec(source, value, stop), []
        elif kind == BYTES and number != 1:
            node, below = {"spec": "value", "value": source.text(value, stop, 512)}, []
        elif number in (12, 14) and kind == VARINT:
            plain: Any = bool(value) if number == 14 else (value >> 1) ^ -(value & 1)
            node, below = {"spec": "value", "value": plain}, []
        elif kind in (FIXED64, FIXED32, VARINT):
            node, below = {"spec": "other", "type": f"value {number}"}, []
    return node, below


def _container(source: Source, number: int, start: int, end: int) -> tuple[dict[str, Any], _Below]:
    """A list, tuple, dict or named tuple, still empty, and its items."""
    kind_name = _CONTAINERS[number]
    if number in (51, 52):
        items = [(value, stop, None) for tag, kind, value, stop in fields(source, start, end) if (tag, kind) == (1, 2)]
        return {"spec": kind_name, "items": []}, list(items)
    node: dict[str, Any] = {"spec": kind_name, "items": {}}
    pairs: _Below = []
    entries = 1 if number == 53 else 2
    for tag, kind, value, stop in fields(source, start, end):
        if kind != BYTES:
            continue
        if number == 54 and tag == 1:
            node["name"] = source.text(value, stop, 512)
        elif tag == entries:
            pairs.append(_pair(source, value, stop))
    return node, pairs


def _pair(source: Source, start: int, end: int) -> tuple[int, int, str]:
    """One entry of a map whose values are messages: where its value lies, and its key."""
    key, place = "", (end, end)
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            key = source.text(value, stop, 512)
        elif number == 2 and kind == BYTES:
            place = (value, stop)
    return (*place, key)


def _type_spec(source: Source, start: int, end: int) -> dict[str, Any]:
    """A composite tensor (ragged, sparse, …): its class, not what it is made of."""
    name = ""
    for number, kind, value, stop in fields(source, start, end):
        if number == 3 and kind == BYTES:
            name = source.text(value, stop, 512)
    return {"spec": "other", "type": name or "TypeSpec"}


def map_entry(source: Source, start: int, end: int) -> tuple[str, int, int]:
    """A `map<string, message>` entry as (key, start, end)."""
    first, last, key = _pair(source, start, end)
    return key, first, last
