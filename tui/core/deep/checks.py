"""Stretches of a file that carry a checksum of their own: members of an archive, tensors of a TensorFlow bundle."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, RegularFile, open_regular
from tui.core.formats.protobuf import WireError
from tui.core.formats.tensorflow import bundle
from tui.core.formats.tensorflow.crc32c import crc32c, unmasked
from tui.core.formats.tensorflow.table import TableError
from tui.core.formats.zip_directory import ZipBroken, data_offset, list_members

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tui.core.checkpoint import FileReport

_ARCHIVES = ("torch_zip", "torchscript", "torch_export", "npz")
_OWN_SUMS = frozenset({7, 20, 21})
"""DT_STRING, DT_RESOURCE, DT_VARIANT: their checksum is not that of the bytes as they lie there."""


@dataclass(frozen=True)
class Stretch:
    """Bytes from `begin` to `end` whose checksum is known."""

    name: str
    begin: int
    end: int
    expected: int
    castagnoli: bool
    """crc32c instead of zip's crc32."""

    def add(self, value: int, data: memoryview) -> int:
        """The running checksum with further bytes."""
        return crc32c(data, value) if self.castagnoli else zlib.crc32(data, value)


def stretches(root: Path, report: FileReport, index: str | None, file: RegularFile) -> list[Stretch]:
    """In the order of the file, none over another; `index` is the bundle's index where the file is its shard."""
    found: list[Stretch] = []
    if report.format in _ARCHIVES:
        found = list(_members(file))
    elif index is not None:
        found = list(_tensors(root, index, file))
    out: list[Stretch] = []
    position = 0
    for item in sorted(found, key=lambda item: (item.begin, item.end)):
        if position <= item.begin < item.end <= file.size:
            position = item.end
            out.append(item)
    return out


def _members(file: RegularFile) -> Iterator[Stretch]:
    """Members of a zip that are stored plain."""
    try:
        members = list_members(file)
    except (ZipBroken, FileProblem):
        return
    for member in members:
        if member.method == 0:
            try:
                begin = data_offset(file, member)
            except (ZipBroken, FileProblem):
                continue
            yield Stretch(member.name, begin, begin + member.size, member.crc, False)


def _tensors(root: Path, index: str, file: RegularFile) -> Iterator[Stretch]:
    """Tensors of a bundle that lie whole in this shard."""
    try:
        with open_regular(root / index, index) as table:
            held = bundle.read_index(table)
    except (TableError, WireError, FileProblem):
        return
    prefix = index.removesuffix(".index")
    for name, entry in held.entries.items():
        here = bundle.shard_name(prefix, entry.shard, held.shards) == file.name
        if here and not entry.slices and entry.dtype not in _OWN_SUMS and entry.crc:
            yield Stretch(name, entry.offset, entry.offset + entry.size, unmasked(entry.crc), True)
