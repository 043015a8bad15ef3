"""The index of a git repository: the path and object name of every file of the checked-out revision.

Mirrors git's `Documentation/gitformat-index.adoc`, versions 2 to 4, object names of SHA-1. What is damaged ends the
list; nothing is raised.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, read_small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 256 << 20
_FIXED = 62


def entries(git: Path) -> Iterator[tuple[str, bytes]]:
    """(path below the working tree, SHA-1) of every entry; none where there is no index that can be read."""
    try:
        data = read_small(git / "index", "index", MAX_BYTES)
    except FileProblem:
        return
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    if data[:4] != b"DIRC" or version not in (2, 3, 4):
        return
    place, name = 12, b""
    for _ in range(min(count, len(data) // _FIXED)):
        begin = place
        digest, flags = data[begin + 40 : begin + 60], int.from_bytes(data[begin + 60 : begin + 62], "big")
        place = begin + _FIXED + (2 if version > 2 and flags & 0x4000 else 0)
        stripped = 0
        if version == 4:
            stripped, place = _offset(data, place)
        end = data.find(b"\0", place)
        if end < 0 or stripped > len(name) or end - place > 1 << 16:
            return
        name = (name[: len(name) - stripped] if version == 4 else b"") + data[place:end]
        place = end + 1 if version == 4 else begin + (end - begin + 8) // 8 * 8
        path = os.fsdecode(name)
        if path and not path.startswith("/") and ".." not in path.split("/"):
            yield path, digest


def _offset(data: bytes, place: int) -> tuple[int, int]:
    """A number as git's pack format writes offsets, and where it ends."""
    value = -1
    while place < len(data) and value < 1 << 32:
        byte = data[place]
        value = (value + 1) << 7 | byte & 0x7F
        place += 1
        if not byte & 0x80:
            break
    return max(value, 0), place
