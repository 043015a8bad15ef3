"""RAM that a new process can really have: the least of the host's, of every cgroup above us, and of the job's limit."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from tui.core.record import Record
from tui.system import cgroups
from tui.system.proc_files import number, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEGABYTE = 1 << 20


class Ram(Record, frozen=True):
    """Available and total RAM in bytes; `None` where this system does not tell."""

    available: int | None
    total: int | None
    source: str
    """What sets the limit: `MemAvailable`, `cgroup v2 memory.max of job_7`, `SLURM_MEM_PER_NODE`, …"""

    swap_free: int | None = None
    overcommit: int | None = None
    """`vm.overcommit_memory`; `None` where unknown."""

    mappable: int | None = None
    """The largest private writable mapping that the kernel grants; `None` for no limit or unknown."""

    notes: tuple[str, ...] = ()
    """What was looked for and is not known, and why."""


def probe(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Ram:
    """Read the host's and the cgroups' figures below `root`; takes well under a millisecond."""
    info = _meminfo(root / "proc/meminfo")
    if not info:
        return _portable()
    available, total, source = info.get("MemAvailable"), info.get("MemTotal"), "MemAvailable"
    notes = [] if available is not None else ["MemAvailable: this kernel does not tell it"]
    limits = cgroups.limits(root)
    for limit in limits:
        if available is None or limit.free < available:
            available, source = limit.free, limit.name
            total = min(limit.total, total) if total is not None else limit.total
    if not limits:
        notes.append("no memory cgroup above this process sets a limit")
    job = _job_limit(os.environ if environment is None else environment)
    if job is not None and (available is None or job[0] < available):
        available, source = job
    overcommit = number(root / "proc/sys/vm/overcommit_memory")
    if overcommit is None:
        notes.append("vm.overcommit_memory: not readable, so the largest mapping is not known")
    return Ram(available, total, source, info.get("SwapFree"), overcommit, _mappable(info, overcommit), tuple(notes))


def _portable() -> Ram:
    """Other systems: what psutil tells."""
    import psutil

    memory = psutil.virtual_memory()
    return Ram(
        memory.available, memory.total, "psutil", psutil.swap_memory().free, notes=("there is no /proc/meminfo",)
    )


def _meminfo(path: Path) -> dict[str, int]:
    out: dict[str, int] = {}
    for line in text_of(path).splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isascii() and words[0].isdigit():
            out[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return out


def _job_limit(environment: Mapping[str, str]) -> tuple[int, str] | None:
    """SLURM's memory for this job on this node: enforced by polling where no cgroup does it. 0 means all."""
    node = _whole(environment.get("SLURM_MEM_PER_NODE"))
    if node:
        return node * _MEGABYTE, "SLURM_MEM_PER_NODE"
    each, cores = _whole(environment.get("SLURM_MEM_PER_CPU")), _whole(environment.get("SLURM_CPUS_ON_NODE"))
    if each and cores:
        return each * cores * _MEGABYTE, "SLURM_MEM_PER_CPU"
    return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _mappable(info: dict[str, int], overcommit: int | None) -> int | None:
    """The kernel's own test for a private writable mapping (mm/util.c, `__vm_enough_memory`), and `ulimit -v`, `-d`."""
    limits = [
        soft
        for soft, _ in (resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        if soft != resource.RLIM_INFINITY
    ]
    if overcommit == 0 and "MemTotal" in info:
        limits.append(info["MemTotal"] + info.get("SwapTotal", 0))
    if overcommit == 2 and "CommitLimit" in info:
        limits.append(max(info["CommitLimit"] - info.get("Committed_AS", 0), 0))
    return min(limits) if limits else None
