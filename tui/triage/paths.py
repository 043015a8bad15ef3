"""From words on the command line to checkpoints whose headers are read."""

from __future__ import annotations

from pathlib import Path

from tui.core.assemble import is_bundle_prefix
from tui.core.checkpoint import Checkpoint
from tui.core.record import Record
from tui.core.scan import Found, scan
from tui.errors import UsageError


class Nothing(Record, frozen=True):
    """A directory without any checkpoint, as a row of its own."""

    path: str
    location: Path

    def read(self) -> Checkpoint:
        """What lies in it instead."""
        names: tuple[str, ...] = ()
        if self.location.is_dir():
            try:
                names = tuple(sorted(entry.name for entry in self.location.iterdir()))[:1000]
            except OSError:
                names = ()
        return Checkpoint(self.path, self.location, "unknown", names=names)


def found_below(paths: list[str]) -> list[Found | Nothing]:
    """What a scan finds below the paths, not read yet; raises `UsageError` where a path does not exist."""
    found: list[Found | Nothing] = []
    for shown in paths:
        path = existing(shown)
        found.extend(list(scan(path, shown)) or [Nothing(shown, path)])
    return found


def checkpoints(paths: list[str]) -> list[Checkpoint]:
    """Every checkpoint below the paths, headers read; raises `UsageError` where a path does not exist."""
    return [row.read() for row in found_below(paths)]


def existing(shown: str) -> Path:
    """A path that is there, or the cached copy that a hub id or handle names; `UsageError` where there is neither."""
    path = Path(shown)
    try:
        there = path.exists() or path.is_symlink()
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown!r} is no usable path: {error}") from None
    if there or is_bundle_prefix(path):
        return path
    from tui.triage.cached import cached

    return cached(shown)
