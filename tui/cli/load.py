"""`ckptriage load`: a real load attempt in a child process, streamed."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING, Any

import click

from tui.cli.common import call_option, class_option, json_option, one_checkpoint, python_option, set_option, write_json
from tui.cli.crash import run_async
from tui.core.config_edits import parse_setting
from tui.core.report.words import SEVERITY_SYMBOLS
from tui.core.text import printable
from tui.errors import WorkerError
from tui.triage.flow import triage_all
from tui.triage.load import (
    LOADERS,
    LoadOptions,
    agreement,
    diagnose_after,
    log_text,
    make_attempt,
    outcome_json,
    refusal,
    refused,
)
from tui.triage.loaders import verdict_for
from tui.triage.memory import over_limit
from tui.triage.options import Options
from tui.triage.own import checked

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.report.model import Triage
    from tui.loading.attempt import LoadOutcome

_UNITS = {
    "": 1,
    "k": 1000,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


class Size(click.ParamType[int]):
    """A size in bytes: `2GB`, `1.5GiB`, `800M`, `500000000`."""

    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes from text."""
        match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([kmgt]i?)?b?\s*", str(value).lower())
        if match is None:
            self.fail(f"{value!r} is no size; write 500MB, 1.5GiB or a number of bytes", param, ctx)
        return int(float(match[1]) * _UNITS[match[2] or ""])


@click.command("load")
@click.argument("path")
@class_option
@click.option("--code", metavar="DIR", help="Where a class of your own lies; with --class package.module:Name.")
@set_option
@click.option("--tokenizer", metavar="PATH", help="The tokenizer for --forward.")
@click.option("--loader", type=click.Choice(LOADERS), help="For formats with several.")
@call_option
@click.option("--forward", is_flag=True, help="One pass on a short input after the load.")
@click.option(
    "--dtype", type=click.Choice(("auto", "float32", "bfloat16", "float16")), default="auto", show_default=True
)
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda:N|auto")
@python_option
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="S", help="End the attempt after so many seconds.")
@click.option(
    "--memory-limit",
    type=Size(),
    metavar="SIZE",
    help="Anonymous memory it may hold: refused where loading needs more, ended where it takes more.",
)
@click.option("--unpickle", is_flag=True, help="Allow a full unpickle: runs what the file names.")
@click.option("--trust-remote-code", is_flag=True, help="Allow the checkpoint's own Python files to run.")
@click.option("--trust-this-file", is_flag=True, help="Unpickle also without file-system isolation.")
@json_option
def command(path: str, as_json: bool, **given: object) -> int:
    """A real load attempt, streamed. Exit: 0 loaded, 1 not (refused too), 2 bad usage."""
    checkpoint = one_checkpoint(path)
    options = _options(given)
    checked(options.model_class, options.code)
    return run_async(_run(checkpoint, options, as_json))


def _options(given: dict[str, object]) -> LoadOptions:
    settings = given.get("settings")
    changes = dict(parse_setting(str(text)) for text in settings) if isinstance(settings, tuple) else {}
    keys = (
        "model_class", "code", "loader", "tokenizer", "dtype", "device", "forward", "unpickle", "trust_remote_code",
        "trust_this_file", "python", "timeout", "memory_limit", "call",
    )  # fmt: skip
    values: dict[str, Any] = {key: given[key] for key in keys}
    return LoadOptions(changes=changes or None, **values)


async def _run(checkpoint: Checkpoint, options: LoadOptions, as_json: bool) -> int:
    before = await _predict(checkpoint, options)
    if not as_json:
        verdict = verdict_for(before, options.loader) if before is not None else "unknown"
        click.echo(f"predicted: {verdict}" if verdict != "unknown" else "no prediction", err=True)
    reason = refusal(checkpoint, options) or await over_limit(checkpoint, options)
    outcome = refused(reason) if reason else await _attempt(checkpoint, options)
    triage = await diagnose_after(checkpoint, before, outcome, Options(python=options.python, call=options.call))
    if as_json:
        write_json(outcome_json(outcome, checkpoint, triage, before, options.loader))
    else:
        _tell(outcome, triage, before, options.loader)
    if outcome.outcome == "cancelled":
        return 130
    return 0 if outcome.outcome == "loaded" else 1


async def _predict(checkpoint: Checkpoint, options: LoadOptions) -> Triage | None:
    """What the triage says, before anything is loaded."""
    if options.changes or options.code:
        return None
    asked = Options(model_class=options.model_class, python=options.python, call=options.call)
    try:
        report = await triage_all([checkpoint], asked)
    except WorkerError:
        return None
    return report.triages[0]


async def _attempt(checkpoint: Checkpoint, options: LoadOptions) -> LoadOutcome:
    attempt = make_attempt(checkpoint, options, lambda line: click.echo(log_text(line), err=True))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, attempt.cancel)
    try:
        return await attempt.run()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _tell(outcome: LoadOutcome, triage: Triage, before: Triage | None, loader: str | None) -> None:
    """The end, in words, and whether it came as predicted."""
    predicted, agrees = agreement(before, outcome, loader)
    tail = {True: "as predicted", False: f"not as predicted ({predicted})", None: ""}[agrees]
    click.echo(printable(f"{outcome.outcome}: {outcome.words}", 2000) + (f"  [{tail}]" if tail else ""))
    if outcome.outcome == "loaded" and before is not None and verdict_for(before, loader) != before.verdict:
        return  # another loader goes round the cause that the findings name
    for item in triage.findings:
        if item.severity != "info":
            click.echo(f"  {SEVERITY_SYMBOLS[item.severity]} {printable(item.title, 240)}  [{item.rule}]")
            if item.fix:
                lines = printable(item.fix[0], 4000, keep_newlines=True).split("\n")
                click.echo("\n           ".join([f"      fix: {lines[0]}", *lines[1:]]))
