"""`ckptriage [PATH…]`: the explorer, or without a terminal the text report."""

from __future__ import annotations

import sys

import click

from tui.cli.common import class_option, python_option
from tui.errors import UsageError
from tui.system.hub_cache import hub_cache
from tui.triage.options import Options
from tui.triage.paths import existing


@click.command("explore", hidden=True)
@click.argument("paths", nargs=-1, metavar="[PATH…]")
@python_option
@class_option
@click.option("--hub-cache", is_flag=True, help="Open the Hugging Face cache.")
def command(paths: tuple[str, ...], python: str | None, model_class: str | None, hub_cache: bool) -> int:
    """Open the explorer on PATH; without a terminal print what `check` prints."""
    places = list(paths) or ([] if hub_cache else ["."])
    if hub_cache:
        places.append(_cache())
    for path in places:
        existing(path)
    options = Options(model_class=model_class, python=python)
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        from tui.cli.check import run

        return run(places, options, "text", None, "error")
    from tui.cli.crash import quiet_tasks
    from tui.ui.app import explore

    quiet_tasks()
    return explore(places, options)


def _cache() -> str:
    """The hub cache's directory."""
    place = hub_cache()
    if not place.is_dir():
        raise UsageError(f"there is no hub cache at {place}")
    return str(place)
