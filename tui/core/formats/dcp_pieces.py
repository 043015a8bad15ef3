"""Pieces of tensors in the `.distcp` files of `torch.distributed.checkpoint`: where each lies, and what can be there.

Each piece is a file of `torch.save` in itself (`filesystem.py` 2.13, `_write_item`); its first bytes are looked at, no
more. What the reader (`default_planner.py`) lets pass is told and does not count as a refusal.
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, open_regular
from tui.core.formats.extents import Extent, overlap_problems, overlapping, trailing_problems
from tui.core.problems import Problem
from tui.core.record import Record
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tui.core.files import RegularFile

MAX_LOOKED_AT = 50_000
"""Pieces whose first bytes are read."""

_LARGEST = 1 << 47
"""Bytes that no machine gives to one tensor."""

_BEGINNINGS = (b"PK\x03\x04", b"\x80")
"""An archive of `torch.save`, and the pickles of its format before 1.6."""


class Piece(Record, frozen=True):
    """Where a piece lies."""

    path: str
    offset: int
    length: int
    name: str
    """Of the tensor, or of what else was saved."""

    plain: bool
    """Whether it was written as it is, not compressed."""


def damaged(file: RegularFile, pieces: Sequence[Piece]) -> Iterator[Problem]:
    """Pieces that lie over one another or begin as none does, and bytes after the last, file by file."""
    by_file: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_file.setdefault(piece.path, []).append(piece)
    left = MAX_LOOKED_AT
    for path, held in by_file.items():
        name = os.path.join(os.path.dirname(file.name), path)
        extents: list[Extent] = [(piece.offset, piece.length, piece.name) for piece in held]
        yield from overlap_problems(name, overlapping(extents, shared=False), "piece")
        try:
            with open_regular(file.path.parent / path, name) as data:
                yield from _strangers(data, held[:left])
                yield from trailing_problems(name, data.size, max(first + count for first, count, _ in extents))
        except FileProblem:
            continue  # told as missing
        left = max(left - len(held), 0)


def _strangers(data: RegularFile, held: list[Piece]) -> Iterator[Problem]:
    """Pieces at whose place no piece begins: the file is another model's, or damaged."""
    wrong = [
        piece for piece in held
        if piece.plain and 4 <= piece.length <= data.size - piece.offset
        and not data.read(piece.offset, 4).startswith(_BEGINNINGS)
    ]  # fmt: skip
    if wrong:
        first = " ".join(f"{byte:02x}" for byte in data.read(wrong[0].offset, 4))
        names = listing([printable(piece.name, 80) for piece in wrong])
        words = f"{count_of(len(wrong), 'piece')} of {len(held):,} do not begin as one does ({first}): {names}"
        error = ("CheckpointException", "CheckpointException ranks:dict_keys([0])")
        yield Problem("dist-shard-damaged", words, data.name, wrong[0].offset, loader_error=error)


Described = tuple[str, tuple[int, ...], int | None, list[tuple[int, ...]]]


def uncovered(file: str, tensors: Sequence[Described]) -> list[Problem]:
    """Tensors of (name, shape, bytes, shapes of the pieces) whose pieces are fewer or more than the whole."""
    unlike = [
        f"{printable(name, 80)} has {prod(shape):,} elements, its pieces {sum(prod(sizes) for sizes in pieces):,}"
        for name, shape, _, pieces in tensors
        if pieces and prod(shape) != sum(prod(sizes) for sizes in pieces)
    ]
    huge = [f"{printable(name, 80)} needs {size:,} bytes" for name, _, size, _ in tensors if size and size > _LARGEST]
    if huge:
        words = f"{count_of(len(huge), 'tensor')} larger than any memory: {huge[0]}"
        error = ("RuntimeError", "DefaultCPUAllocator: can't allocate memory")
        return [Problem("dist-shard-damaged", words, file, loader_error=error, detail=tuple(huge[1:5]))]
    if unlike:
        words = f"{count_of(len(unlike), 'tensor')} that the pieces do not make up: {unlike[0]}"
        return [Problem("dist-pieces-unlike", words, file, fatal=False, detail=tuple(unlike[1:5]))]
    return []
