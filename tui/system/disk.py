"""The file system that a path lies on: room for offloaded weights, and whether it is RAM."""

from __future__ import annotations

import os
from pathlib import Path

from tui.core.estimate import Place
from tui.core.text import printable
from tui.system.proc_files import text_of

_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"})


def probe(path: Path, root: Path = Path("/")) -> Place:
    """Free and total bytes there for this user; never raises."""
    try:
        status, device = os.statvfs(path), os.stat(path).st_dev
    except (OSError, ValueError) as error:
        return Place(reason=f"the file system is not known: {printable(str(error), 200)}")
    size = status.f_frsize
    return Place(status.f_bavail * size, status.f_blocks * size, kind_of(device, root) in _IN_MEMORY)


def kind_of(device: int, root: Path = Path("/")) -> str:
    """The type of the file system on a device (`ext4`, `tmpfs`, …), empty where unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 2 and fields[2] == wanted and kind:
            return kind[0]
    return ""
