"""ONNX's protobuf read field by field along a fixed map of messages: iterative, bounded, weights stepped over.

Only what the map names is kept; a message of any other field is skipped without being looked into. Field numbers are
those of `onnx.proto` (IR version 14, onnx 1.23).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui.core.formats.cursor import Cursor, CutShort, Damaged

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 64
MAX_FIELDS = 20_000_000
MAX_TEXT = 1 << 16
MAX_NUMBERS = 1 << 10
"""Numbers that are kept of one repeated field."""

INT, TEXT, SIZE, INTS = "int", "text", "size", "ints"
"""What is kept of a field: its number, its text, where its bytes lie and how many, its list of numbers."""

MESSAGES: dict[str, dict[int, str]] = {
    "model": {
        1: INT, 2: TEXT, 3: TEXT, 4: TEXT, 5: INT, 7: "graph", 8: "opset", 14: "pair", 20: "training", 25: "function",
    },
    "training": {1: "graph", 2: "graph"},
    "function": {1: TEXT, 7: "node"},
    "graph": {1: "node", 2: TEXT, 5: "tensor", 15: "sparse"},
    "node": {2: TEXT, 3: TEXT, 4: TEXT, 5: "attribute"},
    "attribute": {1: TEXT, 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor", 3: INTS},
    "tensor": {
        1: INTS, 2: INT, 4: SIZE, 5: SIZE, 6: SIZE, 7: SIZE, 8: TEXT, 9: SIZE, 10: SIZE, 11: SIZE, 13: "pair", 14: INT,
    },
    "opset": {1: TEXT, 2: INT},
    "pair": {1: TEXT, 2: TEXT},
}  # fmt: skip
"""For each message: field number → what is kept, or the message that it holds."""


@dataclass
class Message:
    """One message while its fields are read, and afterwards."""

    kind: str
    number: int
    """The field under which it lies in its parent."""

    parent: Message | None
    end: int
    depth: int
    fields: dict[int, list[Any]] = field(default_factory=dict)

    def text(self, number: int) -> str:
        """The last text of a field, empty where there is none."""
        return str(self.fields.get(number, [""])[-1])

    def integer(self, number: int, default: int = 0) -> int:
        """The last number of a field."""
        value = self.fields.get(number, [default])[-1]
        return value if isinstance(value, int) else default


def varint(cursor: Cursor) -> int:
    """A number of at most ten bytes; most are of one."""
    first = cursor.small()
    if first >= 0:
        return first
    value = shift = 0
    for _ in range(10):
        byte = cursor.take(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF
        shift += 7
    raise Damaged("a number of more than ten bytes", cursor.position - 10)


def walk(cursor: Cursor, done: Callable[[Message], None]) -> Message:
    """Read the model at the cursor; `done` gets each message when it is complete, children before parents."""
    root = here = Message("model", 0, None, cursor.end, 0)
    budget = MAX_FIELDS
    while True:
        while here.parent is not None and cursor.position >= here.end:
            done(here)
            here = here.parent
        if cursor.position >= root.end:
            return root
        budget -= 1
        if budget < 0:
            raise Damaged(f"more than {MAX_FIELDS:,} fields: not read further", cursor.position)
        here = _field(cursor, here)
        if cursor.position > here.end:
            raise Damaged("a field reaches beyond its message", cursor.position)


def _field(cursor: Cursor, here: Message) -> Message:
    """One field of `here`; returns the message to go on with."""
    at = cursor.position
    tag = varint(cursor)
    number, wire = tag >> 3, tag & 7
    if number == 0:
        raise Damaged("a field of number 0", at)
    wanted = MESSAGES[here.kind].get(number, "")
    if wire == 0:
        _keep(here, number, wanted, varint(cursor))
    elif wire == 1:
        cursor.skip(8)
    elif wire == 5:
        cursor.skip(4)
        if wanted == SIZE:
            _add_size(here, number, cursor.position - 4, 4)
    elif wire == 2:
        return _sized(cursor, here, number, wanted)
    else:
        raise Damaged(f"a field of wire type {wire}", at)
    return here


def _keep(here: Message, number: int, wanted: str, value: int) -> None:
    """A number, where the map wants one."""
    if wanted in (INT, INTS):
        kept = here.fields.setdefault(number, [])
        if len(kept) < MAX_NUMBERS:
            kept.append(value - (1 << 64) if value >= 1 << 63 else value)
    elif wanted == SIZE:
        _add_size(here, number, 0, 0, count=1)


def _add_size(here: Message, number: int, start: int, size: int, count: int = 0) -> None:
    """Note bytes of data, or elements that were written one by one: `[start, bytes, elements]`."""
    known = here.fields.setdefault(number, [start, 0, 0])
    known[1] += size
    known[2] += count


def _sized(cursor: Cursor, here: Message, number: int, wanted: str) -> Message:
    """A field with a length: a message to enter, text to keep, or bytes to step over."""
    length = varint(cursor)
    start = cursor.position
    if length > here.end - start:
        kind = Damaged if length > 1 << 44 else CutShort
        raise kind(
            f"a field of {length:,} bytes is announced, its message has {max(here.end - start, 0):,} left", start
        )
    if wanted in MESSAGES:
        if here.depth >= MAX_DEPTH:
            raise Damaged(f"messages nested deeper than {MAX_DEPTH}", start)
        return Message(wanted, number, here, start + length, here.depth + 1)
    if wanted == TEXT:
        data = cursor.take(min(length, MAX_TEXT))
        here.fields.setdefault(number, [""])[-1] = data.decode("utf-8", "backslashreplace")
        cursor.skip(length - len(data))
    elif wanted == INTS:
        _packed(cursor, here, number, start + length)
    else:
        if wanted == SIZE:
            _add_size(here, number, start, length, count=1)
        cursor.skip(length)
    return here


def _packed(cursor: Cursor, here: Message, number: int, end: int) -> None:
    """A packed list of numbers, as far as it is kept."""
    kept = here.fields.setdefault(number, [])
    while cursor.position < end and len(kept) < MAX_NUMBERS:
        value = varint(cursor)
        kept.append(value - (1 << 64) if value >= 1 << 63 else value)
    cursor.skip(max(end - cursor.position, 0))
