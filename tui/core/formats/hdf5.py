"""HDF5 as Keras and h5py write it: groups, attributes, and where each dataset lies.

`libhdf5` follows links to other files and sets of files, allocates what a header asks for, and has crashed on damaged
files for twenty years; so it is not let near a file that nobody vouches for, and a reader of our own is used.
Follows the HDF5 file format specification, version 3.0: superblocks 0 to 3, object headers 1 and 2, old groups
(symbol tables) and new ones, whose links and attributes lie in the header or in a heap of their own (`hdf5_dense`).
Messages that are shared between objects are not followed; what cannot be read is named.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tui.core.formats import hdf5_dense
from tui.core.formats.hdf5_messages import (
    MAX_NAME,
    UNDEFINED,
    Datatype,
    Hdf5Error,
    Hdf5NotRead,
    c_string,
    continued,
    datatype_of,
    dense_of,
    layout_of,
    link_of,
    messages,
    shape_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 300_000
MAX_MESSAGES = 4_000_000
MAX_ATTRIBUTE = 64 << 20
MAX_NUMBERS = 4096
"""Numbers of one attribute; nobody looks at longer lists of them, so that those are `None`."""

MAX_NAMES = 128 << 20
"""Characters of all paths together."""

MAX_DEPTH_BLOCKS = 10_000
"""Continuation blocks of one object header."""


class Readable(Protocol):
    """What is read: a file, or a member of an archive."""

    size: int

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`."""


@dataclass
class Dataset:
    """An array and where it lies."""

    name: str
    dtype: Datatype
    shape: tuple[int, ...]
    layout: str = ""
    """`compact`, `contiguous`, `chunked`, `virtual`, `external`, or empty where nothing was written."""

    offset: int | None = None
    stored: int | None = None
    """Bytes at `offset`, for contiguous ones."""

    address: int = 0
    """Of its object header."""

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return prod(self.shape) * self.dtype.size


@dataclass
class Content:
    """What a file holds."""

    datasets: list[Dataset] = field(default_factory=list)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By path of the object (empty for the root)."""

    links: list[tuple[str, str]] = field(default_factory=list)
    """Soft and external links, followed by nobody: (path, where it points)."""

    unread: list[str] = field(default_factory=list)
    """What uses a form that is not read here."""

    damage: list[tuple[int, str]] = field(default_factory=list)
    """(offset, what is wrong) for parts that could not be read; the rest could."""


@dataclass
class _Header:
    """One object header's messages, as far as they matter."""

    symbol_table: tuple[int, int] | None = None
    links: list[tuple[str, str, Any]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    dtype: Datatype | None = None
    shape: tuple[int, ...] | None = None
    layout: tuple[str, int | None, int | None] | None = None
    external: bool = False
    dense_links: tuple[int, int] | None = None
    dense_attributes: tuple[int, int] | None = None
    is_dataset: bool = False
    shared: bool = False
    """Whether an attribute stands in the table of shared messages."""


class Reader:
    """Reads one file; `content` holds what there is even where a part is damaged."""

    def __init__(self, source: Readable) -> None:
        self.source = source
        self.content = Content()
        self.base = 0
        self._messages = 0
        self._members_seen = 0
        self._named = 0
        self._unread = 32 * source.size + (16 << 20)
        """Bytes that may still be read: parts that are shared by many objects must not be read for each."""

        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}

    def run(self) -> Content:
        """Walk every group from the root; an object is entered once, however many links lead to it."""
        root = self._superblock()
        stack: list[tuple[str, int]] = [("", root)]
        entered: set[int] = set()
        while stack:
            path, address = stack.pop()
            if address in entered:
                continue
            entered.add(address)
            if len(entered) > MAX_OBJECTS:
                raise Hdf5Error(address, f"has more than {MAX_OBJECTS:,} objects")
            try:
                stack += self._object(path, address)
            except Hdf5Error as error:
                if not path:
                    raise
                self.content.damage.append((error.offset, f"{path}: {error.message}"))
            if len(self.content.damage) > 100:
                break
        return self.content

    def at(self, offset: int, count: int, what: str) -> bytes:
        """Bytes at an address of the file, or `Hdf5Error` where they are not there."""
        place = offset + self.base
        self._unread -= count
        if self._unread < 0:
            raise Hdf5Error(place, "its parts refer to one another more often than is followed")
        if count < 0 or place < 0 or place + count > self.source.size:
            raise Hdf5Error(
                min(place, self.source.size), f"{what} at {place:,} lies beyond the file's {self.source.size:,} bytes"
            )
        return self.source.read(place, count)

    def _superblock(self) -> int:
        """The address of the root's object header."""
        head = self.source.read(0, min(96, self.source.size))
        if head[:8] != SIGNATURE:
            raise Hdf5Error(0, "does not begin with HDF5's signature")
        version = head[8] if len(head) > 8 else 255
        if version in (0, 1):
            sizes, at = head[13:15], 24 + 4 * version
            place = at + 40
        elif version in (2, 3):
            sizes, at = head[9:11], 12
            place = 36
        else:
            raise Hdf5Error(8, f"has a superblock of version {version}, known are 0 to 3")
        if sizes != b"\x08\x08":
            raise Hdf5Error(9, f"has addresses of {list(sizes)} bytes, read are those of 8")
        if len(head) < place + 8:
            raise Hdf5Error(len(head), f"ends inside the superblock, at {len(head)} bytes")
        (self.base,) = struct.unpack_from("<Q", head, at)
        (root,) = struct.unpack_from("<Q", head, place)
        return int(root)

    def _object(self, path: str, address: int) -> list[tuple[str, int]]:
        """Note one object, and return what lies below it."""
        header = self._header(address)
        self._dense(path, header)
        if header.shared:
            self.content.unread.append(path or "/")
        if header.attributes:
            self.content.attributes[path] = header.attributes
        if header.is_dataset:
            self._dataset(path, address, header)
            return []
        below: list[tuple[str, int]] = []
        for name, kind, target in self._members(header):
            inside = f"{path}/{name}" if path else name
            self._members_seen += 1
            self._named += len(inside)
            if len(inside) > MAX_NAME or self._members_seen > MAX_MESSAGES or self._named > MAX_NAMES:
                raise Hdf5Error(address, "its names are more or longer than is read")
            if kind == "hard":
                below.append((inside, target))
            elif len(self.content.links) < MAX_OBJECTS:
                self.content.links.append((inside, str(target)))
        return below[::-1]

    def _dense(self, path: str, header: _Header) -> None:
        """Links and attributes outside of the header; where they are damaged the rest of the object is still read."""
        try:
            if header.dense_links is not None:
                found = [link_of(body) for body in self._counted(hdf5_dense.links(self.at, *header.dense_links))]
                header.links += sorted(found, key=lambda link: link[0])
            if header.dense_attributes is not None:
                for body, flags in self._counted(hdf5_dense.attributes(self.at, *header.dense_attributes)):
                    self._take(header, 0x0C, flags, body)
        except (struct.error, IndexError):
            place = (header.dense_links or header.dense_attributes or (0, 0))[0] + self.base
            self.content.damage.append((place, f"{path or '/'}: a message in the heap at {place:,} is damaged"))
        except Hdf5NotRead:
            self.content.unread.append(path or "/")
        except Hdf5Error as error:
            self.content.damage.append((error.offset, f"{path or '/'}: {error.message}"))

    def _counted(self, found: Iterator[_T]) -> Iterator[_T]:
        """The same, each counted as a message of a header is."""
        for item in found:
            self._count(0)
            yield item

    def _dataset(self, path: str, address: int, header: _Header) -> None:
        dtype = header.dtype or Datatype("other", 0)
        layout, offset, stored = header.layout or ("", None, None)
        if header.external:
            layout, offset = "external", None
        shape = header.shape or ()
        if offset is not None:
            offset += self.base
            if offset + prod(shape) * dtype.size > self.source.size:
                needed = offset + prod(shape) * dtype.size
                words = f"{path}: its {list(shape)} elements of {dtype.size} bytes reach to {needed:,}"
                self.content.damage.append((offset, f"{words} of the file's {self.source.size:,} bytes"))
        self.content.datasets.append(Dataset(path, dtype, shape, layout, offset, stored, address))

    def _members(self, header: _Header) -> Iterator[tuple[str, str, Any]]:
        """(name, `hard`/`soft`/`external`, address or target) of a group."""
        if header.symbol_table is not None:
            yield from self._symbols(*header.symbol_table)
        yield from header.links

    # old groups

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, str, Any]]:
        """The members of an old group: a B-tree of symbol nodes, names in a local heap."""
        start = self.at(heap, 32, "a group's heap")
        if start[:4] != b"HEAP":
            raise Hdf5Error(heap, f"there is no heap of names at {heap:,}")
        size, _, data = struct.unpack_from("<QQQ", start, 8)
        if size > MAX_ATTRIBUTE:
            raise Hdf5Error(heap, f"a group's names take {size:,} bytes: more than is read")
        names = self.at(data, size, "a group's names")
        for node in self._tree(tree):
            yield from self._symbol_node(node, names)

    def _tree(self, tree: int) -> Iterator[int]:
        """Addresses of the leaves of a version 1 B-tree, each node once."""
        stack, seen = [tree], set[int]()
        while stack:
            node = stack.pop()
            if node in seen or len(seen) > MAX_OBJECTS:
                raise Hdf5Error(node, f"the tree of a group at {tree:,} leads back to itself")
            seen.add(node)
            head = self.at(node, 24, "a group's tree")
            if head[:4] != b"TREE" or head[4] != 0:
                raise Hdf5Error(node, f"there is no tree of a group at {node:,}")
            level, count = head[5], int.from_bytes(head[6:8], "little")
            body = self.at(node + 24, 16 * count + 8, "a group's tree")
            children = [int.from_bytes(body[16 * index + 8 : 16 * index + 16], "little") for index in range(count)]
            if level == 0:
                yield from children
            else:
                stack += reversed(children)

    def _symbol_node(self, address: int, names: bytes) -> Iterator[tuple[str, str, Any]]:
        head = self.at(address, 8, "a symbol node")
        if head[:4] != b"SNOD":
            raise Hdf5Error(address, f"there is no symbol node at {address:,}")
        count = int.from_bytes(head[6:8], "little")
        body = self.at(address + 8, 40 * count, "a symbol node")
        for index in range(count):
            name, target, cached = struct.unpack_from("<QQI", body, 40 * index)
            text = c_string(names, name)
            if cached == 2:
                yield text, "soft", c_string(names, int.from_bytes(body[40 * index + 24 : 40 * index + 28], "little"))
            else:
                yield text, "hard", target

    # object headers

    def _header(self, address: int) -> _Header:
        """All messages of an object, its continuation blocks included."""
        header = _Header()
        start = self.at(address, 16, "an object header")
        if start[:4] == b"OHDR":
            blocks = [self._first_block(address, start)]
            second, order = True, bool(start[5] & 4)
        elif start[0] == 1:
            blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
            second, order = False, False
        else:
            raise Hdf5Error(address, f"there is no object header at {address:,}")
        seen: set[int] = set()
        while blocks:
            place, size = blocks.pop(0)
            if place in seen or len(seen) > MAX_DEPTH_BLOCKS:
                raise Hdf5Error(place, f"the object header at {address:,} leads back to itself")
            seen.add(place)
            data = self.at(place, size, "an object header's messages")
            for kind, flags, body, at in messages(data, second, order):
                self._count(place)
                if kind == 0x10:
                    blocks.append(continued(body, second, place))
                else:
                    self._message(header, kind, flags, body, place + at)
        return header

    def _count(self, place: int) -> None:
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            raise Hdf5Error(place, f"has more than {MAX_MESSAGES:,} header messages")

    def _first_block(self, address: int, start: bytes) -> tuple[int, int]:
        """Where the messages of a version 2 header lie."""
        flags = start[5]
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.at(address + at, width, "an object header"), "little")
        return address + at + width, size

    def _message(self, header: _Header, kind: int, flags: int, body: bytes, place: int) -> None:
        """Take in one message; those that are shared stand elsewhere and are not followed."""
        try:
            self._take(header, kind, flags, body)
        except (struct.error, IndexError):
            raise Hdf5Error(place, f"a header message of kind {kind} at {place:,} is damaged") from None

    def _take(self, header: _Header, kind: int, flags: int, body: bytes) -> None:
        if kind == 0x01:
            header.shape = shape_of(body)
        elif kind == 0x03:
            header.dtype = datatype_of(body) if not flags & 2 else Datatype("other", 0)
        elif kind == 0x08:
            header.layout = layout_of(body)
            header.is_dataset = True
        elif kind == 0x07:
            header.external = True
        elif kind == 0x11:
            header.symbol_table = struct.unpack_from("<QQ", body)
        elif kind == 0x06:
            header.links.append(link_of(body))
        elif kind == 0x0C and flags & 2:
            header.shared = True
        elif kind == 0x0C:
            name, value = self._attribute(body)
            header.attributes[name] = value
        elif kind == 0x02:
            header.dense_links = dense_of(kind, body)
        elif kind == 0x15:
            header.dense_attributes = dense_of(kind, body)

    # attributes

    def _attribute(self, body: bytes) -> tuple[str, Any]:
        """An attribute's name and value: text, numbers, or lists of them; `None` for other types."""
        version = body[0]
        sizes = struct.unpack_from("<HHH", body, 2)
        at = 8 if version < 3 else 9
        parts = []
        for size in sizes:
            parts.append(body[at : at + size])
            at += (size + 7) & ~7 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode("utf-8", "backslashreplace")
        if version > 1 and body[1] & 1:
            return name, None
        dtype, shape = datatype_of(parts[1]), shape_of(parts[2])
        if shape is None:
            return name, None
        return name, self._values(dtype, shape, body[at:])

    def _values(self, dtype: Datatype, shape: tuple[int, ...], data: bytes) -> Any:
        count = prod(shape)
        step = 16 if dtype.kind == "text" else dtype.size
        if step == 0 or count * step > len(data) or (count > MAX_NUMBERS and dtype.kind not in ("text", "string")):
            return None
        items = [self._item(dtype, data[index * step : index * step + step]) for index in range(count)]
        return items[0] if not shape else items

    def _item(self, dtype: Datatype, data: bytes) -> Any:
        if dtype.kind == "text":
            return self._heap_text(data)
        if dtype.kind == "string":
            return data.split(b"\0")[0].decode("utf-8", "backslashreplace")
        if dtype.kind in ("int", "uint", "bool"):
            return int.from_bytes(data, "little", signed=dtype.kind == "int")
        if dtype.kind == "float" and dtype.size in (2, 4, 8):
            return struct.unpack({2: "<e", 4: "<f", 8: "<d"}[dtype.size], data)[0]
        return None

    def _heap_text(self, data: bytes) -> str:
        """A text of any length: (length, collection, index) into a global heap."""
        length, address, index = struct.unpack("<IQI", data)
        if length == 0 or address in (0, UNDEFINED):
            return ""
        objects = self._heaps.get(address)
        if objects is None:
            objects = self._heaps[address] = self._collection(address)
        if index not in objects:
            raise Hdf5Error(address, f"the heap at {address:,} has no object {index}")
        place, size = objects[index]
        if min(length, size) > MAX_ATTRIBUTE:
            raise Hdf5Error(place, f"a text of {length:,} bytes: more than is read")
        return self.at(place, min(length, size), "a text").decode("utf-8", "backslashreplace")

    def _collection(self, address: int) -> dict[int, tuple[int, int]]:
        """A global heap collection: by index where an object lies and its size."""
        head = self.at(address, 16, "a global heap")
        size = int.from_bytes(head[8:16], "little")
        if head[:4] != b"GCOL" or size > MAX_ATTRIBUTE:
            raise Hdf5Error(address, f"there is no global heap at {address:,}")
        data = self.at(address, size, "a global heap")
        out: dict[int, tuple[int, int]] = {}
        at = 16
        while at + 16 <= len(data):
            index, _, _, length = struct.unpack_from("<HHIQ", data, at)
            if index == 0:
                break
            out[index] = (address + at + 16, length)
            at += 16 + ((length + 7) & ~7)
        return out
