"""LevelDB's table, which a tensor bundle's index and a V1 checkpoint are: keys in order, in blocks with checksums.

Mirrors `tensorflow/core/lib/io/{format,block,table}.cc` (2.21), the snappy blocks that its reader accepts included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.formats.tensorflow.crc32c import crc32c, unmasked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.files import RegularFile

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
MAX_BLOCK = 256 << 20
MAX_CHECKED = 16 << 20
"""Bytes of blocks whose checksums are computed; a longer index is read without."""

MAX_KEYS = 5_000_000
MAX_KEY_BYTES = 1 << 16
MAX_NAMES = 128 << 20
"""Bytes of all keys together: a key may share 64 KiB with the one before and cost three bytes."""

_SNAPPY_LIMIT = 64 << 20


class TableError(Exception):
    """The table is damaged: where, why, and what TensorFlow's reader says of it."""

    def __init__(self, offset: int, message: str, words: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.words = words


def is_table(file: RegularFile) -> bool:
    """Whether the file ends as a table does."""
    return file.size >= FOOTER and file.read(file.size - 8, 8) == MAGIC


class Table:
    """A table of a file: an iterator over its entries that checks what it reads."""

    def __init__(self, file: RegularFile, checked: int | None = MAX_CHECKED) -> None:
        """`checked` is how many bytes of blocks have their checksums computed, `None` for all."""
        self.file = file
        self.most = checked
        self.checked = 0
        self.unchecked = False
        """Whether some blocks were too many to be checked."""
        self.compressed = False
        if file.size < FOOTER:
            raise TableError(
                0, f"has {file.size:,} bytes, a table ends with {FOOTER}", "file is too short to be an sstable"
            )
        footer = file.read(file.size - FOOTER, FOOTER)
        if footer[-8:] != MAGIC:
            raise TableError(
                file.size - 8, "does not end with a table's magic number: cut short, or something else",
                "not an sstable (bad magic number)",
            )  # fmt: skip
        _, at = _handle(footer, 0)
        self._index, _ = _handle(footer, at)

    def entries(self) -> Iterator[tuple[bytes, bytes, int]]:
        """(key, value, offset of the value in the file or of its block) in the order of the keys."""
        count = named = 0
        for _, offset, size in self.places():
            data = self.block(offset, size)
            for key, value, at in _entries(data, offset):
                count += 1
                named += len(key)
                if count > MAX_KEYS or named > MAX_NAMES:
                    raise TableError(offset, f"has more than {MAX_KEYS:,} keys or {MAX_NAMES:,} bytes of names", "")
                yield key, value, offset + at

    def places(self) -> Iterator[tuple[bytes, int, int]]:
        """(a key not before its last one, offset, size) of every data block, each after the one before."""
        end = 0
        for key, handle, _ in _entries(self.block(*self._index), self._index[0]):
            (offset, size), _ = _handle(handle, 0)
            if offset < end:
                raise TableError(offset, f"a block at {offset:,} lies in the one before", "bad block handle")
            end = offset + size
            yield key, offset, size

    def block(self, offset: int, size: int) -> bytes:
        """One block, its checksum compared and its compression undone."""
        if size > MAX_BLOCK or offset + size + 5 > self.file.size:
            words = f"a block of {size:,} bytes at {offset:,} reaches beyond the file's {self.file.size:,}"
            raise TableError(offset, words, "truncated block read")
        raw = self.file.read(offset, size + 5)
        stored = int.from_bytes(raw[-4:], "little")
        self.checked += size
        if self.most is not None and self.checked > self.most:
            self.unchecked = True
        elif crc32c(raw[:-4]) != unmasked(stored):
            words = f"the block at {offset:,} does not match its checksum"
            raise TableError(offset, words, "block checksum mismatch")
        kind = raw[size]
        if kind == 0:
            return raw[:size]
        if kind != 1:
            raise TableError(offset, f"the block at {offset:,} is of kind {kind}, known are 0 and 1", "bad block type")
        self.compressed = True
        return unsnappy(raw[:size], offset)


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """A block handle (offset and size), and where it ends."""
    offset, at = _number(data, at)
    size, at = _number(data, at)
    return (offset, size), at


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise TableError(at, "a number of the table is damaged", "bad entry in block")


def _entries(block: bytes, offset: int) -> Iterator[tuple[bytes, bytes, int]]:
    """(key, value, offset of the value in the block); keys share the beginning of the one before."""
    if len(block) < 4:
        raise TableError(offset, f"the block at {offset:,} has {len(block)} bytes", "bad block contents")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise TableError(offset, f"the block at {offset:,} names {restarts:,} restarts", "bad block contents")
    key, at = b"", 0
    while at < end:
        shared, fresh, size = block[at : at + 3]
        if shared | fresh | size < 0x80:
            at += 3
        else:
            shared, at = _number(block, at)
            fresh, at = _number(block, at)
            size, at = _number(block, at)
        if shared > len(key) or at + fresh + size > end or shared + fresh > MAX_KEY_BYTES:
            raise TableError(offset, f"an entry of the block at {offset:,} does not fit into it", "bad entry in block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + size], at
        at += size


def unsnappy(data: bytes, offset: int = 0) -> bytes:
    """Snappy's block format undone (`format_description.txt` of google/snappy)."""
    wanted, at = _number(data, 0)
    if wanted > min(_SNAPPY_LIMIT, 64 + len(data) * 64):
        raise TableError(
            offset,
            f"a compressed block promises {wanted:,} bytes of {len(data):,}",
            "corrupted compressed block contents",
        )
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            size, at = _literal(data, at, tag >> 2)
            out += data[at : at + size]
            at += size
        else:
            size, back, at = _copy(data, at, tag)
            if back == 0 or back > len(out):
                raise TableError(
                    offset, "a compressed block copies from before its start", "corrupted compressed block contents"
                )
            _repeat(out, back, size)
        if len(out) > wanted:
            break
    if len(out) != wanted:
        raise TableError(
            offset, f"a compressed block gives {len(out):,} of {wanted:,} bytes", "corrupted compressed block contents"
        )
    return bytes(out)


def _literal(data: bytes, at: int, code: int) -> tuple[int, int]:
    """Length of a literal, and where its bytes begin."""
    if code < 60:
        return code + 1, at
    count = code - 59
    return int.from_bytes(data[at : at + count], "little") + 1, at + count


def _copy(data: bytes, at: int, tag: int) -> tuple[int, int, int]:
    """Length and distance of a copy, and where the next element begins."""
    if tag & 3 == 1:
        low = data[at] if at < len(data) else 0
        return ((tag >> 2) & 7) + 4, (tag >> 5) << 8 | low, at + 1
    count = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(data[at : at + count], "little"), at + count


def _repeat(out: bytearray, back: int, size: int) -> None:
    """Append `size` bytes that begin `back` bytes before the end; they may overlap."""
    piece = bytes(out[-back:])
    out += (piece * (size // back + 1))[:size]
