"""Limits of the memory cgroups above this process, version 1 and 2, as this process sees them mounted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tui.core.record import Record
from tui.system.proc_files import number, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNLIMITED = 1 << 60
"""Version 1 says 2^63 rounded to a page where there is no limit."""

_DEEPEST = 64


class Limit(Record, frozen=True):
    """What one cgroup leaves: bytes still free under its limit, pages that can be dropped counted as free."""

    free: int
    total: int
    name: str
    """`cgroup v2 memory.max`, with the group's name where it is not the mount's root."""


class _Mount(Record, frozen=True):
    """One mounted hierarchy: the group that is its root, where it is mounted, and its version."""

    root: str
    place: Path
    version: int


def limits(root: Path) -> list[Limit]:
    """Every limit of every ancestor, nearest first; empty where there is no memory cgroup."""
    found: list[Limit] = []
    paths = _paths(root)
    for mount in _mounts(root):
        path = paths.get(mount.version)
        if path is not None:
            for group in _ancestors(mount, path):
                found.extend(_version_2(group, mount) if mount.version == 2 else _version_1(group, mount))
    return found


def _paths(root: Path) -> dict[int, str]:
    """This process's group in each version, from `/proc/self/cgroup`."""
    out: dict[int, str] = {}
    for line in text_of(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[1] == "":
            out[2] = parts[2]
        elif len(parts) == 3 and "memory" in parts[1].split(","):
            out[1] = parts[2]
    return out


@lru_cache(maxsize=64)
def _mounts(root: Path) -> tuple[_Mount, ...]:
    """Mounted hierarchies from mountinfo, read once; the usual places where it cannot be read."""
    found: list[_Mount] = []
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        before, dash, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if not dash or len(fields) < 5 or len(kind) < 3:
            continue
        place = root / _unescaped(fields[4]).lstrip("/")
        if kind[0] == "cgroup2":
            found.append(_Mount(_unescaped(fields[3]), place, 2))
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            found.append(_Mount(_unescaped(fields[3]), place, 1))
    if found:
        return tuple(found)
    usual = root / "sys/fs/cgroup"
    return _Mount("/", usual, 2), _Mount("/", usual / "unified", 2), _Mount("/", usual / "memory", 1)


def _unescaped(text: str) -> str:
    """mountinfo writes blanks as `\\040`."""
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _ancestors(mount: _Mount, path: str) -> Iterator[Path]:
    """Directories from this process's group up to the mount's root; the root alone where the group lies outside."""
    below = path.removeprefix(mount.root.rstrip("/")).strip("/") if _is_below(path, mount.root) else ""
    pieces = [piece for piece in below.split("/") if piece]
    if ".." in pieces:
        pieces = []
    for depth in range(len(pieces), max(len(pieces) - _DEEPEST, -1), -1):
        yield mount.place.joinpath(*pieces[:depth])


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _version_2(group: Path, mount: _Mount) -> Iterator[Limit]:
    used = number(group / "memory.current")
    if used is None:
        return
    dropped = _stat(group / "memory.stat", ("inactive_file", "active_file", "slab_reclaimable"))
    for name in ("memory.max", "memory.high"):
        limit = number(group / name)
        if limit is not None and 0 <= limit < UNLIMITED:
            yield Limit(max(limit - used + dropped, 0), limit, _named(f"cgroup v2 {name}", group, mount))


def _version_1(group: Path, mount: _Mount) -> Iterator[Limit]:
    limit, used = number(group / "memory.limit_in_bytes"), number(group / "memory.usage_in_bytes")
    if limit is None or used is None or not 0 <= limit < UNLIMITED:
        return
    dropped = _stat(group / "memory.stat", ("total_inactive_file", "total_active_file"))
    yield Limit(max(limit - used + dropped, 0), limit, _named("cgroup v1 memory.limit_in_bytes", group, mount))


def _named(limit: str, group: Path, mount: _Mount) -> str:
    return limit if group == mount.place else f"{limit} of {group.name}"


def _stat(path: Path, names: tuple[str, ...]) -> int:
    """Sum of some counters of `memory.stat`."""
    values = dict(line.split(" ", 1) for line in text_of(path).splitlines() if " " in line)
    return sum(int(values[name]) for name in names if values.get(name, "").isascii() and values.get(name, "").isdigit())
