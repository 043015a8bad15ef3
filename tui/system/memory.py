"""RAM that a new process can really have: the least of the host's and of every cgroup above us."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Ram:
    """Available and total RAM in bytes; `None` where this system does not tell."""

    available: int | None
    total: int | None
    source: str
    """What sets the limit: `MemAvailable`, `cgroup v2 memory.max`, …"""

    swap_free: int | None = None
    overcommit: int | None = None
    """`vm.overcommit_memory`; `None` where unknown."""

    mappable: int | None = None
    """The largest private writable mapping that the kernel grants; `None` for no limit or unknown."""


def probe(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Ram:
    """Read the host's and the cgroups' figures; takes well under a millisecond."""
    info = _meminfo(proc / "meminfo")
    if not info:
        return _portable()
    available, source = info.get("MemAvailable"), "MemAvailable"
    for limit, name in _cgroup_limits(proc, cgroups):
        if available is None or limit < available:
            available, source = limit, name
    swap = info.get("SwapFree", 0)
    overcommit = _number(proc / "sys/vm/overcommit_memory")
    total = info.get("MemTotal")
    return Ram(available, total, source, swap, overcommit, _mappable(info, overcommit))


def _portable() -> Ram:
    """Other systems: what psutil tells."""
    import psutil

    memory = psutil.virtual_memory()
    return Ram(memory.available, memory.total, "psutil", psutil.swap_memory().free)


def _meminfo(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return {}
    out: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            out[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return out


def _number(path: Path) -> int | None:
    try:
        text = path.read_text("ascii", "replace").strip()
    except OSError:
        return None
    return int(text) if text.lstrip("-").isdigit() else None


def _mappable(info: dict[str, int], overcommit: int | None) -> int | None:
    """The kernel's own test for a private writable mapping (mm/util.c, `__vm_enough_memory`), and `ulimit -v`."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    limits = [] if soft == resource.RLIM_INFINITY else [soft]
    if overcommit == 0 and "MemTotal" in info:
        limits.append(info["MemTotal"] + info.get("SwapTotal", 0))
    if overcommit == 2 and "CommitLimit" in info:
        limits.append(max(info["CommitLimit"] - info.get("Committed_AS", 0), 0))
    return min(limits) if limits else None


def _cgroup_limits(proc: Path, cgroups: Path) -> list[tuple[int, str]]:
    """(bytes still free, name of the limit) for every ancestor cgroup that has one."""
    out: list[tuple[int, str]] = []
    try:
        lines = (proc / "self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return out
    for line in lines:
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        _, controllers, path = parts
        if controllers == "":
            out.extend(_walk(cgroups, path, _v2))
            out.extend(_walk(cgroups / "unified", path, _v2))
        elif "memory" in controllers.split(","):
            out.extend(_walk(cgroups / "memory", path, _v1))
    return out


def _walk(root: Path, path: str, read: Callable[[Path], list[tuple[int, str]]]) -> list[tuple[int, str]]:
    out: list[tuple[int, str]] = []
    here = root / path.strip("/")
    for _ in range(64):
        found = read(here)
        out.extend(found)
        if here == root or root not in here.parents:
            break
        here = here.parent
    return out


def _v2(place: Path) -> list[tuple[int, str]]:
    used = _number(place / "memory.current")
    if used is None:
        return []
    reclaimable = _stat(place / "memory.stat", ("inactive_file", "active_file"))
    out: list[tuple[int, str]] = []
    for name in ("memory.max", "memory.high"):
        limit = _number(place / name)
        if limit is not None and limit < _UNLIMITED:
            out.append((max(limit - used + reclaimable, 0), f"cgroup v2 {name}"))
    return out


def _v1(place: Path) -> list[tuple[int, str]]:
    limit, used = _number(place / "memory.limit_in_bytes"), _number(place / "memory.usage_in_bytes")
    if limit is None or used is None or limit >= _UNLIMITED:
        return []
    reclaimable = _stat(place / "memory.stat", ("total_inactive_file", "total_active_file"))
    return [(max(limit - used + reclaimable, 0), "cgroup v1 memory.limit_in_bytes")]


def _stat(path: Path, names: tuple[str, ...]) -> int:
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    values = dict(line.split(" ", 1) for line in lines if " " in line)
    return sum(int(values[name]) for name in names if values.get(name, "").isdigit())
