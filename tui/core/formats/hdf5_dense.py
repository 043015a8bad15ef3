"""HDF5's dense storage: links and attributes of a fractal heap, found through a version 2 B-tree.

Follows the HDF5 file format specification 3.0, sections III.A.2 (B-trees, records of type 1, 5 and 8) and III.G
(fractal heap); widths that the specification leaves to the library are those of `H5B2hdr.c`, `H5HFhdr.c` and
`H5HFdtable.c`.
More than eight links or attributes, or an attribute of 64 KiB, are what `libver="latest"` writes this way.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from tui.core.formats.hdf5_messages import UNDEFINED, Hdf5Error, Hdf5NotRead

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RECORDS = 300_000
MAX_ROWS = 64
"""Rows of an indirect block: sizes double from row to row, so that more would be beyond any file."""

MAX_OBJECT = 64 << 20
_NODE = 10
"""Bytes of a B-tree's node beside its records and pointers: signature, version, type, checksum."""

_HUGE, _LINK, _ATTRIBUTE = 1, 5, 8
_PLACE = {_LINK: (4, 11), _ATTRIBUTE: (0, 8)}
"""Where in a record the heap's id stands."""


class Bytes(Protocol):
    """Bytes at an address of the file; raises `Hdf5Error` where they are not there."""

    def __call__(self, offset: int, count: int, what: str) -> bytes:
        """Exactly `count` bytes."""


def links(at: Bytes, heap: int, tree: int) -> Iterator[bytes]:
    """The link messages of a group."""
    yield from _objects(at, heap, tree, _LINK)


def attributes(at: Bytes, heap: int, tree: int) -> Iterator[tuple[bytes, int]]:
    """(attribute message, its flags) of an object."""
    store = _Heap(at, heap)
    for record in _records(at, tree, _ATTRIBUTE):
        yield store.object(record[:8]), record[8]


def _objects(at: Bytes, heap: int, tree: int, kind: int) -> Iterator[bytes]:
    store = _Heap(at, heap)
    first, last = _PLACE[kind]
    for record in _records(at, tree, kind):
        yield store.object(record[first:last])


# the B-tree


def _width(most: int) -> int:
    """Bytes in which numbers up to `most` are written."""
    return (max(most, 1).bit_length() - 1) // 8 + 1


def _records(at: Bytes, address: int, kind: int) -> Iterator[bytes]:
    """Every record of a version 2 B-tree, each node once."""
    head = at(address, 38, "a B-tree")
    if head[:4] != b"BTHD" or head[5] != kind:
        raise Hdf5Error(address, f"there is no B-tree of type {kind} at {address:,}")
    size, length, depth = struct.unpack_from("<IHH", head, 6)
    root, count = struct.unpack_from("<QH", head, 16)
    least = {_HUGE: 24, _LINK: 11, _ATTRIBUTE: 17}[kind]
    if length < least or depth > 32 or size < _NODE + length:
        raise Hdf5Error(address, f"the B-tree at {address:,} has records of {length} bytes in {depth} levels")
    if root == UNDEFINED or count == 0:
        return
    pointers = _pointers(size, length, depth)
    stack, seen, given = [(root, count, depth)], set[int](), 0
    while stack:
        node, count, level = stack.pop()
        if node in seen or len(seen) > MAX_RECORDS:
            raise Hdf5Error(node, f"the B-tree at {address:,} leads back to itself")
        seen.add(node)
        whole = count * length + ((count + 1) * sum(pointers[level]) if level else 0)
        body = at(node, 6 + whole, "a node of a B-tree")
        if body[:4] != (b"BTIN" if level else b"BTLF"):
            raise Hdf5Error(node, f"there is no node of a B-tree at {node:,}")
        for index in range(count):
            given += 1
            if given > MAX_RECORDS:
                raise Hdf5Error(node, f"the B-tree at {address:,} has more than {MAX_RECORDS:,} records")
            yield body[6 + index * length : 6 + (index + 1) * length]
        if level:
            stack += _children(body[6 + count * length :], count + 1, pointers[level], level)


def _pointers(size: int, length: int, depth: int) -> list[tuple[int, int, int]]:
    """By level the widths of a pointer's parts: address, records of the child, records below it."""
    most = (size - _NODE) // length
    below, out = most, [(0, 0, 0)]
    few = _width(most)
    for level in range(1, depth + 1):
        widths = (8, few, _width(below) if level > 1 else 0)
        held = max((size - _NODE - sum(widths)) // (length + sum(widths)), 0)
        below = (held + 1) * below + held
        out.append(widths)
    return out


def _children(body: bytes, count: int, widths: tuple[int, int, int], level: int) -> list[tuple[int, int, int]]:
    """(address, number of records, level) of the nodes below one."""
    step, out = sum(widths), []
    for index in range(count):
        part = body[index * step : (index + 1) * step]
        out.append((int.from_bytes(part[:8], "little"), int.from_bytes(part[8 : 8 + widths[1]], "little"), level - 1))
    return out


# the heap


class _Heap:
    """A fractal heap: objects in blocks whose sizes double, in the id itself, or on their own."""

    def __init__(self, at: Bytes, address: int) -> None:
        self.at = at
        self.address = address
        head = at(address, 142, "a fractal heap")
        if head[:4] != b"FRHP":
            raise Hdf5Error(address, f"there is no fractal heap at {address:,}")
        self.id_length, filters = struct.unpack_from("<HH", head, 5)
        if filters:
            raise Hdf5NotRead(address, f"the heap at {address:,} is compressed, which is not read here")
        (most,) = struct.unpack_from("<I", head, 10)
        (self.huge_tree,) = struct.unpack_from("<Q", head, 22)
        self.table, self.start, self.largest, bits = struct.unpack_from("<HQQH", head, 110)
        self.root, self.rows = struct.unpack_from("<QH", head, 132)
        if not (_power(self.start) and _power(self.largest) and _power(self.table) and 0 < bits <= 64):
            raise Hdf5Error(address, f"the heap at {address:,} has blocks of {self.start:,} to {self.largest:,} bytes")
        self.offset_width = (bits + 7) // 8
        self.length_width = min((self.largest.bit_length() + 6) // 8, _width(most))
        self.direct_rows = self.largest.bit_length() - self.start.bit_length() + 2
        self._huge: dict[int, tuple[int, int]] | None = None
        self._blocks: dict[int, bytes] = {}

    def object(self, ident: bytes) -> bytes:
        """The object of an id."""
        kind = ident[0] >> 4 & 3 if ident else 3
        if kind == 0:
            return self._managed(ident)
        if kind == 1:
            place, size = self._on_its_own(ident)
            if size > MAX_OBJECT:
                raise Hdf5Error(place, f"an object of {size:,} bytes in the heap at {self.address:,}")
            return self.at(place, size, "an object of a heap")
        if kind == 2:
            return ident[1 : 2 + (ident[0] & 15)]
        raise Hdf5Error(self.address, f"an id of the heap at {self.address:,} is of an unknown kind")

    def _managed(self, ident: bytes) -> bytes:
        """An object in a block: its offset in the heap, and its length."""
        end = 1 + self.offset_width
        offset = int.from_bytes(ident[1:end], "little")
        length = int.from_bytes(ident[end : end + self.length_width], "little")
        block, begin, size = self._block(offset)
        if offset + length > begin + size:
            raise Hdf5Error(block, f"an object of the heap at {self.address:,} reaches beyond its block")
        return self.at(block + offset - begin, length, "an object of a heap")

    def _block(self, offset: int) -> tuple[int, int, int]:
        """(address, offset in the heap, size) of the direct block that holds an offset."""
        if self.rows == 0:
            return self.root, 0, self.start
        block, begin, rows = self.root, 0, self.rows
        for _ in range(MAX_ROWS):
            row, column, size = self._cell(offset - begin)
            if row >= rows:
                break
            child = self._child(block, rows, row * self.table + column)
            begin += (0 if row == 0 else (self.start * self.table) << (row - 1)) + column * size
            if child == UNDEFINED:
                break
            if row < self.direct_rows:
                return child, begin, size
            block, rows = child, size.bit_length() - (self.start * self.table).bit_length() + 1
        raise Hdf5Error(block, f"the heap at {self.address:,} has no block for its offset {offset:,}")

    def _cell(self, offset: int) -> tuple[int, int, int]:
        """(row, column, size of the block) for an offset in an indirect block."""
        whole = self.start * self.table
        row = (offset // whole).bit_length()
        begin = 0 if row == 0 else whole << (row - 1)
        size = self.start << max(row - 1, 0)
        return row, (offset - begin) // size, size

    def _child(self, block: int, rows: int, index: int) -> int:
        """The address of one block below an indirect one."""
        entries = self._blocks.get(block)
        if entries is None:
            if rows > MAX_ROWS:
                raise Hdf5Error(block, f"a block of the heap at {self.address:,} has {rows} rows")
            head = 13 + self.offset_width
            body = self.at(block, head + 8 * rows * self.table, "a block of a heap")
            if body[:4] != b"FHIB":
                raise Hdf5Error(block, f"there is no block of a heap at {block:,}")
            entries = self._blocks[block] = body[head:]
        return int.from_bytes(entries[8 * index : 8 * index + 8], "little")

    def _on_its_own(self, ident: bytes) -> tuple[int, int]:
        """(address, size) of an object that is too large for a block."""
        if self.id_length >= 17:
            place, size = struct.unpack_from("<QQ", ident, 1)
            return int(place), int(size)
        if self._huge is None:
            self._huge = {}
            for record in _records(self.at, self.huge_tree, _HUGE):
                place, size, number = struct.unpack_from("<QQQ", record)
                self._huge[number] = (place, size)
        number = int.from_bytes(ident[1 : self.id_length], "little")
        if number not in self._huge:
            raise Hdf5Error(self.address, f"the heap at {self.address:,} has no object {number:,}")
        return self._huge[number]


def _power(number: int) -> bool:
    """Whether it is a power of two that a block's size can be."""
    return 0 < number <= 1 << 40 and number & (number - 1) == 0
