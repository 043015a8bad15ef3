"""Chunks of a Zarr array that is a directory: how many there should be, and how many bytes each, where that is known.

Of an array that nothing compresses every chunk has the bytes of its shape (Zarr 2; Zarr 3 with the codec `bytes`
alone); tensorstore 0.1.86 refuses any other size, and reads a chunk that is not there as the fill value.
"""

from __future__ import annotations

import os
import re
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.tensors import bytes_of
from tui.core.text import count_of, printable

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.tensors import Tensor

_CHUNK = re.compile(r"^(?:\d{1,20}(?:[./]\d{1,20})*|c(?:/\d{1,20})*|c)$")
_LARGEST = 1 << 62
_MOST = 1 << 47
"""Bytes that no machine gives to one array."""

MAX_CHUNKS = 1_000_000


def chunk_problems(place: Path, header: bytes, array: Tensor) -> list[Problem]:
    """What is wrong with the chunks of `array`, whose header `header` could be read."""
    value: Any = parse(header).value
    sides = _sides(value)
    if sides is None or len(sides) != len(array.shape) or 0 in sides or prod(sides) >= _LARGEST:
        words = f"its chunks are {printable(str(sides), 80)}, its shape is {list(array.shape)}"
        return [Problem("orbax-array-header", words, array.file, 0)]
    if array.nbytes > _MOST:
        return [Problem("orbax-array-header", f"its shape takes {array.nbytes:,} bytes", array.file, 0)]
    wanted = prod(-(-size // side) for size, side in zip(array.shape, sides, strict=True))
    size = bytes_of(array.dtype, sides) if _plain(value) else None
    found, wrong = _stored(place, size)
    problems: list[Problem] = []
    folder = os.path.dirname(array.file)
    if wrong:
        name, held = wrong[0]
        words = f"has {held:,} bytes, a chunk has {size:,} ({count_of(len(wrong), 'chunk')} in all)"
        problems.append(Problem("orbax-data-missing", words, f"{folder}/{name}", held))
    if found < min(wanted, MAX_CHUNKS):
        words = f"{wanted - found:,} of {count_of(wanted, 'chunk')} are not there"
        problems.append(Problem("orbax-chunks-missing", words, array.file, 0, fatal=False))
    return problems


def _sides(value: Any) -> tuple[int, ...] | None:
    """Elements of a chunk in each dimension, `None` where the header does not say so."""
    sides = value.get("chunks")
    grid = value.get("chunk_grid")
    if sides is None and isinstance(grid, dict) and isinstance(grid.get("configuration"), dict):
        sides = grid["configuration"].get("chunk_shape")
    if not isinstance(sides, list) or not all(type(side) is int and side >= 0 for side in sides):
        return None
    return tuple(sides)


def _plain(value: Any) -> bool:
    """Whether chunks are stored as they are."""
    codecs = value.get("codecs")
    if codecs is not None:
        return isinstance(codecs, list) and [isinstance(item, dict) and item.get("name") for item in codecs] == [
            "bytes"
        ]
    return value.get("compressor", "") is None and not value.get("filters")


def _stored(place: Path, size: int | None) -> tuple[int, list[tuple[str, int]]]:
    """(chunks that are there, those of another size with theirs)."""
    found = 0
    wrong: list[tuple[str, int]] = []
    for folder, _, names in os.walk(place):
        below = os.path.relpath(folder, place)
        for name in names:
            path = name if below == "." else f"{below}/{name}"
            if not _CHUNK.match(path) or found >= MAX_CHUNKS:
                continue
            found += 1
            held = os.lstat(os.path.join(folder, name)).st_size if size is not None else size
            if held is not None and held != size:
                wrong.append((path, held))
    return found, sorted(wrong)
