"""How far a file was read: enough to go on there in another run, as plain JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tui.core.deep.values import Look  # noqa: TC001  # msgspec reads the types

if TYPE_CHECKING:
    from tui.core.files import RegularFile

VERSION = 2


@dataclass
class Broken:
    """A stretch of a file whose checksum is not the one stored for it."""

    name: str
    offset: int
    stored: int
    computed: int
    castagnoli: bool


@dataclass
class Progress:
    """One file, read up to `offset`."""

    offset: int = 0
    sha256: str = ""
    """Set once the file was read to its end."""

    sha_count: int = 0
    sha_words: list[int] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    """By name the tensors that have begun."""

    crc: int = 0
    """Of the stretch with a checksum of its own that `offset` lies in."""

    broken: list[Broken] = field(default_factory=list)
    """Stretches whose checksum does not match."""

    checked: int = 0
    """Checksums of TensorFlow that were compared."""


class _Kept(msgspec.Struct):
    """A record as it is kept; types are checked when it is read."""

    version: int
    identity: list[int]
    progress: Progress


class Memory(Protocol):
    """Where records of interrupted runs are kept."""

    def load(self, identity: tuple[int, ...]) -> bytes | None:
        """The record of a file that has not changed since."""

    def save(self, identity: tuple[int, ...], record: bytes) -> None:
        """Keep a record in place of an earlier one."""


def restore(memory: Memory | None, file: RegularFile) -> Progress:
    """How far an earlier run came; a fresh one where there was none, or where its record does not fit."""
    record = memory.load(file.identity) if memory is not None else None
    if record is None:
        return Progress()
    try:
        kept = msgspec.json.decode(record, type=_Kept)
    except (msgspec.DecodeError, ValueError):
        return Progress()
    progress = kept.progress
    fits = kept.version == VERSION and tuple(kept.identity) == file.identity and 0 <= progress.offset <= file.size
    words = progress.sha_words
    sums = len(words) == 8 and all(0 <= word < 1 << 32 for word in words) and 0 <= progress.sha_count <= progress.offset
    whole = bool(progress.sha256) and progress.offset == file.size
    return progress if fits and (whole or (sums and not progress.sha256)) else Progress()


def keep(memory: Memory | None, file: RegularFile, progress: Progress) -> None:
    """Write the record."""
    if memory is not None:
        kept: Any = _Kept(VERSION, list(file.identity), progress)
        memory.save(file.identity, msgspec.json.encode(kept))
