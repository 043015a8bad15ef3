"""Verdicts and severities in words and symbols; shared by every rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.core.report.summary import Summary

SYMBOLS = {"loads": "✓", "degraded": "!", "fails": "✗", "unknown": "?"}
SEVERITY_SYMBOLS = {"error": "✗", "warning": "!", "info": "·"}


def headline(summary: Summary) -> str:
    """The verdict as a sentence."""
    name = f" as {summary.model_class}" if summary.model_class else ""
    match summary.verdict:
        case "loads":
            return f"loads{name}"
        case "degraded":
            return f"loads{name}, but not as the files say"
        case "fails":
            return f"will not load{name}"
        case _:
            return _unknown(summary)


def _unknown(summary: Summary) -> str:
    """Why nothing can be said."""
    if summary.basis == "files" and summary.kind == "transformers":
        return "files are in order, the loader was not asked"
    if any(item.rule == "security-pickle-globals" for item in summary.findings):
        return "dangerous: do not load it"
    if any(item.severity == "error" for item in summary.findings):
        return "not known: see the findings"
    return "not known whether it loads"


def cause_line(summary: Summary) -> str:
    """The first finding that matters, empty where there is none."""
    first = next((item for item in summary.findings if item.severity != "info"), None)
    return first.title if first is not None else ""


def fix_line(summary: Summary) -> str:
    """The first command that mends it, empty where there is none."""
    first = next((item for item in summary.findings if item.severity != "info"), None)
    return first.fix[0] if first is not None and first.fix else ""
