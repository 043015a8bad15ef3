"""Numbers and bytes read one after another from a file of any size, through a window, and never beyond its end."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tui.core.files import FileProblem

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_WINDOW = 1 << 18


class CutShort(Exception):
    """The bytes end before what they announce; `offset` is where the announcing began."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Damaged(CutShort):
    """What is announced can be in no file: a damaged or made-up number, not a file that is cut short."""


_ABSURD = 1 << 44
"""No header announces that many bytes or elements."""


def too_many(count: int, noun: str, cursor: Cursor) -> CutShort:
    """The exception for `count` things where fewer are left: cut short, or damaged where the count is absurd."""
    kind = Damaged if count > _ABSURD or count < 0 else CutShort
    return kind(f"{count:,} {noun} are announced, {cursor.remaining:,} bytes are left", cursor.position)


class Cursor:
    """A place in a file, or in bytes that are in memory, that moves forward as it is read."""

    def __init__(
        self,
        file: RegularFile | None,
        position: int = 0,
        end: int | None = None,
        *,
        data: bytes = b"",
        order: str = "<",
        window: int = _WINDOW,
    ) -> None:
        self._file = file
        self._data = data
        self._base = 0
        self._window = window
        self.position = position
        size = file.size if file is not None else len(data)
        self.end = size if end is None else min(end, size)
        self.order = order
        """`<` or `>`: how numbers of several bytes are stored."""

    @property
    def remaining(self) -> int:
        """Bytes from here to the end."""
        return self.end - self.position

    def take(self, count: int) -> bytes:
        """The next `count` bytes; `CutShort` where there are fewer. The caller bounds `count`."""
        index = self._within(count)
        self.position += count
        return self._data[index : index + count]

    def byte(self) -> int:
        """The next byte."""
        index = self.position - self._base
        if 0 <= index < len(self._data) and self.position < self.end:
            self.position += 1
            return self._data[index]
        return self.take(1)[0]

    def small(self) -> int:
        """The next byte where it is at hand and below 128, moved over; else -1 and nothing is moved."""
        index = self.position - self._base
        if 0 <= index < len(self._data) and self.position < self.end:
            byte = self._data[index]
            if byte < 0x80:
                self.position += 1
                return byte
        return -1

    def peek(self, count: int) -> bytes:
        """At most the next `count` bytes, without moving on."""
        count = min(count, self.remaining)
        index = self._within(count)
        return self._data[index : index + count]

    def window(self, count: int) -> tuple[bytes, int]:
        """(bytes, place of the first of them): what is at hand, the next `count` or all that are left among it."""
        self._within(min(count, self.remaining))
        return self._data, self._base

    def skip(self, count: int) -> None:
        """Move on without reading."""
        if not 0 <= count <= self.remaining:
            raise too_many(count, "bytes", self)
        self.position += count

    def number(self, form: str) -> Any:
        """One number in `struct`'s notation without its byte order."""
        size = struct.calcsize(form)
        index = self._within(size)
        self.position += size
        return struct.unpack_from(self.order + form, self._data, index)[0]

    def numbers(self, form: str, count: int) -> tuple[Any, ...]:
        """`count` numbers of one kind."""
        if count > self.remaining:
            raise too_many(count, "numbers", self)
        return struct.unpack(f"{self.order}{count}{form}", self.take(count * struct.calcsize(form)))

    def _within(self, count: int) -> int:
        """Index into the window of the next byte, with `count` bytes there."""
        index = self.position - self._base
        if count < 0 or count > self.end - self.position:
            raise too_many(count, "bytes", self)
        if index < 0 or index + count > len(self._data):
            if self._file is None:
                raise CutShort(f"ends at {self.position:,}", self.position)
            try:
                self._data = self._file.read(self.position, min(max(count, self._window), self.end - self.position))
            except FileProblem as problem:
                raise CutShort(problem.problem.message, self.position) from None
            self._base, index = self.position, 0
        return index
