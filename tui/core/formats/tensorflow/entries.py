"""Entries of a tensor bundle's index: dtype, shape, and where the bytes lie (`BundleEntryProto`).

Mirrors `tensorflow/core/protobuf/tensor_bundle.proto` (2.21). A model has few dtypes and shapes: what TensorFlow's
writer puts before the place is read once, and found again by its bytes. An entry of any other form is read field by
field.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import msgspec

from tui.core.formats.protobuf import BYTES, FIXED32, VARINT, Source, WireError, fields, signed, varint
from tui.core.formats.tensorflow import dtypes, messages

_MAX_KINDS = 4096
_FIELDS = {1: "dtype", 3: "shard", 4: "offset", 5: "size"}


class Entry(msgspec.Struct, gc=False):
    """One tensor of the index."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: int = 0


class _Kind(NamedTuple):
    """Entries of one dtype and shape."""

    dtype: int
    shape: tuple[int, ...]
    size: int
    """Bytes that the shape takes."""

    sized: bytes
    """The field `size` that says so; empty for none."""


class Entries:
    """Reads the entries of one index."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, _Kind | None] = {}
        """By the bytes of dtype and shape what they say; `None` for those that are read again each time."""

    def read(self, value: bytes, at: int) -> Entry:
        """An entry at byte `at`; `WireError` where it is none, or a number in it is negative."""
        end = 4 + value[3] if len(value) > 3 else 0
        start = value[:end]
        kinds = self._kinds
        kind = kinds[start] if start in kinds else self._learn(start)
        return (kind and _placed(kind, value, end)) or _entry(Source(value), at)

    def _learn(self, start: bytes) -> _Kind | None:
        """What the beginning of an entry says, kept for others that begin with the same."""
        kind = _kind(start)
        if len(self._kinds) < _MAX_KINDS:
            self._kinds[start] = kind
        return kind


def _kind(start: bytes) -> _Kind | None:
    """Dtype and shape from whole fields that say nothing else."""
    try:
        entry = _entry(Source(start), 0)
    except WireError:
        return None
    item = dtypes.ITEM_SIZES.get(entry.dtype)
    if item is None or entry != Entry(entry.dtype, entry.shape):
        return None
    size = prod(entry.shape) * item
    return _Kind(entry.dtype, entry.shape, size, b"\x28" + varint(size) if size else b"")


def _placed(kind: _Kind, value: bytes, at: int) -> Entry | None:
    """Shard, offset, size and checksum from `at` on; `None` where anything else is there, or another size."""
    shard = offset = byte = 0
    try:
        if value[at] == 0x18:
            shard = value[at + 1]
            at += 2
        if value[at] == 0x20:
            byte, shift = value[at + 1], 7
            offset = byte & 0x7F
            at += 2
            while byte >= 0x80 and shift < 63:
                byte = value[at]
                offset |= (byte & 0x7F) << shift
                shift += 7
                at += 1
        crc = at + len(kind.sized)
        if shard | byte >= 0x80 or value[crc] != 0x35 or len(value) - crc != 5 or not value.startswith(kind.sized, at):
            return None
    except IndexError:
        return None
    return Entry(kind.dtype, kind.shape, shard, offset, kind.size, int.from_bytes(value[-4:], "little"))


def _entry(source: Source, at: int) -> Entry:
    """An entry field by field."""
    entry = Entry()
    for number, kind, value, stop in fields(source, 0, source.size):
        if kind == VARINT and number in _FIELDS:
            if signed(value) < 0:
                raise WireError(at, f"an entry at byte {at:,} has a negative {_FIELDS[number]}")
            setattr(entry, _FIELDS[number], value)
        elif number == 2 and kind == BYTES:
            sizes = messages.shape(source, value, stop)
            entry.shape = tuple(size or 0 for size in sizes or [])
        elif number == 6 and kind == FIXED32:
            entry.crc = value
        elif number == 7 and kind == BYTES:
            entry.slices += 1
    return entry
