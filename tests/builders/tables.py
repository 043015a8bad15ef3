"""LevelDB tables, written as TensorFlow writes the index of a bundle and a V1 checkpoint, or as it never would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.formats.tensorflow.crc32c import crc32c
from tui.core.formats.tensorflow.table import MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_BLOCK = b"\0\0\0\0\1\0\0\0"


def masked(crc: int) -> int:
    """A checksum as LevelDB stores it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number: int) -> bytes:
    """A number of seven bits a byte."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def sealed(content: bytes, kind: int = 0) -> bytes:
    """A block with its type and its checksum."""
    body = content + bytes([kind])
    return body + masked(crc32c(body)).to_bytes(4, "little")


def block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block of whole keys: none is shortened by what it shares with the one before."""
    rows = (b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    return b"".join(rows) + EMPTY_BLOCK


def table(data: bytes, last_key: bytes = b"\xff") -> bytes:
    """A table of one data block."""
    out = sealed(data)
    meta = len(out)
    out += sealed(EMPTY_BLOCK)
    index = block([(last_key, varint(0) + varint(len(data)))])
    footer = varint(meta) + varint(len(EMPTY_BLOCK)) + varint(len(out)) + varint(len(index))
    return out + sealed(index) + footer.ljust(40, b"\0") + MAGIC


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message: bytes or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def first_version(tensors: dict[str, tuple[int, tuple[int, ...]]]) -> bytes:
    """The header block of a V1 checkpoint: by name TensorFlow's number of the dtype and the shape."""
    metas = b""
    for name, (dtype, shape) in tensors.items():
        whole = field(4, field(1, b"") * len(shape))
        metas += field(1, field(1, name.encode()) + field(2, _shape(shape)) + field(3, dtype) + whole)
    return block([(b"", field(1, metas))])


def _shape(shape: tuple[int, ...]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in shape)
