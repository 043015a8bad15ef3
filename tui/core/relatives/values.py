"""Values of two tensors held against each other in constant memory, and a fingerprint that no reordering changes."""

from __future__ import annotations

from math import inf, lcm, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tui.core.files import FileProblem
from tui.core.pace import Stopped
from tui.core.record import Record
from tui.core.relatives.elements import WHOLE, NotDecoded, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tui.core.files import KeptOpen
    from tui.core.relatives.entries import Entry

PIECE = 1 << 20
"""Elements of each side that are held at a time."""

_MIX = np.uint64(0x9E3779B97F4A7C15)


class Compared(Record, frozen=True):
    """What reading two tensors told."""

    equal: bool | None
    """Whether every element is the same; `None` where they could not be compared."""

    largest: float | None = None
    """The largest absolute difference; infinite where one side is not finite and the other is."""

    why: str = ""
    """Why they could not be compared."""


def compare(
    first: tuple[KeptOpen, Entry],
    second: tuple[KeptOpen, Entry],
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> Compared:
    """Each side is (files, tensor), both of one compared shape; `progress` is told of bytes read."""
    (here, one), (there, other) = first, second
    if one.shape != other.shape:
        return Compared(None, why="the shapes differ")
    if stop():
        raise Stopped
    if here.root == there.root and one == other:  # the same stretch of the same file
        progress(2 * one.tensor.nbytes)
        return Compared(True, 0.0)
    try:
        rows = Rows(here.file(one.tensor.file), one), Rows(there.file(other.tensor.file), other)
        return _compare(*rows, stop, progress)
    except NotDecoded as reason:
        return Compared(None, why=str(reason))
    except FileProblem as problem:
        return Compared(None, why=problem.problem.message)


def _compare(first: Rows, second: Rows, stop: Callable[[], bool], progress: Callable[[int], None]) -> Compared:
    """Front to back where both lie in the same order, else by rows."""
    shape = first.entry.shape
    if first.is_flat and second.is_flat:
        count, step = prod(shape), lcm(PIECE, first.group, second.group)
        same_bytes = first.entry.is_plain and second.entry.is_plain and _alike(first.entry, second.entry)
    else:
        inner, heads = prod(shape[1:]), max(first.entry.heads, second.entry.heads)
        if inner * max(first.width, second.width) > WHOLE:
            raise NotDecoded("its elements lie in another order, and a row is too large to be turned")
        unit = shape[0] // heads if heads else 1
        count, step, same_bytes = shape[0], max(PIECE // max(inner, 1) // unit, 1) * unit, False
    largest, equal = 0.0, True
    size = first.entry.tensor.nbytes + second.entry.tensor.nbytes
    for begin in range(0, count, step):
        if stop():
            raise Stopped
        end = min(begin + step, count)
        progress(size * end // count - size * begin // count)
        if same_bytes and first.raw(begin, end) == second.raw(begin, end):
            continue
        if first.is_flat and second.is_flat:
            one, other = first.flat(begin, end), second.flat(begin, end)
        else:
            one, other = first.rows(begin, end), second.rows(begin, end)
        piece = _largest(one, other)
        equal = equal and piece == 0.0 and not same_bytes
        largest = max(largest, piece)
    return Compared(equal, largest)


def _alike(one: Entry, other: Entry) -> bool:
    return one.tensor.dtype == other.tensor.dtype and one.order == other.order


def _largest(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest absolute difference; what is the same, also where it is infinite or undefined, differs by nothing."""
    if one.dtype != other.dtype:
        wide = np.result_type(one.dtype, other.dtype)
        one, other = one.astype(wide), other.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(one - other)
        gap[(one == other) | ((one != one) & (other != other))] = 0
    if not gap.size:
        return 0.0
    worst = float(gap.max())
    return worst if worst == worst else inf


def fingerprint(place: KeptOpen, entry: Entry, stop: Callable[[], bool] = lambda: False) -> str | None:
    """A digest of the elements' bytes that is the same in any order; `None` where they cannot be read."""
    try:
        rows = Rows(place.file(entry.tensor.file), entry)
        if rows.group != 1 or rows.width > 8:
            return None
        return _fingerprint(rows, stop)
    except (NotDecoded, FileProblem):
        return None


def _fingerprint(rows: Rows, stop: Callable[[], bool]) -> str:
    plain = total = np.uint64(0)
    count = prod(rows.entry.shape)
    form = f"{rows.entry.order}u{rows.width}"
    for begin in range(0, count, PIECE):
        if stop():
            raise Stopped
        words = np.frombuffer(rows.raw(begin, min(begin + PIECE, count)), form).astype(np.uint64)
        with np.errstate(over="ignore"):
            mixed = words * _MIX
            mixed ^= mixed >> np.uint64(29)
            mixed *= _MIX
            mixed ^= mixed >> np.uint64(32)
            plain += words.sum(dtype=np.uint64)
            total += mixed.sum(dtype=np.uint64)
    return f"{int(plain):x}.{int(total):x}"
