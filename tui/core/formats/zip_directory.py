"""A zip's central directory, read as torch's reader (miniz) reads it: the central directory alone decides.

`zipfile` is not used: it trusts local names, keeps the last of two members with one name, and reads member data.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from tui.core.files import FileProblem, RegularFile
from tui.core.formats.extents import Extent, overlapping
from tui.core.text import printable

MAX_ENTRIES = 200_000
MAX_DIRECTORY = 256 << 20
_LOCAL = 30
"""Bytes of a local header before its name."""

_PAGE = 4096
_ENTRY = struct.Struct("<H4xIIIHHH8xI").unpack_from
_LENGTHS = struct.Struct("<HH").unpack_from
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"


class ZipBroken(Exception):
    """The archive cannot be listed; `kind` is `no-directory` or `corrupt`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Member(msgspec.Struct, frozen=True, gc=False):
    """One entry of the central directory."""

    name: str
    method: int
    compressed: int
    size: int
    header: int
    """Offset of the local header."""

    crc: int


def list_members(file: RegularFile) -> list[Member]:
    """Every entry of the central directory, in its order, duplicates included."""
    offset, size, count = _locate(file)
    if count > MAX_ENTRIES or size > MAX_DIRECTORY:
        raise ZipBroken("corrupt", f"lists {count:,} members in {size:,} bytes: more than is read")
    if offset + size > file.size:
        raise ZipBroken("corrupt", f"the directory at {offset:,} reaches beyond the end of the file")
    data = file.read(offset, size)
    members: list[Member] = []
    position = 0
    while position + 46 <= len(data) and len(members) < count:
        if data[position : position + 4] != b"PK\x01\x02":
            raise ZipBroken("corrupt", f"entry {len(members)} of the directory is damaged")
        member, position = _entry(data, position)
        members.append(member)
    if len(members) < count:
        raise ZipBroken("corrupt", f"the directory holds {len(members):,} of the {count:,} entries it announces")
    return members


def _end_record(file: RegularFile) -> tuple[int, bytes]:
    """Where the record at the archive's end lies, and its 22 bytes."""
    tail_start = max(0, file.size - (22 + 0xFFFF))
    tail = file.read(tail_start, file.size - tail_start)
    found = tail.rfind(_END)
    if found < 0 or found + 22 > len(tail):
        raise ZipBroken("no-directory", "the directory at the end of the archive is missing")
    return tail_start + found, tail[found : found + 22]


def _locate(file: RegularFile) -> tuple[int, int, int]:
    """Offset, size and entry count of the central directory."""
    position, record = _end_record(file)
    count, size, offset = struct.unpack_from("<HII", record, 10)
    if count == 0xFFFF or size == 0xFFFFFFFF or offset == 0xFFFFFFFF:
        return _locate64(file, position)
    return offset, size, count


def archive_end(file: RegularFile) -> int:
    """The first byte after the archive, its comment included."""
    position, record = _end_record(file)
    return position + 22 + int.from_bytes(record[20:], "little")


def overlaps(members: list[Member]) -> list[Extent]:
    """Members that begin before another one ends: each has a header of 30 bytes at least, then its content."""
    return overlapping(((item.header, _LOCAL + item.compressed, item.name) for item in members), shared=False)


def _locate64(file: RegularFile, end: int) -> tuple[int, int, int]:
    """The same from the zip64 records before the end record."""
    locator = file.read(end - 20, 20) if end >= 20 else b""
    if locator[:4] != _LOCATOR64:
        raise ZipBroken("corrupt", "the zip64 locator is missing")
    (position,) = struct.unpack_from("<Q", locator, 8)
    if position + 56 > file.size:
        raise ZipBroken("corrupt", "the zip64 end record lies beyond the file")
    record = file.read(position, 56)
    if record[:4] != _END64:
        raise ZipBroken("corrupt", "the zip64 end record is damaged")
    count, size, offset = struct.unpack_from("<QQQ", record, 32)
    return offset, size, count


def _entry(data: bytes, position: int) -> tuple[Member, int]:
    """One entry, and where the next begins."""
    method, crc, compressed, size, name_length, extra_length, comment_length, header = _ENTRY(data, position + 10)
    start = position + 46
    name = data[start : start + name_length].decode("utf-8", "backslashreplace")
    extra = data[start + name_length : start + name_length + extra_length]
    if 0xFFFFFFFF in (size, compressed, header):
        size, compressed, header = _wide(extra, size, compressed, header)
    return Member(name, method, compressed, size, header, crc), start + name_length + extra_length + comment_length


def _wide(extra: bytes, size: int, compressed: int, header: int) -> tuple[int, int, int]:
    """64-bit values from the zip64 extra field."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        if kind == 1:
            values = [int.from_bytes(body[index : index + 8], "little") for index in range(0, len(body) - 7, 8)]
            wide = iter(values)
            size = next(wide, size) if size == 0xFFFFFFFF else size
            compressed = next(wide, compressed) if compressed == 0xFFFFFFFF else compressed
            header = next(wide, header) if header == 0xFFFFFFFF else header
            break
        position += 4 + length
    return size, compressed, header


class LocalHeaders:
    """Reads local headers a page at a time: those of small members lie close together."""

    def __init__(self, file: RegularFile) -> None:
        self._file = file
        self._page = b""
        self._base = 0

    def data_offset(self, member: Member, *, named: bool = False) -> int:
        """Where a member's bytes begin; `ZipBroken` where its local header is no such thing.

        `named` asks for the directory's name in it too, as Python's zipfile does and torch does not.
        """
        at = member.header - self._base
        if not 0 <= at <= len(self._page) - _LOCAL:
            self._turn(member)
            at = 0
        if self._page[at : at + 4] != b"PK\x03\x04":
            raise ZipBroken("corrupt", f"{member.name}: no local header at {member.header:,}")
        name_length, extra_length = _LENGTHS(self._page, at + 26)
        if named:
            name = self._file.read(member.header + _LOCAL, name_length).decode("utf-8", "backslashreplace")
            if name != member.name:
                words = f"the directory's {member.name} leads to the header of {name}"
                raise ZipBroken("corrupt", printable(words, 200))
        return member.header + _LOCAL + int(name_length) + int(extra_length)

    def _turn(self, member: Member) -> None:
        """The page that a member's header begins."""
        count = max(min(_PAGE, self._file.size - member.header), _LOCAL)
        try:
            self._page = self._file.read(member.header, count)
        except FileProblem:
            raise ZipBroken("corrupt", f"{member.name}: its place at {member.header:,} is beyond the file") from None
        self._base = member.header


def data_offset(file: RegularFile, member: Member, *, named: bool = False) -> int:
    """The same for one member."""
    return LocalHeaders(file).data_offset(member, named=named)


def read_member(file: RegularFile, member: Member, limit: int, *, named: bool = False) -> bytes:
    """A member's content, stored or deflated, at most `limit` bytes; `ZipBroken` otherwise."""
    start = data_offset(file, member, named=named)
    if member.size > limit:
        raise ZipBroken("corrupt", f"{member.name}: {member.size:,} bytes, at most {limit:,} are read")
    if start + member.compressed > file.size:
        raise ZipBroken("corrupt", f"{member.name}: reaches beyond the end of the file")
    raw = file.read(start, member.compressed)
    if member.method == 0:
        return raw
    if member.method != 8:
        raise ZipBroken("corrupt", f"{member.name}: compressed by method {member.method}, which torch does not read")
    inflater = zlib.decompressobj(-15)
    try:
        data = inflater.decompress(raw, limit + 1)
    except zlib.error as error:
        raise ZipBroken("corrupt", f"{member.name}: {error}") from None
    if len(data) > limit:
        raise ZipBroken("corrupt", f"{member.name}: inflates past {limit:,} bytes")
    return data


def read_start(file: RegularFile, member: Member, count: int, *, named: bool = False) -> bytes:
    """At most the first `count` bytes of a member's content, whatever its size."""
    start = data_offset(file, member, named=named)
    stored = min(member.compressed, file.size - start, count + 1024)
    if stored < 0:
        raise ZipBroken("corrupt", f"{member.name}: reaches beyond the end of the file")
    raw = file.read(start, stored)
    if member.method == 0:
        return raw[:count]
    if member.method != 8:
        raise ZipBroken("corrupt", f"{member.name}: compressed by method {member.method}, which is not read")
    try:
        return zlib.decompressobj(-15).decompress(raw, count)
    except zlib.error as error:
        raise ZipBroken("corrupt", f"{member.name}: {error}") from None
