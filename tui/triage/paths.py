"""From words on the command line to checkpoints whose headers are read."""

from __future__ import annotations

from pathlib import Path

from tui.core.checkpoint import Checkpoint
from tui.core.scan import scan
from tui.errors import UsageError


def checkpoints(paths: list[str]) -> list[Checkpoint]:
    """Every checkpoint below the paths, headers read; raises `UsageError` where a path does not exist."""
    found: list[Checkpoint] = []
    for shown in paths:
        path = existing(shown)
        rows = [row.read() for row in scan(path, shown)]
        found.extend(rows or [_nothing(path, shown)])
    return found


def existing(shown: str) -> Path:
    """A path that is there, or `UsageError`."""
    path = Path(shown)
    try:
        there = path.exists() or path.is_symlink()
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown!r} is no usable path: {error}") from None
    if not there:
        raise UsageError(
            f"no such path: {shown}", "check the spelling; a name in the hub cache is looked up in a later release"
        )
    return path


def _nothing(path: Path, shown: str) -> Checkpoint:
    """A directory without any checkpoint, as a row of its own."""
    names: tuple[str, ...] = ()
    if path.is_dir():
        try:
            names = tuple(sorted(entry.name for entry in path.iterdir()))[:1000]
        except OSError:
            names = ()
    return Checkpoint(shown, path, "unknown", names=names)
