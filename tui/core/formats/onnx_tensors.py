"""ONNX's initialisers as every exporter writes them, recognised at once: dims, type, name and raw data, in this order.

What stands before the name says the same wherever it stands, and a model has few shapes: it is read once, and found
again by its bytes. A tensor of any other form, or one that does not fit, is left to be read field by field.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tui.core.formats.protobuf import Source, fields, signed, varint
from tui.core.tensors import Tensor

if TYPE_CHECKING:
    from tui.core.formats.onnx_wire import Message

TYPES: dict[int, tuple[str, int]] = {
    1: ("F32", 32), 2: ("U8", 8), 3: ("I8", 8), 4: ("U16", 16), 5: ("I16", 16), 6: ("I32", 32), 7: ("I64", 64),
    9: ("BOOL", 8), 10: ("F16", 16), 11: ("F64", 64), 12: ("U32", 32), 13: ("U64", 64), 14: ("C64", 64),
    15: ("C128", 128), 16: ("BF16", 16), 17: ("F8_E4M3", 8), 18: ("F8_E4M3FNUZ", 8), 19: ("F8_E5M2", 8),
    20: ("F8_E5M2FNUZ", 8), 21: ("U4", 4), 22: ("I4", 4), 23: ("F4", 4), 24: ("F8_E8M0", 8), 25: ("U2", 2),
    26: ("I2", 2),
}  # fmt: skip
"""Name here and bits by `TensorProto.DataType`; 8 is string."""

_HEAD = re.compile(
    rb"\x2a[\x80-\xff]{0,9}[\x00-\x7f](?:\x08[\x80-\xff]{0,9}[\x00-\x7f]){0,15}\x10[\x00-\x7f]\x42[\x00-\x7f]"
)
"""A field `initializer` of a graph up to the length of its tensor's name."""

_MAX_HEADS = 1 << 14
_ANYWHERE = 1 << 65
"""An end that no length reaches."""


class _Known(NamedTuple):
    """What a head says."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    name: int
    """Bytes of the name."""

    tail: bytes
    """What follows the name: the field of the raw data and its length."""

    fields: int


class PlainTensors:
    """Takes such tensors of a graph, as many as follow one another in a window."""

    def __init__(self, file: str, tensors: list[Tensor], graphs: list[Message | None], most: int) -> None:
        """Tensors go to `tensors`, their graphs to `graphs`, until there are `most`."""
        self._file = file
        self._tensors = tensors
        self._graphs = graphs
        self._most = most
        self._heads: dict[bytes, _Known | None] = {}

    def take(self, graph: Message, data: bytes, base: int, position: int, end: int, budget: int) -> tuple[int, int]:
        """Where the next field begins that is no such tensor or is not whole, and how many fields were read before."""
        heads, file, match, left = self._heads, self._file, _HEAD.match, budget
        room = self._most - len(self._tensors)
        found: list[Tensor] = []
        while len(found) < room:
            matched = match(data, position - base)
            if matched is None:
                break
            head = matched.group()
            known = heads[head] if head in heads else self._learn(head)
            if known is None:
                break
            dtype, shape, nbytes, size, tail, count = known
            at = matched.end()
            first = base + at + size + len(tail)
            if not data.startswith(tail, at + size) or nbytes > end - first or count > left:
                break
            name = data[at : at + size].decode("utf-8", "backslashreplace")
            found.append(Tensor(name, dtype, shape, nbytes, file, first))
            position = first + nbytes
            left -= count
        self._tensors += found
        self._graphs += [graph] * len(found)
        return position, budget - left

    def _learn(self, head: bytes) -> _Known | None:
        """What the bytes before a name say; `None` where the lengths do not fit."""
        known = _known(head)
        if len(self._heads) < _MAX_HEADS:
            self._heads[head] = known
        return known


def _known(head: bytes) -> _Known | None:
    """A head field by field; its name and data lie beyond it."""
    source, inside = Source(head), len(head) - 2
    _, _, start, end = next(fields(source, 0, _ANYWHERE))
    *sizes, data_type = (value for _, _, value, _ in fields(source, start, inside))
    shape = tuple(signed(size) for size in sizes)
    dtype, bits = TYPES.get(data_type, ("", 0))
    nbytes = (prod(shape) * bits + 7) // 8
    if not bits or any(size < 0 for size in shape):
        return None
    name, tail = head[-1], b"\x4a" + varint(nbytes)
    if end - start != len(head) - start + name + len(tail) + nbytes:
        return None
    return _Known(dtype, shape, nbytes, name, tail, 4 + len(shape))
