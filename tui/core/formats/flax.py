"""Flax's msgpack: a nested map of arrays, each an extension of type 1 that holds shape, dtype and bytes.

Mirrors `flax/serialization.py` (`_ndarray_to_bytes`, `_msgpack_ext_pack`). Names are the keys that lead to an array,
joined by slashes as `flatten_dict(sep="/")` does. The walk is iterative and steps over the arrays' bytes.

What stands before an array's bytes says the same wherever it stands, and a model has few shapes: it is read once, and
found again by its bytes. Whatever is no such array is read item by item, as is all that is damaged.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.formats.cursor import Cursor, CutShort, Damaged, too_many
from tui.core.problems import Problem
from tui.core.tensors import TORCH_DTYPES, Tensor, bytes_of
from tui.core.text import count_of, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAX_DEPTH = 200
MAX_ITEMS = 5_000_000
_NDARRAY = 1
_LENGTHS = {
    0xD9: "B", 0xDA: "H", 0xDB: "I", 0xC4: "B", 0xC5: "H", 0xC6: "I", 0xDC: "H", 0xDD: "I", 0xDE: "H", 0xDF: "I",
    0xC7: "B", 0xC8: "H", 0xC9: "I",
}  # fmt: skip
"""How the length after each tag is written."""

_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}

_HEAD = re.compile(
    rb"(?:\xc7.|\xc8..|\xc9....)\x01\x93[\x90-\x9f](?:[\x00-\x7f]|\xcc.|\xcd..|\xce....){0,15}"
    rb"(?:[\xa0-\xbf]|\xd9.)[a-z0-9_]{1,32}(?:\xc4.|\xc5..|\xc6....)",
    re.DOTALL,
)
"""From the extension's tag to the first byte of the array, as msgpack writes it; the numbers in it are not compared."""

_MAX_HEADS = 4096
_NEAR = 512
"""A short key and the head after it take less."""

_Known = tuple[str, tuple[int, ...], int, int]
"""Dtype, shape, bytes, and how many bytes there are to the end of the extension."""


@dataclass
class _Level:
    """A map or array that is being read."""

    path: str
    left: int
    """Items still to come; a map's pairs count one each."""

    is_map: bool
    index: int = 0
    """How many items of an array came before."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name says msgpack and the first byte begins a map."""
    return name.lower().endswith(".msgpack") and bool(head) and (head[0] & 0xF0 == 0x80 or head[0] in (0xDE, 0xDF))


def read(file: RegularFile) -> FileReport:
    """Every array by its path."""
    cursor = Cursor(file, order=">", window=1 << 13)
    tensors: list[Tensor] = []
    problems: tuple[Problem, ...] = ()
    try:
        _Walk(cursor, file.name, tensors).all()
        if cursor.remaining:
            words = f"{count_of(cursor.remaining, 'byte')} after the end at {cursor.position:,}"
            error = ("ExtraData", "unpack(b) received extra data.")
            problems = (Problem("flax-damaged", words, file.name, cursor.position, loader_error=error),)
    except CutShort as cut:
        words = f"breaks at byte {cut.offset:,}: {cut}; {count_of(len(tensors), 'array')} could be read"
        error = ("ValueError", "Unpack failed: incomplete input")
        problems = (Problem("flax-damaged", words, file.name, cut.offset, loader_error=error),)
    return FileReport(
        file.name, "flax", file.size, tuple(tensors), {}, problems, modified=file.modified, allocated=file.blocks
    )


@dataclass
class _Walk:
    """Depth first through maps and arrays, without recursion."""

    cursor: Cursor
    file: str
    tensors: list[Tensor]
    budget: int = MAX_ITEMS
    heads: dict[bytes, _Known | None] = field(default_factory=dict)
    """By what stands before an array's bytes what it says; `None` where that is damaged."""

    def all(self) -> None:
        """Every array of the file; `CutShort` where it breaks."""
        stack: list[_Level] = []
        entered = _item(self.cursor, "", self.file, self.tensors)
        if entered is not None:
            stack.append(entered)
        while stack:
            level = stack[-1]
            if level.is_map:
                self._arrays(level)
            if level.left == 0:
                stack.pop()
                continue
            entered = self._next(level)
            if entered is not None:
                if len(stack) >= MAX_DEPTH:
                    raise Damaged(f"nested deeper than {MAX_DEPTH}", self.cursor.position)
                stack.append(entered)

    def _next(self, level: _Level) -> _Level | None:
        """One item of a map or array."""
        level.left -= 1
        self.budget -= 1
        if self.budget < 0:
            raise Damaged(f"more than {MAX_ITEMS:,} items: not read further", self.cursor.position)
        key = _key(self.cursor) if level.is_map else str(level.index)
        level.index += 1
        return _item(self.cursor, f"{level.path}/{key}" if level.path else key, self.file, self.tensors)

    def _arrays(self, level: _Level) -> None:
        """Arrays that follow one another in a map, up to an item that is none, or that is cut or damaged."""
        cursor, heads, file, tensors, match = self.cursor, self.heads, self.file, self.tensors, _HEAD.match
        path = f"{level.path}/" if level.path else ""
        most = min(level.left, self.budget)
        data, base, safe = b"", 0, 0
        position, taken = cursor.position, 0
        while taken < most:
            if position >= safe:
                cursor.position = position
                data, base = cursor.window(_NEAR)
                safe = max(base + len(data) - _NEAR, position + 1)
            at = position - base
            tag = data[at] if at < len(data) else 0
            if tag & 0xE0 == 0xA0:
                key_end = at + 1 + (tag & 0x1F)
                key = data[at + 1 : key_end]
            elif tag == 0xD9 and at + 1 < len(data):
                key_end = at + 2 + data[at + 1]
                key = data[at + 2 : key_end]
            else:
                break
            head = match(data, key_end)
            if head is None:
                break
            said = head.group()
            known = heads[said] if said in heads else self._learn(said)
            first = base + head.end()
            if known is None or known[3] > cursor.end - first:
                break
            dtype, shape, nbytes, size = known
            name = path + key.decode("utf-8", "backslashreplace")
            tensors.append(Tensor(name, dtype, shape, nbytes, file, first))
            position = first + size
            taken += 1
        cursor.position = position
        level.left -= taken
        self.budget -= taken

    def _learn(self, head: bytes) -> _Known | None:
        """What `_array` makes of the bytes before an array, kept for others that begin with the same."""
        cursor = Cursor(None, data=head, order=">")
        tag = cursor.byte()
        length = cursor.byte() if _LENGTHS[tag] == "B" else cursor.number(_LENGTHS[tag])
        end = cursor.position + 1 + length
        cursor.skip(1)
        known = None
        with suppress(CutShort):
            array = _array(cursor, "", "", end)
            if array.offset == len(head):
                known = (array.dtype, array.shape, array.nbytes, end - len(head))
        if len(self.heads) < _MAX_HEADS:
            self.heads[head] = known
        return known


def _key(cursor: Cursor) -> str:
    """A map's key: a text or a small number."""
    tag = cursor.byte()
    if tag < 0x80:
        return str(tag)
    if tag & 0xE0 == 0xA0:
        length = tag & 0x1F
    elif tag in (0xD9, 0xDA, 0xDB, 0xC4, 0xC5, 0xC6):
        length = cursor.number(_LENGTHS[tag])
    else:
        raise Damaged(f"a key that is no text (tag {tag:#04x})", cursor.position - 1)
    data = cursor.take(min(length, 4096))
    cursor.skip(length - len(data))
    return data.decode("utf-8", "backslashreplace")


def _item(cursor: Cursor, path: str, file: str, tensors: list[Tensor]) -> _Level | None:
    """One value: a container is returned to be entered, an array noted, all else stepped over."""
    at = cursor.position
    tag = cursor.byte()
    if tag < 0x80 or tag >= 0xE0 or tag in (0xC0, 0xC2, 0xC3):
        return None
    if tag < 0xA0:
        return _Level(path, tag & 0x0F, tag < 0x90)
    if tag < 0xC0:
        cursor.skip(tag & 0x1F)
    elif tag in _NUMBERS:
        cursor.skip(_NUMBERS[tag])
    elif tag in _FIXED_EXTENSIONS:
        cursor.skip(1 + _FIXED_EXTENSIONS[tag])
    elif tag in _LENGTHS:
        return _long(cursor, tag, path, file, tensors)
    else:
        raise Damaged(f"a byte {tag:#04x} that begins no value", at)
    return None


def _long(cursor: Cursor, tag: int, path: str, file: str, tensors: list[Tensor]) -> _Level | None:
    """A value with a length of its own."""
    length = cursor.byte() if _LENGTHS[tag] == "B" else cursor.number(_LENGTHS[tag])
    if length > cursor.remaining:
        raise too_many(length, "bytes or items", cursor)
    if tag >= 0xDC:
        return _Level(path, length, tag >= 0xDE)
    if tag in (0xC7, 0xC8, 0xC9):
        kind, end = cursor.byte(), cursor.position + length
        if kind == _NDARRAY:
            tensors.append(_array(cursor, path, file, end))
        cursor.skip(end - cursor.position)
        return None
    cursor.skip(length)
    return None


def _array(cursor: Cursor, path: str, file: str, end: int) -> Tensor:
    """Shape, dtype and the place of the bytes: an array of three."""
    at = cursor.position
    if cursor.byte() != 0x93:
        raise Damaged("an array extension that is no triple", at)
    count = _length(cursor, 0x90, 0x0F, (0xDC, 0xDD))
    if count > 64:
        raise Damaged(f"an array of {count:,} dimensions", at)
    shape = tuple(_integer(cursor) for _ in range(count))
    dtype = cursor.take(min(_length(cursor, 0xA0, 0x1F, (0xD9, 0xDA, 0xC4, 0xC5)), 64)).decode("latin-1")
    length = _length(cursor, 0xA0, 0x1F, (0xD9, 0xDA, 0xDB, 0xC4, 0xC5, 0xC6))
    if cursor.position + length > end:
        raise Damaged("an array that is longer than its extension", at)
    name = TORCH_DTYPES.get(dtype, printable(dtype, 32))
    needed = bytes_of(name, shape)
    if needed is not None and needed != length:
        raise Damaged(f"{printable(path, 80)} has {length:,} bytes, its shape needs {needed:,}", at)
    return Tensor(path, name, shape, length, file, cursor.position)


def _length(cursor: Cursor, base: int, mask: int, tags: tuple[int, ...]) -> int:
    """The length of a short form, or of one of `tags`."""
    tag = cursor.byte()
    if tag & ~mask & 0xFF == base:
        return tag & mask
    if tag in tags:
        return cursor.byte() if _LENGTHS[tag] == "B" else int(cursor.number(_LENGTHS[tag]))
    raise Damaged(f"a byte {tag:#04x} where a length belongs", cursor.position - 1)


def _integer(cursor: Cursor) -> int:
    tag = cursor.byte()
    if tag < 0x80:
        return tag
    if tag in (0xCC, 0xCD, 0xCE, 0xCF):
        return int(cursor.number({0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"}[tag]))
    raise Damaged(f"a byte {tag:#04x} where a size belongs", cursor.position - 1)
