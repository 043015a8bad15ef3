"""Arrays that Orbax writes without OCDBT: a directory each, with a `.zarray` of shape and dtype (Zarr 2) and chunks.

The chunks are compressed and are measured, not read. What an OCDBT holds lies in a database of tensorstore's own; its
arrays are not listed.
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, read_small
from tui.core.formats.numpy_dtypes import BadHeader, dtype_of
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.tensors import TORCH_DTYPES, Tensor, bytes_of
from tui.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ".zarray"
MAX_ARRAYS = 20_000
MAX_HEADER = 1 << 16


def read_arrays(root: Path, item: str) -> FileReport | None:
    """The arrays of one item of an Orbax checkpoint (empty for the directory itself), `None` where it has none."""
    place = root / item if item else root
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return None
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    size = 0
    for name in names[:MAX_ARRAYS]:
        if not os.path.lexists(place / name / HEADER):
            continue
        where = f"{item}/{name}/{HEADER}" if item else f"{name}/{HEADER}"
        try:
            tensors.append(_array(read_small(place / name / HEADER, where, MAX_HEADER), name, where))
        except FileProblem as problem:
            problems.append(problem.problem)
        except BadHeader as bad:
            problems.append(Problem("orbax-array-header", f"is no header of a Zarr array: {bad}", where, 0))
        size += _bytes_below(place / name)
    if not tensors and not problems:
        return None
    return FileReport(item or ".", "zarr", size, tuple(tensors), {}, tuple(problems))


def _array(data: bytes, name: str, where: str) -> Tensor:
    """Shape and dtype of one array; `BadHeader` where they are none."""
    document = parse(data)
    value: Any = document.value
    if document.error is not None or not isinstance(value, dict):
        raise BadHeader(document.error.message if document.error is not None else "it is no object")
    shape, dtype = value.get("shape"), value.get("dtype")
    if not isinstance(shape, list) or len(shape) > 64 or not all(type(side) is int and side >= 0 for side in shape):
        raise BadHeader(f"its shape is {printable(str(shape), 80)}")
    ours = TORCH_DTYPES.get(dtype) if isinstance(dtype, str) else None
    if ours is None:
        ours, _ = dtype_of(dtype)
    sides = tuple(shape)
    nbytes = bytes_of(ours, sides)
    return Tensor(name, ours, sides, prod(sides) if nbytes is None else nbytes, where)


def _bytes_below(place: Path) -> int:
    """Bytes of the chunks, which lie in one directory."""
    total = 0
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return total
    return total
