"""The report as text: the answer first, then cause, proof and command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.report.digest import digest
from tui.core.report.words import SEVERITY_SYMBOLS, SYMBOLS, headline
from tui.core.text import bytes_size, count_of, middle, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.report.model import Report
    from tui.core.report.summary import Summary


def render(report: Report) -> str:
    """The whole report; every line is safe to print."""
    lines: list[str] = []
    for summary in report.checkpoints:
        lines.extend(_checkpoint(summary))
    lines.append("")
    lines.extend(_worst_first(report))
    lines.extend(totals(report))
    return "\n".join(line.rstrip() for line in lines) + "\n"


_MOST = 20


def _worst_first(report: Report) -> Iterator[str]:
    """A line for each cause where several checkpoints have one: the end of a long report is what a terminal shows."""
    found = digest(report.checkpoints)
    if len({summary.path for summary, _ in found}) < 2:
        return
    yield "what to do first:"
    room = min(max(len(summary.path) for summary, _ in found[:_MOST]), 60)
    for summary, item in found[:_MOST]:
        symbol = SYMBOLS[summary.verdict]
        path = middle(printable(summary.path), room)
        yield f"  {symbol} {path:<{room}}  {printable(item.title, 160)}  [{item.rule}]"
    if len(found) > _MOST:
        yield f"  and {len(found) - _MOST:,} more"
    yield ""


def _checkpoint(summary: Summary) -> Iterator[str]:
    yield f"{SYMBOLS[summary.verdict]} {summary.verdict:<9} {printable(summary.path, 240)}"
    held = count_of(summary.tensors, "tensor") if summary.tensors is not None else "no tensors read"
    size = f"{held}, {bytes_size(summary.bytes)}" if summary.has_files else "no weights"
    yield f"    {printable(headline(summary))}  ({summary.kind}, {size})"
    for item in summary.findings:
        yield f"    {SEVERITY_SYMBOLS[item.severity]} {printable(item.title, 240)}  [{item.rule}]"
        if item.severity == "info":
            continue
        for line in item.evidence[:6]:
            yield f"        {printable(line, 600)}"
        for index, line in enumerate(item.fix[:2]):
            first, *rest = printable(line, 4000, keep_newlines=True).split("\n")
            yield f"        {'fix:' if index == 0 else ' or:'} {first}"
            yield from (f"             {text}" for text in rest)


def totals(report: Report) -> Iterator[str]:
    """The last lines: how many of each, and which environment was asked."""
    counts = ", ".join(f"{report.count(word)} {word}" for word in SYMBOLS if report.count(word))
    yield f"{count_of(len(report.checkpoints), 'checkpoint')}: {counts or 'none'}"
    asked = {name: report.packages[name] for name in ("torch", "transformers") if name in report.packages}
    if report.python:
        named = " · ".join(f"{name} {version}" for name, version in asked.items()) or "without torch and transformers"
        yield f"asked: python {printable(report.python)} · {printable(named)}"
