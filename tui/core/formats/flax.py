"""Flax's msgpack: a nested map of arrays, each an extension of type 1 that holds shape, dtype and bytes.

Mirrors `flax/serialization.py` (`_ndarray_to_bytes`, `_msgpack_ext_pack`). Names are the keys that lead to an array,
joined by slashes as `flatten_dict(sep="/")` does. The walk is iterative and steps over the arrays' bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass
class _Level:
    """A map or array that is being read."""

    path: str
    left: int
    """Items still to come; a map's pairs count one each."""

    is_map: bool
    index: int = 0


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name says msgpack and the first byte begins a map."""
    return name.lower().endswith(".msgpack") and bool(head) and (head[0] & 0xF0 == 0x80 or head[0] in (0xDE, 0xDF))


def read(file: RegularFile) -> FileReport:
    """Every array by its path."""
    cursor = Cursor(file, order=">", window=1 << 13)
    tensors: list[Tensor] = []
    problems: tuple[Problem, ...] = ()
    try:
        _walk(cursor, file.name, tensors)
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


def _walk(cursor: Cursor, file: str, tensors: list[Tensor]) -> None:
    """Depth first through maps and arrays, without recursion."""
    stack: list[_Level] = []
    budget = MAX_ITEMS
    entered = _item(cursor, "", file, tensors)
    if entered is not None:
        stack.append(entered)
    while stack:
        level = stack[-1]
        if level.left == 0:
            stack.pop()
            continue
        level.left -= 1
        budget -= 1
        if budget < 0:
            raise Damaged(f"more than {MAX_ITEMS:,} items: not read further", cursor.position)
        key = _key(cursor) if level.is_map else str(level.index)
        level.index += 1
        entered = _item(cursor, f"{level.path}/{key}" if level.path else key, file, tensors)
        if entered is not None:
            if len(stack) >= MAX_DEPTH:
                raise Damaged(f"nested deeper than {MAX_DEPTH}", cursor.position)
            stack.append(entered)


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
