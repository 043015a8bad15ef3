"""The report as one HTML page without scripts or links to anywhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tui.core.report.words import SYMBOLS, headline
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.report.model import Report
    from tui.core.report.summary import Summary

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;"
    "background:#fff}"
    "section{border-top:1px solid #ccc;padding:.5rem 0}pre{background:#f3f3f3;padding:.5rem;overflow:auto}"
    ".fails h2{color:#a40000}.degraded h2{color:#8a5a00}.loads h2{color:#17601f}li{margin:.2rem 0}"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}pre{background:#262626}}"
)


def render(report: Report) -> str:
    """The page."""
    body = "".join(_checkpoint(summary) for summary in report.checkpoints)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Checkpoint triage</title>'
        f"<style>{_STYLE}</style></head><body><h1>Checkpoint triage</h1>{body}</body></html>\n"
    )


def _text(value: str, limit: int = 600) -> str:
    return escape(printable(value, limit))


def _checkpoint(summary: Summary) -> str:
    items = "".join(
        f"<li><strong>{item.severity}</strong> {_text(item.title)} <code>{item.rule}</code>"
        f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in item.evidence)}</ul>"
        f"<p>{_text(item.cause)}</p>"
        + (
            f"<pre>{escape(printable(item.fix[0], 4000, keep_newlines=True))}</pre>"
            if item.fix and item.severity != "info"
            else ""
        )
        + "</li>"
        for item in summary.findings
    )
    title = f"{SYMBOLS[summary.verdict]} {summary.verdict}: {_text(summary.path)}"
    head = f"<h2>{title}</h2><p>{_text(headline(summary))}</p>"
    return f'<section class="{summary.verdict}">{head}<ul>{items}</ul></section>'
