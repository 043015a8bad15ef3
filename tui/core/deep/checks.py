"""Stretches of a file that carry a checksum of their own: members of an archive, tensors of a TensorFlow bundle."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, RegularFile, open_regular
from tui.core.formats.tensorflow import checksums
from tui.core.formats.tensorflow.crc32c import crc32c, unmasked
from tui.core.formats.zip_directory import ZipBroken, data_offset, list_members
from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tui.core.checkpoint import FileReport
    from tui.core.formats.tensorflow.checksums import Stored

_ARCHIVES = ("torch_zip", "torchscript", "torch_export", "npz")
_TABLES = ("tensor_bundle", "tensorflow_v1")


class Stretch(Record, frozen=True):
    """Bytes from `begin` to `end` whose checksum is known."""

    name: str
    begin: int
    end: int
    expected: int
    castagnoli: bool
    """crc32c instead of zip's crc32."""

    strings: Stored | None = None
    """What reads the strings of a tensor, whose checksum is not that of the bytes as they lie there."""

    def add(self, value: int, data: memoryview) -> int:
        """The running checksum with further bytes."""
        if self.strings is not None:
            self.strings.update(bytes(data))
            return unmasked(self.strings.computed)
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
    """Tensors and slices of a bundle that lie in this shard."""
    try:
        with open_regular(root / index, index) as table:
            held = checksums.of_shards(table)
    except FileProblem:
        return
    for item in held.get(file.name, []):
        strings = item if item.strings is not None else None
        yield Stretch(item.name, item.offset, item.offset + item.size, unmasked(item.crc), True, strings)


def broken_blocks(report: FileReport, file: RegularFile) -> tuple[tuple[str, int, str], ...]:
    """(what lies in it, offset, nothing) of every block of TensorFlow's tables that does not match its checksum."""
    if report.format not in _TABLES or report.fatal is not None:
        return ()
    return tuple((words, place, "") for words, place in checksums.broken_blocks(file))
