"""ONNX's protobuf read field by field along a fixed map of messages: iterative, bounded, weights stepped over.

Only what the map names is kept; a message of any other field is skipped without being looked into. Field numbers are
those of `onnx.proto` (IR version 14, onnx 1.23).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui.core.formats.protobuf import BYTES, FIXED32, VARINT, CutOff, WireError, fields, packed, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.formats.protobuf import Field, Source

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


@dataclass(slots=True)
class Message:
    """One message while its fields are read, and afterwards."""

    kind: str
    number: int
    """The field under which it lies in its parent."""

    parent: Message | None
    depth: int
    fields: dict[int, list[Any]] = field(default_factory=dict)

    def text(self, number: int) -> str:
        """The last text of a field, empty where there is none."""
        return str(self.fields.get(number, [""])[-1])

    def integer(self, number: int, default: int = 0) -> int:
        """The last number of a field."""
        value = self.fields.get(number, [default])[-1]
        return value if isinstance(value, int) else default


if TYPE_CHECKING:
    Open = tuple[Message, Iterator[Field]]

Plain = Callable[[Message, bytes, int, int, int, int], tuple[int, int]]
"""(graph, window, offset of the window, of a field in it, of the graph's end, fields that may be read) → offset of the
field to go on with, and how many have been read."""


class Walk:
    """One model, read from its beginning: iterative, and with a budget of fields."""

    def __init__(self, source: Source, done: Callable[[Message], None], plain: Plain | None = None) -> None:
        """`done` gets each message below the model when it is complete, children before parents.

        `plain` may take tensors of a graph to itself before they are read field by field.
        """
        self._source = source
        self._done = done
        self._plain = plain
        self._budget = MAX_FIELDS
        self.root = Message("model", 0, None, 0)
        """The model, as far as it was read."""

    def run(self) -> Message:
        """The model; of a file that is cut off the messages that are complete are read all the same.

        Raises `WireError` where the bytes are none, or nest deeper or hold more fields than is read.
        """
        root = self.root
        open_messages = [(root, self._fields(root, 0, self._source.size))]
        broken: CutOff | None = None
        incomplete = [root]
        while open_messages:
            here, rest = open_messages[-1]
            try:
                entered = self._next(here, rest)
            except CutOff as cut:
                broken = broken or cut
                if MESSAGES[here.kind].get(cut.field[0], "") not in MESSAGES:
                    break
                entered = self._enter(here, cut.field)
                if entered is not None:
                    incomplete.append(entered[0])
            if entered is not None:
                open_messages.append(entered)
                continue
            open_messages.pop()
            if not any(here is message for message in incomplete):
                self._done(here)
        if broken is not None:
            raise broken
        return root

    def _next(self, here: Message, rest: Iterator[Field]) -> Open | None:
        """The next message within `here` that is to be read, `None` where there is none."""
        for item in rest:
            self._budget -= 1
            if self._budget < 0:
                raise WireError(item[3], f"more than {MAX_FIELDS:,} fields: not read further")
            entered = self._enter(here, item)
            if entered is not None:
                return entered
        return None

    def _enter(self, here: Message, item: Field) -> Open | None:
        """The message that a field of `here` holds, where it is to be read."""
        inner = _field(self._source, here, item)
        return None if inner is None else (inner, self._fields(inner, item[2], item[3]))

    def _fields(self, here: Message, start: int, end: int) -> Iterator[Field]:
        """The fields of a message, without the tensors that `plain` takes."""
        plain = self._plain
        if plain is None or here.kind != "graph" or here.depth >= MAX_DEPTH:
            return fields(self._source, start, end)

        def take(data: bytes, base: int, position: int) -> int:
            position, count = plain(here, data, base, position, end, self._budget)
            self._budget -= count
            return position

        return fields(self._source, start, end, take)


def _field(source: Source, here: Message, item: Field) -> Message | None:
    """One field of `here`; the message that it holds, where that is to be read."""
    number, kind, value, end = item
    wanted = MESSAGES[here.kind].get(number, "")
    if kind == BYTES:
        return _sized(source, here, item, wanted)
    if kind == VARINT and wanted in (INT, INTS):
        kept = here.fields.setdefault(number, [])
        if len(kept) < MAX_NUMBERS:
            kept.append(signed(value))
    elif kind == VARINT and wanted == SIZE:
        _add_size(here, number, 0, 0, count=1)
    elif kind == FIXED32 and wanted == SIZE:
        _add_size(here, number, end - 4, 4)
    return None


def _add_size(here: Message, number: int, start: int, size: int, count: int = 0) -> None:
    """Note bytes of data, or elements that were written one by one: `[start, bytes, elements]`."""
    known = here.fields.setdefault(number, [start, 0, 0])
    known[1] += size
    known[2] += count


def _sized(source: Source, here: Message, item: Field, wanted: str) -> Message | None:
    """A field with a length: a message to enter, text to keep, or bytes to step over."""
    number, _, start, end = item
    if wanted in MESSAGES:
        if here.depth >= MAX_DEPTH:
            raise WireError(start, f"messages nested deeper than {MAX_DEPTH}")
        return Message(wanted, number, here, here.depth + 1)
    if wanted == TEXT:
        here.fields.setdefault(number, [""])[-1] = source.text(start, end, MAX_TEXT)
    elif wanted == INTS:
        kept = here.fields.setdefault(number, [])
        kept.extend(signed(value) for value in packed(source, start, end, MAX_NUMBERS - len(kept)))
    elif wanted == SIZE:
        _add_size(here, number, start, end - start, count=1)
    return None
