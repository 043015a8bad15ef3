"""`ckptriage check`: triage of every checkpoint under the paths, without loading any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.cli.common import BytesLine, call_option, class_option, progress_line, python_option, write_json, write_text
from tui.cli.crash import run_async
from tui.core.config_edits import parse_setting
from tui.core.json_text import dumps
from tui.core.report.model import Report, report_json
from tui.triage.options import Options
from tui.triage.paths import checkpoints, existing, found_below
from tui.triage.spread import judge_files

if TYPE_CHECKING:
    from tui.triage.flow import Triaged

FORMATS = ("text", "json", "markdown", "html", "sarif")


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--files-only", is_flag=True, help="Read files alone; the loader is not asked.")
@class_option
@click.option("--tokenizer", metavar="PATH", help="Judge this tokenizer instead of the model's own.")
@click.option("--expect", "expectations", multiple=True, metavar="KEY=VALUE", help="A config value you count on.")
@call_option
@python_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there.")
@click.option("--deep", is_flag=True, help="Read every byte as well: checksums, CRCs, NaN and Inf.")
@click.option("--fail-on", type=click.Choice(("error", "warning", "never")), default="error", show_default=True)
def command(paths: tuple[str, ...], form: str, as_json: bool, output: Path | None, fail_on: str, **given: Any) -> int:
    """Triage every checkpoint under PATH without loading any.

    Exit: 0 no finding at or above --fail-on, 1 some, 2 bad usage or no such path.
    """
    tokenizer = given.pop("tokenizer")
    expected = dict(parse_setting(text) for text in given.pop("expectations"))
    options = Options(tokenizer=existing(tokenizer) if tokenizer else None, expected=expected, **given)
    return run(list(paths), options, "json" if as_json else form, output, fail_on)


def run(paths: list[str], options: Options, form: str, output: Path | None, fail_on: str) -> int:
    """The command's body; `ckptriage PATH` without a terminal comes here too."""
    report = _from_files(paths, options) if options.files_only and not options.deep else _asked(paths, options)
    _write(report, form, output)
    return 1 if report.fails_on(fail_on) else 0


def _from_files(paths: list[str], options: Options) -> Report:
    """No loader is asked, and no byte of a tensor read."""
    return Report(judge_files(found_below(paths), options, progress_line()))


def _asked(paths: list[str], options: Options) -> Report:
    """The loader, or every byte, is asked too."""
    from tui.core.deep.report import total_bytes
    from tui.triage.flow import triage_all

    found = checkpoints(paths)
    box: list[Triaged] = []

    async def triage() -> None:
        """Puts the answer aside: asyncio's runner renders a task's result, and this one is large."""
        total = sum(total_bytes(item) for item in found) if options.deep else 0
        box.append(await triage_all(found, options, progress_line(), BytesLine(total) if total else None))

    run_async(triage())
    return box[0].report


def _write(report: Report, form: str, output: Path | None) -> None:
    if form == "json":
        write_json(report_json(report), output)
    else:
        write_text(_rendered(report, form), output)


def _rendered(report: Report, form: str) -> str:
    """The report as text; each form's module is imported when it is asked for."""
    match form:
        case "markdown":
            from tui.core.report import markdown

            return markdown.render(report)
        case "html":
            from tui.core.report import html

            return html.render(report)
        case "sarif":
            from tui.core.report.sarif import sarif

            return dumps(sarif(report)) + "\n"
        case _:
            from tui.core.report import plain

            return plain.render(report)
