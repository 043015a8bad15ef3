"""`ckptriage explain`: a rule's page, or the diagnosis of a traceback or log on stdin."""

from __future__ import annotations

import sys
from typing import Any

import click

from tui.cli.common import json_option, write_json, write_text
from tui.core.diagnosis.messages import rules_in
from tui.core.diagnosis.pages import PAGES, Page
from tui.core.diagnosis.proofs import proof_lines, proof_of
from tui.core.text import printable


@click.command("explain")
@click.argument("rule", required=False)
@json_option
def command(rule: str | None, as_json: bool) -> int:
    """A rule's page, or the diagnosis of a traceback or log on stdin. Exit: 0 known, 1 not."""
    if rule is None:
        if sys.stdin.isatty():
            raise click.UsageError("name a rule, or pipe a traceback in: ckptriage explain < traceback.txt")
        return _from_text(sys.stdin.buffer.read(8 << 20).decode("utf-8", "replace"), as_json)
    page = PAGES.get(rule)
    if page is None:
        near = [name for name in PAGES if rule.split("-")[0] in name][:8]
        if as_json:
            write_json({"schema": 1, "rule": rule, "known": False, "near": near})
        else:
            click.echo(f"no rule {printable(rule)}; near: {', '.join(near) or 'none'}", err=True)
        return 1
    if as_json:
        write_json({"schema": 1, "known": True, **_json(page)})
    else:
        write_text(_text(page))
    return 0


def _json(page: Page) -> dict[str, Any]:
    kept = proof_of(page.rule)
    proof = {"case": kept.case, "look_alike": kept.look_alike, "says": kept.says, "samples": list(kept.samples)}
    return {
        "rule": page.rule, "severity": page.severity, "title": page.title, "cause": page.cause, "fix": page.fix,
        "proof": proof,
    }  # fmt: skip


def _text(page: Page) -> str:
    rows = (("cause", page.cause), ("fix", page.fix), *proof_lines(page.rule))
    lines = "\n".join(f"  {label:<7}  {printable(text, 2000)}" for label, text in rows)
    return f"{page.rule}  ({page.severity})\n  {page.title}\n\n{lines}\n"


def _from_text(text: str, as_json: bool) -> int:
    found = rules_in(text)
    if as_json:
        findings = [
            {**_json(PAGES[rule]), "evidence": [printable(words)], "confidence": "likely"} for rule, words in found
        ]
        write_json({"schema": 1, "known": bool(found), "findings": findings})
        return 0 if found else 1
    if not found:
        click.echo("no known failure in this text", err=True)
        return 1
    for index, (rule, words) in enumerate(found):
        if index:
            click.echo()
        write_text(_text(PAGES[rule]))
        click.echo(f"  shown    {printable(words)}")
    return 0
