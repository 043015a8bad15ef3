"""The bytes that tensors, records or blobs lay claim to: which lie over one another, and what follows the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.problems import Problem
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

Extent = tuple[int, int, str]
"""First byte, bytes, name."""


def overlapping(extents: Iterable[Extent], *, shared: bool = True) -> list[Extent]:
    """Those that begin before another one ends, by their place.

    `shared` lets pass what lies on exactly the same bytes: that is how formats keep tied weights once.
    """
    out: list[Extent] = []
    start = end = 0
    for first, count, name in sorted(extent for extent in extents if extent[1] > 0):
        same = shared and (first, first + count) == (start, end)
        if first < end and not same:
            out.append((first, count, name))
        if first + count > end:
            start, end = first, first + count
    return out


def overlap_words(found: list[Extent], noun: str = "tensor") -> str:
    """What is wrong with those that `overlapping` found, as a sentence."""
    begin = "begins" if len(found) == 1 else "begin"
    shown = listing([printable(name, 80) for *_, name in found])
    return f"{count_of(len(found), noun)} {begin} before another one ends: {shown}"


def overlap_problems(file: str, found: list[Extent], noun: str = "tensor") -> list[Problem]:
    """The same as a problem of which no loader speaks, none where nothing was found."""
    if not found:
        return []
    return [Problem("tensors-overlap", overlap_words(found, noun), file, found[0][0], fatal=False)]


def trailing_problems(file: str, size: int, end: int) -> list[Problem]:
    """What is said of bytes from `end` on, nothing where the file ends there or before."""
    if size <= end:
        return []
    words = f"{count_of(size - end, 'byte')} follow the end of what the format describes, at byte {end:,}"
    return [Problem("bytes-after-end", words, file, end, fatal=False)]
