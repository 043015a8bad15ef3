"""The resource meter: what is needed against what is free, for the run that is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.text import bytes_size, printable
from tui.ui.render.lines import Line, line, span, wrapped

if TYPE_CHECKING:
    from tui.core.estimate import Available, Device, Estimate
    from tui.triage.meter import Measured

_STYLES = {"fits": "good", "fits_slowly": "warn", "tight": "warn", "exceeds": "bad", "refused": "bad"}
_NARROW, _WIDE = 48, 72
KEYS = "t dtype   + - context   b B batch   v device   m measure the base"


def meter(
    made: Estimate | None,
    machine: Available | None,
    width: int,
    now: tuple[int, int] | None = None,
    ended: Measured | None = None,
) -> list[Line]:
    """RAM that it must have and wants, what is free and who says so, each GPU, and what a load attempt took."""
    if made is None or machine is None:
        return [line(span("memory to load and run is shown here", "dim"))]
    style = _STYLES.get(made.verdict, "dim")
    asked = made.scenario
    tokens = f"{asked.context:,} tokens" if width >= _NARROW else f"{asked.context:,}"
    words = f"  {'as ' if width >= _NARROW else ''}{made.dtype}, {tokens} × {asked.batch}, {asked.device}"
    verdict = made.verdict.replace("_", " ")
    bar = max(width - 24, 4)
    on_cpu = asked.device == "cpu"
    rows = [
        line(span("RAM " if on_cpu else "GPU ", "head"), span(verdict, style), span(words, "dim")),
        _bar("must ", made.must, made.high, machine.ram, bar, style if on_cpu else "plain"),
        _bar("wants", made.wants, None, machine.ram, bar, "dim"),
        line(span(f"free  {bytes_size(machine.ram)} of {bytes_size(machine.ram_total)}", "plain")),
        line(span(f"      {printable(machine.ram_source)}", "dim")),
    ]
    rows += _measured(now, ended)
    if made.shortfall:
        rows.append(line(span(f"short {bytes_size(made.shortfall)}", "bad")))
    rows += _devices(made, machine, width, bar, "plain" if on_cpu else style)
    rows += _parts(made, width)
    for text in made.advice[:3]:
        rows += wrapped(text, width, "plain", "try   ", "      ")
    rows += wrapped(KEYS, width, "dim", "keys  ", "      ")
    return rows


def _measured(now: tuple[int, int] | None, ended: Measured | None) -> list[Line]:
    """What the running attempt holds, or what the last one took beside its prediction."""
    if now is not None:
        return [line(span(f"now   {bytes_size(now[0])} anonymous, {bytes_size(now[1])} mapped", "key"))]
    if ended is None:
        return []
    words = f"load  predicted {bytes_size(ended.predicted)}, measured {bytes_size(ended.measured)}"
    if ended.predicted is not None and ended.measured:
        words += f" ({100 * (ended.predicted - ended.measured) / ended.measured:+.1f} %)"
    return [line(span(words, "key"))]


def _devices(made: Estimate, machine: Available, width: int, bar: int, style: str) -> list[Line]:
    """A line a device where there is room for one, else two; why there are none."""
    if not machine.devices:
        return wrapped(machine.devices_reason or "no GPU found", width, "dim", "GPU   ", "      ")
    rows: list[Line] = []
    placed = {part.device: part.bytes for part in made.placement}
    for index, device in enumerate(machine.devices):
        need = placed.get(f"cuda:{index}", 0) if placed else made.device_total
        high = None if placed else made.device_high
        words = _device(device)
        if width >= _WIDE:
            drawn = _bar(f"GPU{index} ", need, high, device.free, max(bar - len(words) - 2, 8), style)
            rows.append(Line((*drawn.spans, span(f"  {words}", "dim"))))
        else:
            rows.append(_bar(f"GPU{index} ", need, high, device.free, bar, style))
            rows += wrapped(words, width, "dim", "      ", "      ")
    for name in ("cpu", "disk"):
        if placed.get(name):
            rows.append(line(span(f"{name:<5} {bytes_size(placed[name])} of the weights", "warn")))
    return rows


def _device(device: Device) -> str:
    words = f"{printable(device.name)}: free {bytes_size(device.free)} of {bytes_size(device.total)}"
    if device.note:
        words += f", {printable(device.note)}"
    if device.holders:
        words += f", pid {device.holders[0].pid} holds {bytes_size(device.holders[0].bytes)}"
    return words


def _parts(made: Estimate, width: int) -> list[Line]:
    """What the sums are made of, and what is left out."""
    rows = [
        line(span(f"file  {dtype:<6} {bytes_size(size)}", "dim")) for dtype, size in list(made.by_dtype.items())[:4]
    ]
    if made.weights is not None:
        rule = f"weights {bytes_size(made.weights)}, {made.rule or 'not loaded as a model'}"
        rows += wrapped(rule, width, "dim", "load  ", "      ")
        run = (
            f"cache {bytes_size(made.kv_cache)}, logits {bytes_size(made.logits)}, work {bytes_size(made.activations)}"
        )
        rows += wrapped(run, width, "dim", "run   ", "      ")
        rows.append(line(span(f"base  {bytes_size(made.base)}, {made.base_source}", "dim")))
    for text in made.not_modelled[:2]:
        if text not in made.advice:
            rows += wrapped(text, width, "dim", "note  ", "      ")
    return rows


def _bar(label: str, need: int | None, high: int | None, free: int | None, width: int, style: str) -> Line:
    """A bar of need against what is free, its uncertain end lighter; unknown is said, not drawn."""
    if need is None or not free:
        return line(span(f"{label} {bytes_size(need):>10}", "dim"))
    full = max(int(min(need / free, 1.0) * width), 1)
    unsure = max(int(min((high or need) / free, 1.0) * width) - full, 0)
    return line(
        span(f"{label} {bytes_size(need):>10} "),
        span("█" * full, style),
        span("▒" * unsure, "dim"),
        span("░" * (width - full - unsure), "dim"),
        span("▶" if need > free else "", "bad"),
    )
