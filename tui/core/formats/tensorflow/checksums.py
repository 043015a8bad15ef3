"""The checksums that TensorFlow stores with its tensors and tables, compared byte by byte as a file is read through.

Mirrors `BundleWriter::Add`, `WriteStringTensor` (`tensorflow/core/util/tensor_bundle/tensor_bundle.cc`, 2.21): each
tensor of a bundle, and each slice of a partitioned variable, has a masked CRC-32C in the index. That of a string tensor
runs over the lengths as 32-bit numbers (64 where one is longer), their own checksum, and the bytes of all strings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from tui.core.formats.protobuf import WireError
from tui.core.formats.tensorflow import bundle
from tui.core.formats.tensorflow.crc32c import crc32c, masked
from tui.core.formats.tensorflow.table import Table, TableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.files import RegularFile

_STRING = 7
_VARIANT = 21
_RESOURCE = 20


@dataclass
class Stored:
    """The checksum of one stretch of a data shard."""

    name: str
    """Of the tensor; of a partitioned variable whose slice it is."""

    offset: int
    size: int
    crc: int
    """Masked, as the index has it."""

    strings: int | None = None
    """How many strings lie there, `None` for plain elements."""

    _state: int = 0
    _lengths: _Lengths | None = field(default=None, repr=False)

    def update(self, data: bytes) -> None:
        """The next bytes of the stretch."""
        if self.strings is None:
            self._state = crc32c(data, self._state)
            return
        if self._lengths is None:
            self._lengths = _Lengths(self.strings)
        rest = self._lengths.update(data)
        if rest:
            self._lengths.state = crc32c(rest, self._lengths.state)
            self._lengths.total -= len(rest)

    @property
    def matches(self) -> bool:
        """Whether what was read has the stored checksum."""
        if self.strings is None:
            return masked(self._state) == self.crc
        read = self._lengths or _Lengths(self.strings)
        return read.whole and read.total == 0 and masked(read.state) == self.crc

    @property
    def computed(self) -> int:
        """The masked checksum of what was read."""
        return masked(self._lengths.state if self._lengths is not None else self._state)


class _Lengths:
    """The lengths before the strings of a tensor, and their checksum; they may be cut anywhere between two pieces."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.state = 0
        self.total = 0
        self.whole = False
        self._part = b""

    def update(self, data: bytes) -> bytes:
        """Take lengths and their checksum from `data`; what is left of it are the strings' own bytes."""
        if self.whole:
            return data
        data = self._part + data
        at, numbers = 0, bytearray()
        while self.left:
            value, end = _number(data, at)
            if end == at:
                break
            numbers += value.to_bytes(4 if value < 1 << 32 else 8, "little")
            self.total += value
            self.left -= 1
            at = end
        self.state = crc32c(bytes(numbers), self.state)
        if not self.left and at + 4 <= len(data):
            stored = data[at : at + 4]
            if int.from_bytes(stored, "little") != masked(self.state):
                self.state ^= 1  # whatever follows, it does not match any more
            self.state = crc32c(stored, self.state)
            self.whole = True
            return data[at + 4 :]
        self._part = data[at:]
        return b""


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends, which is `at` itself where `data` ends before it; more than ten bytes are none."""
    value = 0
    for index in range(at, min(at + 10, len(data))):
        value |= (data[index] & 0x7F) << 7 * (index - at)
        if data[index] < 0x80:
            return value & (1 << 64) - 1, index + 1
    return 0, at


def of_shards(file: RegularFile) -> dict[str, list[Stored]]:
    """By the name of the data shard, the checksums that the index `file` has of it; empty where it cannot be read."""
    prefix = file.name.removesuffix(".index")
    try:
        index = bundle.read_index(file)
    except (TableError, WireError):
        return {}
    out: dict[str, list[Stored]] = {}
    for name, entry in [*index.entries.items(), *index.slices]:
        if entry.slices or entry.size == 0 or entry.dtype in (_VARIANT, _RESOURCE):
            continue
        strings = prod(entry.shape) if entry.dtype == _STRING else None
        if strings is not None and strings > entry.size:
            continue
        shard = bundle.shard_name(prefix, entry.shard, index.shards)
        out.setdefault(shard, []).append(Stored(name, entry.offset, entry.size, entry.crc, strings))
    return out


def broken_blocks(file: RegularFile) -> Iterator[tuple[str, int]]:
    """(what lies in it, offset) of every block of a table that does not match its checksum, however long the table."""
    try:
        table = Table(file, None)
        for key, offset, size in table.places():
            try:
                table.block(offset, size)
            except TableError as error:
                if "checksum" in error.words:
                    yield f"the block that ends with {bundle.tensor_of(key)}", offset
    except TableError as error:
        yield "the block of the table's own index", error.offset
