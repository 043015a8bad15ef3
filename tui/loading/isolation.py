"""Shutting a child off from the user's files: whether the kernel can, what a child may read, and what held."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any

from tui.core.formats import WEIGHT_SUFFIXES
from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET = 444
_SET_DUMPABLE = 4


def can_isolate() -> bool:
    """Whether the kernel has Landlock, which the child applies to itself."""
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL(None, use_errno=True)
        version = library.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except (OSError, AttributeError):
        return False
    return int(version) >= 1


def protect_own_memory() -> None:
    """Make `/proc/PID/mem` of this process unreadable to children of the same user."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return


def places_of(path: str) -> list[str]:
    """The real place of a directory, and of the files in it that are links: a hub cache keeps them elsewhere."""
    out = [os.path.realpath(path)]
    try:
        with os.scandir(path) as entries:
            out += followed(entry.path for entry in entries if entry.is_symlink())
    except OSError:
        return out
    return list(dict.fromkeys(out))


_SYSTEM = ("/etc", "/proc", "/sys", "/dev", "/run", "/boot")
_TOKENS = frozenset({"token", "stored_tokens"})
"""What the hub's client keeps in its cache beside the models."""


def followed(links: Iterable[str]) -> list[str]:
    """The real files of a checkpoint's links that a child may read.

    Whoever made the checkpoint chose where its links lead, so directories are not opened by one, nor the system's own
    files, the hub's tokens, or what lies hidden in home (keys, passwords), its cache and weight files excepted.
    """
    home = os.path.realpath(os.path.expanduser("~"))
    targets = [os.path.realpath(link) for link in links]
    return [target for target in targets if os.path.isfile(target) and not _is_secret(target, home)]


def _is_secret(target: str, home: str) -> bool:
    if is_below(target, list(_SYSTEM)) or os.path.basename(target) in _TOKENS:
        return True
    if not is_below(target, [home]):
        return False
    first, *rest = os.path.relpath(target, home).split(os.sep)
    weights = target.lower().endswith(WEIGHT_SUFFIXES) or "blobs" in rest[:-1]
    return first.startswith(".") and first != ".cache" and not weights


def is_below(place: str, allowed: list[str]) -> bool:
    """Whether a real path lies in one of the places, or is one."""
    return any(place == root or place.startswith(root.rstrip(os.sep) + os.sep) for root in allowed)


def isolation_words(level: str, message: dict[str, Any]) -> str:
    """What the child can and cannot do, and why where a layer is missing."""
    layers = message.get("layers") or {}
    held = [name for name in ("landlock", "seccomp", "limits") if layers.get(name)]
    notes = printable("; ".join(str(note) for note in message.get("notes") or []))
    meaning = {
        "isolated": "cannot read your files, write, run programs or use the network",
        "partly isolated": "some layers are missing: it may read files that you can read",
        "not isolated": "runs as you",
    }.get(level, "")
    return f"{level} ({', '.join(held) or 'no layer'}): {meaning}{f' ({notes})' if notes else ''}"
