"""Figures of one tensor's values, streamed from the file: extremes, mean, spread, and a small histogram."""

from __future__ import annotations

from math import lcm, prod, sqrt
from typing import TYPE_CHECKING, Any

from tui.core.files import FileProblem, open_regular
from tui.core.pace import Stopped
from tui.core.record import Record
from tui.core.relatives.entries import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.relatives.elements import Rows

BINS = 16
_PIECE = 1 << 20


class Statistics(Record, frozen=True):
    """What reading a tensor's values told; all but the counts are of its finite values."""

    name: str
    count: int = 0
    not_finite: int = 0
    zeros: int = 0
    least: float | None = None
    most: float | None = None
    mean: float | None = None
    deviation: float | None = None
    """Standard deviation over all finite values."""

    histogram: tuple[int, ...] = ()
    """How many values lie in each of `BINS` equal parts between the least and the most."""

    why: str = ""
    """Why there are none."""


def statistics(checkpoint: Checkpoint, name: str, stop: Callable[[], bool] = lambda: False) -> Statistics | None:
    """Read one tensor twice, for its extremes and then for its histogram; `None` where there is no such tensor."""
    from tui.core.relatives.elements import NotDecoded, Rows

    entry = next((entry for entry in entries(checkpoint) if entry.tensor.name == name), None)
    if entry is None:
        return None
    try:
        with open_regular(checkpoint.root / entry.tensor.file, entry.tensor.file) as file:
            return _read(Rows(file, entry), name, stop)
    except NotDecoded as reason:
        return Statistics(name, why=str(reason))
    except FileProblem as problem:
        return Statistics(name, why=problem.problem.message)


def _pieces(rows: Rows, stop: Callable[[], bool]) -> Iterator[Any]:
    """The elements in the order of the file; of complex ones their absolute value."""
    import numpy as np

    count, step = prod(rows.entry.shape), lcm(_PIECE, rows.group)
    for begin in range(0, count, step):
        if stop():
            raise Stopped
        values = rows.flat(begin, min(begin + step, count))
        yield np.abs(values) if np.iscomplexobj(values) else values


def _read(rows: Rows, name: str, stop: Callable[[], bool]) -> Statistics:
    import numpy as np

    count = odd = zeros = 0
    least, most, total = float("inf"), float("-inf"), 0.0
    for values in _pieces(rows, stop):
        finite = values[np.isfinite(values)]
        count, odd = count + len(values), odd + len(values) - len(finite)
        if len(finite):
            zeros += int(np.count_nonzero(finite == 0))
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
            total += float(finite.sum(dtype=np.float64))
    known = count - odd
    if not known:
        return Statistics(name, count, odd)
    mean, squares = total / known, 0.0
    bins: Any = np.zeros(BINS, np.int64)
    for values in _pieces(rows, stop):
        finite = values[np.isfinite(values)].astype(np.float64)
        squares += float(((finite - mean) ** 2).sum())
        if most > least:
            places = (finite - least) * (BINS / (most - least))
            bins += np.bincount(np.clip(places, 0, BINS - 1).astype(np.int64), minlength=BINS)
    histogram = tuple(int(number) for number in bins) if most > least else ()
    return Statistics(name, count, odd, zeros, least, most, mean, sqrt(squares / known), histogram)


BARS = "▁▂▃▄▅▆▇█"


def figures(found: Statistics) -> list[tuple[str, str]]:
    """(what it is, its value in words), for command line and screen."""
    if found.why:
        return [("values", found.why)]
    rows = [("elements", f"{found.count:,}")]
    if found.not_finite:
        rows.append(("not finite", f"{found.not_finite:,}"))
    rows.append(("zeros", f"{found.zeros:,}"))
    for title, value in (("least", found.least), ("most", found.most), ("mean", found.mean),
                         ("deviation", found.deviation)):  # fmt: skip
        if value is not None:
            rows.append((title, f"{value:.6g}"))
    if found.histogram:
        tallest = max(found.histogram)
        bars = (BARS[max(-(-number * len(BARS) // tallest) - 1, 0)] if number else " " for number in found.histogram)
        rows.append(("histogram", f"{found.least:.3g} |{''.join(bars)}| {found.most:.3g}"))
    return rows


def to_json(found: Statistics) -> dict[str, Any]:
    """The object that `inspect --json` adds under `statistics`."""
    return {
        "tensor": found.name,
        "elements": None if found.why else found.count,
        "not_finite": None if found.why else found.not_finite,
        "zeros": None if found.why else found.zeros,
        "least": found.least,
        "most": found.most,
        "mean": found.mean,
        "deviation": found.deviation,
        "histogram": list(found.histogram),
        "error": found.why or None,
    }
