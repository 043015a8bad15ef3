"""The answer on top of every view, and the overview below it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.core.report.digest import digest
from tui.core.report.words import SEVERITY_SYMBOLS, SYMBOLS, cause_line, fix_line, headline
from tui.core.text import bytes_size, count_of, middle, printable
from tui.ui.render.details import call
from tui.ui.render.lines import BLANK, Lazy, Line, line, program, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tui.core.report.model import Triage

VERDICT_STYLE = {"loads": "good", "degraded": "warn", "fails": "bad", "unknown": "dim"}
SEVERITY_STYLE = {"error": "bad", "warning": "warn", "info": "dim"}


def answer(triage: Triage | None, width: int, pending: bool) -> list[Line]:
    """Three rows: verdict in words, cause, fix."""
    if triage is None:
        return [line(span("pick a checkpoint in the tree: its verdict, cause and fix stand here", "dim")), BLANK, BLANK]
    style = VERDICT_STYLE[triage.verdict]
    words = headline(triage.summary)
    if pending and triage.verdict in ("unknown", "loads"):
        words, style = "files read; asking the loader …", "dim"
    first = line(
        span(f"{SYMBOLS[triage.verdict]} ", style), span(words, style), "  ", span(triage.checkpoint.kind, "dim")
    )
    cause, fix = cause_line(triage.summary), fix_line(triage.summary)
    return [
        first,
        line("  ", span(middle(printable(cause), max(width - 3, 10)))) if cause else _size(triage),
        line(
            span("  fix ", "key"),
            span(middle(printable(" ⏎ ".join(fix.splitlines()), None), max(width - 20, 10))),
            span("  y copies", "dim"),
            copy=fix,
        )
        if fix
        else BLANK,
    ]


def folder(path: str, triages: Iterable[Triage], width: int) -> list[Line]:
    """The same for a directory: how many checkpoints lie below it, and how they are."""
    counts = Counter(triage.verdict for triage in triages)
    words = ", ".join(f"{counts[name]:,} {SYMBOLS[name]} {name}" for name in SYMBOLS if counts[name])
    return [
        line(span(middle(printable(path), max(width - 2, 12)), "key")),
        line("  ", span(words or "no checkpoint yet")),
        line(span("  what to do first is listed below; enter goes there", "dim")) if counts else BLANK,
    ]


def growing(done: int, words: str) -> list[Line]:
    """Three rows for a file that is being written."""
    return [
        line(span("↓ ", "key"), span("is being downloaded or written", "key")),
        line("  ", span(f"{bytes_size(done)} so far, {words}")),
        line(span("  it is looked at again when it rests", "dim")),
    ]


def _size(triage: Triage) -> Line:
    checkpoint = triage.checkpoint
    return line(
        span(
            f"  {count_of(len(checkpoint.tensors), 'tensor')}, {count_of(checkpoint.parameters, 'parameter')}, ", "dim"
        ),
        span(bytes_size(checkpoint.bytes), "dim"),
    )


def overview(triage: Triage, width: int) -> list[Line]:
    """What the checkpoint is, its files, and its findings in a line each."""
    checkpoint = triage.checkpoint
    rows = [
        line(span("path      ", "dim"), span(checkpoint.path), copy=str(checkpoint.root)),
        line(span("kind      ", "dim"), span(checkpoint.kind)),
        line(span("class     ", "dim"), span(triage.model_class or "not named")),
        line(
            span("verdict   ", "dim"),
            span(triage.verdict, VERDICT_STYLE[triage.verdict]),
            span(f"  by {_basis(triage)}", "dim"),
        ),
        line(
            span("tensors   ", "dim"),
            span(f"{count_of(len(checkpoint.tensors), 'tensor')}, {count_of(checkpoint.parameters, 'parameter')}"),
        ),
    ]
    coverage = triage.comparison.coverage if triage.comparison is not None else None
    if coverage is not None:
        style = "good" if coverage > 0.999 else "warn"
        rows.append(
            line(span("coverage  ", "dim"), span(f"{coverage * 100:.1f} % of the model comes from the file", style))
        )
    rows += [BLANK, line(span("files", "head"))]
    for file in checkpoint.files:
        style = "bad" if file.fatal is not None else "plain"
        rows.append(
            line(
                "  ",
                span(f"{middle(printable(file.name), 44):<44} ", style),
                span(f"{file.format:<19}", "dim"),
                span(bytes_size(file.size)),
            )
        )
    for name, document in checkpoint.json_files.items():
        words = "json" if document.problem is None else document.problem.message
        rows.append(
            line("  ", span(f"{middle(name, 44):<44} "), span(words, "dim" if document.problem is None else "bad"))
        )
    if not checkpoint.files and not checkpoint.json_files:
        rows.append(line(span("  none", "dim")))
    rows += [BLANK, line(span("findings", "head"))]
    for item in triage.findings:
        mark = SEVERITY_SYMBOLS[item.severity]
        rows += wrapped(item.title, width, SEVERITY_STYLE[item.severity], f"  {mark} ", "    ")
    if not triage.findings:
        rows.append(line(span("  none", "good")))
    return rows + call(checkpoint, width)


def below(folder: str, triages: Sequence[Triage], width: int, pending: int) -> Sequence[Line]:
    """A line for each cause below a directory, what to do first on top; enter goes to its checkpoint."""
    found = digest([triage.summary for triage in triages])
    if not found:
        return [line(span(*_no_cause(triages, pending)))]
    names = {summary.path: os.path.relpath(summary.path, folder) for summary, _ in found}
    room = min(max((len(name) for name in names.values()), default=0), max(width // 3, 12))

    def make(index: int) -> Line:
        summary, item = found[index]
        path = middle(printable(names[summary.path]), room)
        words = middle(printable(item.title), max(width - room - 5, 12))
        style = VERDICT_STYLE[summary.verdict]
        row = line(span(f"{SYMBOLS[summary.verdict]} ", style), span(f"{path:<{room}}  ", "key"), span(words))
        return replace(row, target=summary.path, copy=item.fix[0] if item.fix else "")

    return Lazy(len(found), make)


def _no_cause(triages: Sequence[Triage], pending: int) -> tuple[str, str]:
    """What the absence of findings says, and its style: nothing before the loader has answered."""
    unknown = sum(triage.verdict == "unknown" for triage in triages)
    if pending:
        return f"nothing found so far; the loader is still to be asked about {count_of(pending, 'checkpoint')}", "dim"
    if unknown:
        return f"nothing found; whether it loads is not known of {count_of(unknown, 'checkpoint')}", "dim"
    return "nothing found: every check passed", "good"


def _basis(triage: Triage) -> str:
    if triage.basis == "files":
        return "the files alone"
    path = triage.comparison.path if triage.comparison is not None else ""
    words = {"audit": "the loader itself, on meta tensors", "live": "the loader's own code"}
    return words.get(path, "the loader")


def findings(triage: Triage, width: int, pending: bool) -> list[Line]:
    """Every finding with proof, cause and fix."""
    rows: list[Line] = []
    for item in triage.findings:
        style = SEVERITY_STYLE[item.severity]
        fix = item.fix[0] if item.fix else ""
        rows += wrapped(item.title, width, style, f"{SEVERITY_SYMBOLS[item.severity]} ", "  ", copy=fix)
        where = f" · {item.file}" if item.file else ""
        rows.append(line("  ", span(f"{item.severity} · {item.rule} · {item.confidence}{where}", "dim"), copy=fix))
        for text in item.evidence:
            rows += wrapped(text, width, "plain", "  • ", "    ", copy=fix)
        if item.cause:
            rows += wrapped(item.cause, width, "dim", "  why  ", "       ", copy=fix)
        for index, text in enumerate(item.fix):
            rows += program(text, width, "  fix  " if index == 0 else "   or  ", "       ")
        rows.append(BLANK)
    return rows or [line(span(*_no_cause([triage], int(pending))))]
