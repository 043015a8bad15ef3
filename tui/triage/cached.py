"""Copies in the local caches, by the id of a repository or the handle of a TensorFlow Hub module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.make import python_command
from tui.core.hub_handles import Handle, explain, parse
from tui.core.text import shell
from tui.errors import UsageError
from tui.system.hub_cache import is_repository, snapshot, split_revision, stale_lock, tensorflow_module

if TYPE_CHECKING:
    from pathlib import Path


def cached(shown: str) -> Path:
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
