"""tensorstore's OCDBT: the database in which Orbax keeps arrays; keys and small values are read, never the chunks.

A manifest names the root of a B+tree; nodes and large values lie in files under `d/` or `ocdbt.process_N/d/`. Mirrors
tensorstore 0.1.86, `kvstore/ocdbt/index.rst` and `format/*_codec.{h,cc}`. What a database asks for is bounded: nodes,
bytes of them, and heights that must fall on the way down.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, open_regular, read_small
from tui.core.formats.tensorflow.crc32c import crc32c
from tui.core.formats.zstd import ZstdError, decompress
from tui.core.problems import Problem
from tui.core.record import Record
from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = "manifest.ocdbt"
MAX_DECODED = 8 << 20
"""Bytes of nodes that are read of one database: a quarter of a million chunks."""

MAX_NAMES = 64 << 20
"""Bytes of the names in them, which share their beginnings and are many times longer than what is stored."""

MAX_NODES = 20_000
MAX_ENTRIES = 1 << 20
MAX_VALUE = 1 << 16
_MANIFEST_MAGIC, _NODE_MAGIC = 0x0CDB3A2A, 0x0CDB20DE
_NUMBERED = re.compile(r"^manifest\.[0-9a-f]{16}$")
_MISSING = (1 << 64) - 1


class _Broken(Exception):
    """A part of the database cannot be read; carries the located problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass
class Listing:
    """What a database holds, as far as it could be read."""

    values: dict[str, bytes] = field(default_factory=dict)
    """Small values that were asked for, by key."""

    keys: int = 0
    needed: dict[str, int] = field(default_factory=dict)
    """Bytes that each data file must have, by its path below the database."""

    held: dict[str, int] = field(default_factory=dict)
    """Bytes that each data file which is here has."""

    users: dict[str, list[str]] = field(default_factory=dict)
    """A few of the keys whose values lie in each data file."""

    problems: list[Problem] = field(default_factory=list)


class _Node(Record, frozen=True):
    """Where a node lies, and what is known of it before it is read."""

    path: str
    transitive: str
    offset: int
    length: int
    height: int
    prefix: bytes


def read_database(root: Path, where: str, wanted: Callable[[str], bool]) -> Listing:
    """The newest version of the database at `root`; `where` begins its name in messages (`default/` or empty)."""
    listing = Listing()
    try:
        stack = _roots(root, where)
    except _Broken as broken:
        listing.problems.append(broken.problem)
        return listing
    nodes, left, names = 0, MAX_DECODED, MAX_NAMES
    while stack:
        node = stack.pop()
        nodes += 1
        if nodes > MAX_NODES or min(left, names) <= 0 or listing.keys > MAX_ENTRIES:
            words = f"holds more than is read of it; {listing.keys:,} keys were"
            listing.problems.append(Problem("orbax-not-read", words, where + MANIFEST, fatal=False))
            break
        listing.needed[node.path] = max(listing.needed.get(node.path, 0), node.offset + node.length)
        try:
            body = _node_body(root, where, node, left)
            left -= len(body.data)
            stack += _entries(root, where, node, body, wanted, listing)
            names -= body.expanded
        except _Broken as broken:
            listing.problems.append(broken.problem)
    listing.problems += _absent(root, where, listing)
    return listing


class _Body:
    """Decoded bytes that are read one after another."""

    def __init__(self, data: bytes, name: str, offset: int) -> None:
        self.data = data
        self.at = 0
        self.expanded = 0
        """Bytes of the names that were read from it."""

        self.name = name
        self.offset = offset

    def broken(self, words: str) -> _Broken:
        return _Broken(Problem("orbax-manifest-damaged", words, self.name, self.offset))

    def varints(self, count: int) -> list[int]:
        """So many numbers of seven bits a byte, the low ones first."""
        data, at, out = self.data, self.at, []
        if count > len(data) - at:
            raise self.broken(f"{count:,} numbers are announced, {len(data) - at:,} bytes are left")
        try:
            for _ in range(count):
                byte = data[at]
                at += 1
                value, shift = byte & 0x7F, 7
                while byte & 0x80:
                    byte = data[at]
                    at += 1
                    value |= (byte & 0x7F) << shift
                    shift += 7
                    if shift > 70:
                        raise self.broken("a number has more than 64 bits")
                out.append(value)
        except IndexError:
            raise self.broken("ends within a table") from None
        self.at = at
        return out

    def varint(self) -> int:
        return self.varints(1)[0]

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise self.broken(f"{count:,} bytes are announced, {len(self.data) - self.at:,} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def joined(self, prefixes: list[int], suffixes: list[int]) -> list[bytes]:
        """Names of which each shares its beginning with the one before."""
        out: list[bytes] = []
        before = b""
        for shared, own in zip([0, *prefixes], suffixes, strict=True):
            if shared > len(before) or shared + own > 1 << 16:
                raise self.broken("a name shares more than the one before has")
            before = before[:shared] + self.take(own)
            out.append(before)
            self.expanded += len(before)
            if self.expanded > MAX_NAMES // 4:
                raise self.broken(f"its names take more than {MAX_NAMES // 4:,} bytes")
        return out


def _unwrapped(data: bytes, magic: int, name: str, offset: int, limit: int) -> _Body:
    """What lies between the header and the checksum of a manifest or node."""
    bare = _Body(data, name, offset)
    if len(data) < 18 or int.from_bytes(data[:4], "big") != magic:
        first = data[:4].hex(" ")
        raise bare.broken(f"is none: it begins with {first or 'nothing'}, {magic.to_bytes(4, 'big').hex(' ')} was due")
    length = int.from_bytes(data[4:12], "little")
    if length != len(data):
        raise bare.broken(f"announces {length:,} bytes, has {len(data):,}")
    bare.at = 12
    version, method = bare.varints(2)
    if version or method > 1:
        raise _Broken(Problem("orbax-not-read", f"has version {version}, compression {method}", name, offset, False))
    if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise bare.broken("its checksum does not match its bytes")
    inner = data[bare.at : -4]
    if method:
        try:
            inner = decompress(inner, limit)
        except ZstdError as error:
            raise bare.broken(f"cannot be decompressed: {error} at byte {error.offset:,} of it") from None
    return _Body(inner, name, offset)


def _roots(root: Path, where: str) -> list[_Node]:
    """The root of the newest version, none where the database is empty."""
    body = _manifest(root, where, MANIFEST)
    if body.data[16:17] == b"\x01":
        with os.scandir(root) as entries:
            numbered = sorted(entry.name for entry in entries if _NUMBERED.match(entry.name))
        if not numbered:
            raise body.broken("says that numbered manifests hold the versions, and none is here")
        body = _manifest(root, where, numbered[-1])
    body.take(16)
    body.varints(3)
    body.take(1)
    if body.varint():
        body.take(4)
    paths = _paths(body, "")
    count = body.varint()
    if not count:
        return []
    body.varints(count)
    heights = body.take(count)
    columns = [body.varints(count) for _ in range(6)]
    file, offset, length = (column[-1] for column in columns[:3])
    if not length or offset == _MISSING:
        return []
    if file >= len(paths):
        raise body.broken(f"names data file {file} of {len(paths)}")
    return [_Node(*paths[file], offset, length, heights[-1], b"")]


def _manifest(root: Path, where: str, name: str) -> _Body:
    try:
        data = read_small(root / name, where + name, MAX_DECODED)
    except FileProblem as problem:
        raise _Broken(problem.problem) from None
    return _unwrapped(data, _MANIFEST_MAGIC, where + name, 0, MAX_DECODED)


def _paths(body: _Body, transitive: str) -> list[tuple[str, str]]:
    """(path below the database, what its own children's paths begin with) of every data file."""
    count = body.varint()
    if not count:
        return []
    prefixes, suffixes, bases = body.varints(count - 1), body.varints(count), body.varints(count)
    names = body.joined(prefixes, suffixes)
    out: list[tuple[str, str]] = []
    for name, base in zip(names, bases, strict=True):
        path = transitive + os.fsdecode(name)
        if path.startswith("/") or ".." in path.split("/") or "\0" in path or len(path) > 4096:
            raise body.broken(f"names a file outside the checkpoint: {printable(path, 100)}")
        out.append((path, transitive + os.fsdecode(name[:base])))
    return out


def _node_body(root: Path, where: str, node: _Node, limit: int) -> _Body:
    """A node's bytes, decompressed."""
    name = where + node.path
    if node.length > limit:
        words = f"a node of {node.length:,} bytes is not read"
        raise _Broken(Problem("orbax-not-read", words, name, node.offset, fatal=False))
    try:
        with open_regular(root / node.path, name) as file:
            data = file.read(node.offset, node.length)
    except FileProblem as problem:
        words = f"{problem.problem.message}: a part of the list of arrays lies there"
        raise _Broken(Problem("orbax-manifest-damaged", words, name, node.offset)) from None
    return _unwrapped(data, _NODE_MAGIC, name, node.offset, limit)


def _entries(
    root: Path, where: str, node: _Node, body: _Body, wanted: Callable[[str], bool], listing: Listing
) -> list[_Node]:
    """Children of an inner node; of a leaf the keys, noted in `listing`."""
    height = body.take(1)[0]
    paths = _paths(body, node.transitive)
    count = body.varint()
    if height != node.height or not count:
        raise body.broken(f"a node of height {height} with {count} entries, height {node.height} was due")
    prefixes, suffixes = body.varints(count - 1), body.varints(count)
    if height:
        common = body.varints(count)
        keys = body.joined(prefixes, suffixes)
        files, offsets, lengths = (body.varints(count) for _ in range(3))
        if any(file >= len(paths) for file in files):
            raise body.broken(f"names a data file beyond its {len(paths)}")
        rows = zip(files, offsets, lengths, keys, common, strict=True)
        return [_Node(*paths[f], at, size, height - 1, node.prefix + key[:n]) for f, at, size, key, n in rows]
    keys = body.joined(prefixes, suffixes)
    sizes, kinds = body.varints(count), body.take(count)
    outside = [index for index, kind in enumerate(kinds) if kind]
    files, offsets = body.varints(len(outside)), body.varints(len(outside))
    if any(file >= len(paths) for file in files):
        raise body.broken(f"names a data file beyond its {len(paths)}")
    places = {index: (paths[f][0], at) for index, f, at in zip(outside, files, offsets, strict=True)}
    listing.keys += count
    for index, key in enumerate(keys):
        name = printable((node.prefix + key).decode("utf-8", "backslashreplace"), 1000)
        place = places.get(index)
        if place is None:
            value = body.take(sizes[index])
            if wanted(name):
                listing.values[name] = value
        else:
            _note(root, where, name, place, sizes[index], wanted(name), listing)
    return []


def _note(root: Path, where: str, name: str, place: tuple[str, int], size: int, read: bool, listing: Listing) -> None:
    """A value that lies in a data file."""
    path, offset = place
    listing.needed[path] = max(listing.needed.get(path, 0), offset + size)
    users = listing.users.setdefault(path, [])
    if len(users) < 4:
        users.append(name)
    if read and size <= MAX_VALUE:
        try:
            with open_regular(root / path, where + path) as file:
                listing.values[name] = file.read(offset, size)
        except FileProblem:
            return  # told once for the file


def _absent(root: Path, where: str, listing: Listing) -> list[Problem]:
    """Data files that are not here or end before a value or node does."""
    problems: list[Problem] = []
    for path, needed in sorted(listing.needed.items()):
        try:
            held: int | None = os.stat(root / path).st_size
        except OSError:
            held = None
        if held is not None:
            listing.held[path] = held
            if held >= needed:
                continue
        users = tuple(f"needed for {name}" for name in listing.users.get(path, ()))
        words = "is not here" if held is None else f"has {held:,} bytes"
        problems.append(
            Problem("orbax-data-missing", f"{words}, {needed:,} are needed", where + path, held, detail=users)
        )
    return problems
