"""The report as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tui import __version__
from tui.core.diagnosis.pages import PAGES
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.report.model import Report

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def sarif(report: Report) -> dict[str, Any]:
    """One run; each finding a result, each rule it uses described."""
    used = sorted({item.rule for summary in report.checkpoints for item in summary.findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "ckptriage", "version": __version__, "rules": [_rule(name) for name in used]}
                },
                "results": _results(report),
            }
        ],
    }


def _rule(name: str) -> dict[str, Any]:
    page = PAGES[name]
    return {
        "id": name,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.cause},
        "help": {"text": page.fix},
        "defaultConfiguration": {"level": _LEVELS[page.severity]},
    }


def _results(report: Report) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for summary in report.checkpoints:
        for item in summary.findings:
            base = PurePath(summary.path)
            where = base / item.file if item.file and not summary.is_file else base
            text = ". ".join([item.title, *item.evidence[:3]])
            out.append(
                {
                    "ruleId": item.rule,
                    "level": _LEVELS[item.severity],
                    "message": {"text": printable(text, 2000)},
                    "locations": [
                        {"physicalLocation": {"artifactLocation": {"uri": printable(where.as_posix(), 1000)}}}
                    ],
                }
            )
    return out
