"""From words on the command line to checkpoints whose headers are read."""

from __future__ import annotations

from pathlib import Path

from tui.core.assemble import is_bundle_prefix
from tui.core.checkpoint import Checkpoint
from tui.core.diagnosis.make import python_command
from tui.core.hub_handles import Handle, explain, parse
from tui.core.scan import scan
from tui.core.text import shell
from tui.errors import UsageError
from tui.system.hub_cache import is_repository, snapshot, split_revision, stale_lock, tensorflow_module


def checkpoints(paths: list[str]) -> list[Checkpoint]:
    """Every checkpoint below the paths, headers read; raises `UsageError` where a path does not exist."""
    found: list[Checkpoint] = []
    for shown in paths:
        path = existing(shown)
        rows = [row.read() for row in scan(path, shown)]
        found.extend(rows or [_nothing(path, shown)])
    return found


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


def _nothing(path: Path, shown: str) -> Checkpoint:
    """A directory without any checkpoint, as a row of its own."""
    names: tuple[str, ...] = ()
    if path.is_dir():
        try:
            names = tuple(sorted(entry.name for entry in path.iterdir()))[:1000]
        except OSError:
            names = ()
    return Checkpoint(shown, path, "unknown", names=names)
