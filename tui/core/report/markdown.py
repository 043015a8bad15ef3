"""The report as Markdown, for an issue or a chat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.report.words import SYMBOLS, headline
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.report.model import Report
    from tui.core.report.summary import Summary

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~])")


def render(report: Report) -> str:
    """A heading per checkpoint, a list per finding, commands as code."""
    parts = ["# Checkpoint triage", ""]
    for summary in report.checkpoints:
        parts.extend(_checkpoint(summary))
    return "\n".join(parts).rstrip() + "\n"


def _escape(text: str, limit: int = 600) -> str:
    return _SPECIAL.sub(r"\\\1", printable(text, limit))


def _code(text: str) -> str:
    """A code block whose fence the content cannot close."""
    shown = printable(text, 4000, keep_newlines=True)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    language = "python" if "import " in text else "sh"
    return f"{fence}{language}\n{shown}\n{fence}"


def _checkpoint(summary: Summary) -> list[str]:
    lines = [
        f"## {SYMBOLS[summary.verdict]} {summary.verdict}: {_escape(summary.path)}",
        "",
        _escape(headline(summary)),
        "",
    ]
    for item in summary.findings:
        lines += [f"- **{item.severity}** {_escape(item.title)} ({item.rule})"]
        lines += [f"  - {_escape(line)}" for line in item.evidence]
        lines += [f"  - cause: {_escape(item.cause)}"] if item.cause else []
        lines += ["", _code(item.fix[0]), ""] if item.fix and item.severity != "info" else []
    return [*lines, ""]
