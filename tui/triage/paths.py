"""From words on the command line to checkpoints whose headers are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui.core.assemble import is_bundle_prefix
from tui.core.checkpoint import Checkpoint
from tui.core.diagnosis.make import python_command
from tui.core.hub_handles import Handle, explain, parse
from tui.core.scan import Found, scan
from tui.core.text import shell
from tui.errors import UsageError
from tui.system.hub_cache import is_repository, snapshot, split_revision, stale_lock, tensorflow_module


@dataclass(frozen=True)
class Nothing:
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
    return path if there or is_bundle_prefix(path) else _cached(shown)


def _cached(shown: str) -> Path:
    """The cached copy of a repository id or a TensorFlow Hub handle."""
    handle = parse(shown)
    if handle is not None:
        return _module(handle)
    name, revision = split_revision(shown)
    if not is_repository(shown):
        raise UsageError(f"no such path: {shown}", "check the spelling")
    place = snapshot(shown)
    if place is None:
        command = shell("hf", "download", name, *(("--revision", revision) if revision else ()))
        raise UsageError(f"no such path, and no {shown} in the hub cache", f"fetch it: {command}")
    return place


def _module(handle: Handle) -> Path:
    """The cached module of a TensorFlow Hub handle; else what its name tells and the command that fetches it."""
    place = tensorflow_module(handle)
    if place is not None:
        return place
    said = list(explain(handle))
    lock = stale_lock(handle)
    if lock is not None:
        said.append(f"a lock lies there, of a download that is running or that died: rm {shell(str(lock))}")
    if handle.framework:
        parts = [handle.publisher, handle.name, handle.framework, handle.variation, str(handle.version or 1)]
        fetch = python_command(f"import kagglehub; print(kagglehub.model_download('{'/'.join(parts)}'))")
    else:
        wait = "import socket; socket.setdefaulttimeout(10)"
        code = f"{wait}; import tensorflow_hub as hub; print(hub.resolve('{handle.url}'))"
        fetch = python_command(code)
    raise UsageError(
        f"{handle.text} is not in the local TensorFlow Hub cache", "\n".join([*said, f"fetch it: {fetch}"])
    )
