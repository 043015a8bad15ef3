"""The messages of HDF5's object headers (specification 3.0, section IV.A.2), decoded from bytes that are in memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

UNDEFINED = (1 << 64) - 1
MAX_NAME = 1 << 16


class Hdf5Error(Exception):
    """The file is damaged, or uses what is not read here."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class Hdf5NotRead(Hdf5Error):
    """The file uses what is not read here; it may be whole all the same."""


@dataclass
class Datatype:
    """An element type."""

    kind: str
    """`int`, `uint`, `float`, `bfloat`, `bool`, `string`, `text` (of any length), `other`."""

    size: int


def c_string(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + MAX_NAME)
    return data[at : end if end >= 0 else at].decode("utf-8", "backslashreplace")


def messages(data: bytes, second: bool, order: bool) -> Iterator[tuple[int, int, bytes, int]]:
    """(kind, flags, body, offset) of the messages in one block of a header."""
    at, head = 0, (6 if order else 4) if second else 8
    while at + head <= len(data):
        if second:
            kind, size, flags = data[at], int.from_bytes(data[at + 1 : at + 3], "little"), data[at + 3]
        else:
            kind, size, flags = struct.unpack_from("<HHB", data, at)
        body = data[at + head : at + head + size]
        if len(body) < size:
            return
        yield kind, flags, body, at
        at += head + size


def continued(body: bytes, second: bool, place: int) -> tuple[int, int]:
    """Where a header goes on; version 2 has a signature before and a checksum after the messages."""
    if len(body) < 16:
        raise Hdf5Error(place, f"a continuation in the object header at {place:,} is damaged")
    start, size = struct.unpack_from("<QQ", body)
    return (start + 4, size - 8) if second else (start, size)


def shape_of(body: bytes) -> tuple[int, ...] | None:
    """A dataspace; `None` for the null space."""
    version, rank = body[0], body[1]
    if version == 2 and body[3] == 2:
        return None
    start = 8 if version == 1 else 4
    return struct.unpack_from(f"<{rank}Q", body, start)


def datatype_of(body: bytes) -> Datatype:
    """An element type; compounds, references and arrays are `other`."""
    kind, bits = body[0] & 15, body[1]
    (size,) = struct.unpack_from("<I", body, 4)
    if kind == 0:
        return Datatype("int" if bits & 8 else "uint", size)
    if kind == 1:
        return Datatype("bfloat" if size == 2 and body[13] == 8 else "float", size)
    if kind == 3:
        return Datatype("string", size)
    if kind == 8:
        return Datatype("bool" if size == 1 else "other", size)
    if kind == 9 and bits & 15 == 1:
        return Datatype("text", 16)
    return Datatype("other", size)


def layout_of(body: bytes) -> tuple[str, int | None, int | None]:
    """(kind, offset, bytes) of a dataset's storage."""
    version = body[0]
    if version in (1, 2):
        kind = {0: "compact", 1: "contiguous", 2: "chunked"}.get(body[2], "other")
        offset = struct.unpack_from("<Q", body, 8)[0] if kind == "contiguous" else None
        return kind, None if offset == UNDEFINED else offset, None
    kind = {0: "compact", 1: "contiguous", 2: "chunked", 3: "virtual"}.get(body[1], "other")
    if kind != "contiguous":
        return kind, None, None
    offset, size = struct.unpack_from("<QQ", body, 2)
    return (kind, None, None) if offset == UNDEFINED else (kind, offset, size)


def link_of(body: bytes) -> tuple[str, str, Any]:
    """A link message: name, kind, and address or target; `IndexError` where it is cut short."""
    flags, at, kind = body[1], 2, 0
    if flags & 8:
        kind, at = body[at], at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[at : at + width], "little")
    at += width
    if length > len(body) - at:
        raise IndexError("a link's name reaches beyond its message")
    name = body[at : at + length].decode("utf-8", "backslashreplace")
    at += length
    if kind == 0:
        return name, "hard", struct.unpack_from("<Q", body, at)[0]
    size = int.from_bytes(body[at : at + 2], "little")
    target = body[at + 2 : at + 2 + size].decode("utf-8", "backslashreplace")
    return name, "soft" if kind == 1 else "external", target


def dense_of(kind: int, body: bytes) -> tuple[int, int] | None:
    """Where links (0x02) or attributes (0x15) lie outside of the header: (heap, B-tree of names), else `None`."""
    flags = body[1]
    at = 2 + (0 if not flags & 1 else 8 if kind == 0x02 else 2)
    heap, tree = struct.unpack_from("<QQ", body, at)
    return None if heap == UNDEFINED else (heap, tree)
