"""The Memory pane: what a run must have and wants, what is free and who says so, measured against predicted."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tui.core.text import bytes_size, printable
from tui.ui.render.lines import Line, line, span, wrapped

if TYPE_CHECKING:
    from tui.core.estimate import Available, Estimate

_STYLES = {"fits": "good", "fits_slowly": "warn", "tight": "warn", "exceeds": "bad", "refused": "bad"}
_HEIGHTS = "▁▂▃▄▅▆▇█"
_CURVE = 28
"""Columns of the curve of a load attempt."""


@dataclass
class Measured:
    """What a load attempt held, sample by sample, in bytes."""

    anonymous: list[int] = field(default_factory=list)
    file_backed: int = 0
    peak: int = 0
    running: bool = False

    def add(self, anonymous: int, file_backed: int) -> None:
        """One more sample."""
        self.anonymous.append(anonymous)
        self.file_backed = file_backed
        self.peak = max(self.peak, anonymous)
        self.running = True


def meter(made: Estimate | None, machine: Available | None, width: int, measured: Measured | None = None) -> list[Line]:
    """RAM and each device with bars and numbers; the run that is asked about on top."""
    if made is None or machine is None:
        return [line(span("memory to load and run is shown here", "dim"))]
    style = _STYLES.get(made.verdict, "dim")
    bar = max(width - 24, 4)
    rows = [
        line(span("RAM ", "head"), span(made.verdict.replace("_", " "), style), span(f"  as {made.dtype}", "dim")),
        _bar("must ", made.must, machine.ram, bar, style),
        _bar("wants", made.wants, machine.ram, bar, "dim"),
        line(span(f"free  {bytes_size(machine.ram)} of {bytes_size(machine.ram_total)}", "plain")),
        line(span(f"      {printable(machine.ram_source)}", "dim")),
    ]
    rows += _measured(made, measured)
    if made.shortfall:
        rows.append(line(span(f"short {bytes_size(made.shortfall)}", "bad")))
    rows += _devices(made, machine, width, bar)
    rows.append(_asked(made))
    rows += _parts(made, width)
    for text in made.advice[:3]:
        rows += wrapped(text, width, "plain", "try   ", "      ")
    for text in machine.notes[:2]:
        rows += wrapped(text, width, "dim", "note  ", "      ")
    return rows


def _asked(made: Estimate) -> Line:
    """The run that is asked about, with the keys that change it."""
    asked = made.scenario
    return line(
        span("run   ", "head"),
        span(f"{asked.context:,} tokens", "plain"),
        span(" +- ", "key"),
        span(f"batch {asked.batch}", "plain"),
        span(" b ", "key"),
        span(asked.dtype, "plain"),
        span(" t ", "key"),
        span(asked.device, "plain"),
        span(" v", "key"),
    )


def _parts(made: Estimate, width: int) -> list[Line]:
    """What the figure is made of; what is not known is said."""
    cache = bytes_size(made.kv_cache) if made.kv_cache is not None else "unknown"
    rows = [
        line(
            span(f"      weights {bytes_size(made.weights)}, base {bytes_size(made.base)} ({made.base_source})", "dim")
        ),
        line(
            span(f"      cache {cache}, logits {bytes_size(made.logits)}, work {bytes_size(made.activations)}", "dim")
        ),
    ]
    if made.kv_cache is None and made.kv_reason:
        rows += wrapped(made.kv_reason, width, "dim", "      ", "      ")
    for dtype, size in list(made.by_dtype.items())[:4]:
        rows.append(line(span(f"file  {dtype:<6} {bytes_size(size)}", "dim")))
    return rows


def _measured(made: Estimate, measured: Measured | None) -> list[Line]:
    """The curve of an attempt while it runs, and its peak against the prediction afterwards."""
    if measured is None or not measured.anonymous:
        return []
    rows = [line(span(f"curve {curve(measured.anonymous)}", "key"))]
    if measured.running:
        now = bytes_size(measured.anonymous[-1])
        rows.append(line(span(f"now   {now} anonymous, {bytes_size(measured.file_backed)} mapped", "key")))
        return rows
    if made.load_peak:
        off = (measured.peak - made.load_peak) * 100 / made.load_peak
        words = f"load  at most {bytes_size(measured.peak)}, predicted {bytes_size(made.load_peak)} ({off:+.1f} %)"
        rows.append(line(span(words, "key")))
    return rows


def curve(samples: list[int]) -> str:
    """Samples as a row of blocks, the largest of each stretch."""
    top = max(samples) or 1
    count = min(len(samples), _CURVE)
    edges = [place * len(samples) // count for place in range(count + 1)]
    tops = [max(samples[begin:end]) for begin, end in pairwise(edges)]
    return "".join(_HEIGHTS[min(part * len(_HEIGHTS) // top, len(_HEIGHTS) - 1)] for part in tops)


def _devices(made: Estimate, machine: Available, width: int, bar: int) -> list[Line]:
    """One line a device with its bar, and who else holds its memory; none is a sentence."""
    if not machine.devices:
        return wrapped(machine.devices_reason or "no GPU found", width, "dim", "GPU   ", "      ")
    placed = {part.device: part.bytes for part in made.placement}
    rows = []
    for index, device in enumerate(machine.devices):
        need = placed.get(f"cuda:{index}", made.device_total)
        rows.append(_bar(f"GPU{index} ", need, device.free, bar, "plain"))
        words = f"      {printable(device.name, 40)}: free {bytes_size(device.free)} of {bytes_size(device.total)}"
        rows.append(line(span(words, "dim")))
        held = sum(holder.bytes or 0 for holder in device.holders)
        if held:
            rows.append(line(span(f"      {len(device.holders)} processes hold {bytes_size(held)}", "dim")))
        if device.note:
            rows += wrapped(printable(device.note, 200), width, "dim", "      ", "      ")
    return rows


def _bar(label: str, need: int | None, free: int | None, width: int, style: str) -> Line:
    """A bar of need against what is free; unknown is said, not drawn."""
    if need is None or not free:
        return line(span(f"{label} {bytes_size(need)}", "dim"))
    share = min(need / free, 1.0)
    full = max(int(share * width), 1)
    over = "▶" if need > free else ""
    return line(
        span(f"{label} {bytes_size(need):>10} "),
        span("█" * full, style),
        span("░" * (width - full), "dim"),
        span(over, "bad"),
    )
