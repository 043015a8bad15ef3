"""Protobuf's wire format, walked field by field with bounds; no schema, no recursion, and no copy of what is skipped.

A graph's constants make up most of its bytes and none of its meaning: they are stepped over by their length, so that a
file of gigabytes is read in windows of a megabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.files import RegularFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_AHEAD = 24
"""A key and a length take at most 20 bytes."""

_WINDOW = 1 << 20
_MASK = (1 << 64) - 1


class WireError(Exception):
    """The bytes are no protobuf: where, and why."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class CutOff(WireError):
    """A field goes on where the whole file ends; what there is of it may hold messages that are complete."""

    def __init__(self, offset: int, message: str, field: Field) -> None:
        super().__init__(offset, message)
        self.field = field
        """The field up to the file's end."""


class Source:
    """Bytes of a message: all in memory, or a file of which a window is."""

    def __init__(self, data: bytes = b"", file: RegularFile | None = None, window: int = _WINDOW) -> None:
        """`window` is how much of a file is read at a time: little, where large fields are stepped over."""
        self._file = file
        self._window = window
        self._data = data
        self._base = 0
        self.size = len(data) if file is None else file.size
        if file is not None and file.size <= window:
            self._data, self._file = file.read(0, file.size), None

    def window(self, position: int) -> tuple[bytes, int]:
        """(bytes, offset of the first of them) that hold `position` and the key and length that may follow it."""
        if self._file is not None:
            inside = position - self._base
            if inside < 0 or inside + _AHEAD > len(self._data):
                self._base = position
                self._data = self._file.read(position, min(self._window, self.size - position))
        return self._data, self._base

    def bytes(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`."""
        if self._file is None:
            return self._data[start:end]
        inside = start - self._base
        if inside >= 0 and end - self._base <= len(self._data):
            return self._data[inside : end - self._base]
        return self._file.read(start, end - start)

    def text(self, start: int, end: int, limit: int = 4096) -> str:
        """A string field, at most `limit` bytes of it."""
        return self.bytes(start, min(end, start + limit)).decode("utf-8", "backslashreplace")


Field = tuple[int, int, int, int]
"""(number, wire type, value or start, end): `end` is the start of the next field where the type is not `BYTES`."""


Known = Callable[[bytes, int, int], int]
"""(window, its offset, offset of a field in it) → offset of the field to go on with."""


def fields(source: Source, start: int, end: int, known: Known | None = None) -> Iterator[Field]:
    """The fields of the message between two offsets; `WireError` where one does not fit into it.

    `known` may take fields to itself: at each one it is asked which is the next that it leaves.
    """
    position = start
    data, base, safe = b"", 0, -1
    while position < end:
        if not base <= position < safe:
            data, base = source.window(position)
            safe = base + len(data) - _AHEAD
        at = position - base
        if known is not None:
            after = known(data, base, position)
            if after != position:
                position = after
                continue
        key = data[at] if position < safe else 0x80
        if key < 0x80:
            at += 1
        else:
            key, at = _varint(data, at, base)
        number, kind = key >> 3, key & 7
        if number == 0 or number > 0x1FFFFFFF:
            raise WireError(position, f"field number {number} at byte {position:,} cannot be")
        if kind == BYTES:
            length = data[at] if position < safe else 0x80
            if length < 0x80:
                at += 1
            else:
                length, at = _varint(data, at, base)
            first = base + at
            if length > end - first:
                raise _too_long(position, number, length, (min(first, end), end), end == source.size)
            position = first + length
            yield number, kind, first, position
            continue
        value, at = _scalar(data, at, base, kind, number)
        if base + at > end:
            raise WireError(position, f"field {number} at byte {position:,} reaches beyond its message")
        position = base + at
        yield number, kind, value, position


def _too_long(position: int, number: int, length: int, held: tuple[int, int], cut: bool) -> WireError:
    """A field of `length` bytes, of which only those from `held[0]` to `held[1]` are left."""
    words = f"field {number} at byte {position:,} has {length:,} bytes, {held[1] - held[0]:,} are left"
    return CutOff(position, words, (number, BYTES, *held)) if cut else WireError(position, words)


def _scalar(data: bytes, at: int, base: int, kind: int, number: int) -> tuple[int, int]:
    """A value that is no length-delimited one, and where it ends."""
    if kind == VARINT:
        return _varint(data, at, base)
    size = {FIXED64: 8, FIXED32: 4}.get(kind)
    if size is None:
        raise WireError(
            base + at, f"field {number} before byte {base + at:,} is of wire type {kind}, which none here is"
        )
    if at + size > len(data):
        raise WireError(base + at, f"field {number} at byte {base + at:,} is cut off")
    return int.from_bytes(data[at : at + size], "little"), at + size


def _varint(data: bytes, at: int, base: int) -> tuple[int, int]:
    """A base-128 number of at most ten bytes, and where it ends."""
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift, first = byte & 0x7F, 7, at
        while True:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _MASK, at + 1
            shift += 7
            if shift > 63:
                raise WireError(base + first, f"a number at byte {base + first:,} is longer than ten bytes")
    except IndexError:
        raise WireError(base + len(data), f"ends inside a number at byte {base + len(data):,}") from None


def varint(value: int) -> bytes:
    """A number from 0 on as it is written."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def packed(source: Source, start: int, end: int, most: int) -> list[int]:
    """The varints of a packed field, at most `most` of them."""
    out: list[int] = []
    position = start
    while position < end and len(out) < most:
        data, base = source.window(position)
        value, at = _varint(data, position - base, base)
        out.append(value)
        position = base + at
    return out


def signed(value: int) -> int:
    """A varint as the int64 it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value
