"""The `ckptriage` command: `ckptriage [PATH…]` opens the explorer, everything else is a subcommand."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from typing import Any

import click

from tui import __version__
from tui.cli.crash import debugging, quiet_background
from tui.core.text import printable
from tui.errors import CkptriageError

_COMMANDS: dict[str, str] = {
    "check": "Triage every checkpoint under PATH without loading any.",
    "inspect": "Format, files, metadata and tensors.",
    "compare": "Config against weights, as the loader sees it.",
    "memory": "Estimate against what is available.",
    "load": "A real load attempt in a child process.",
    "explain": "A rule's page, or the diagnosis of a traceback on stdin.",
    "diff": "Two checkpoints: config, tensors, tokenizer.",
    "envs": "Python environments found, and their packages.",
    "convert": "Weights of TensorFlow or Keras as safetensors in a new place, verified.",
    "samples": "Copy the gallery of broken checkpoints out, to try and to show.",
}


class Commands(click.Group):
    """Imports a command's module only when it is called; an unknown first word is a path to explore."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every subcommand, in the order of the manual."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A subcommand by its name."""
        if cmd_name == "explore":
            return _command("explore")
        return _command(cmd_name) if cmd_name in _COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`ckptriage PATH` means `ckptriage explore PATH`; so does no argument at all."""
        first = next((word for word in args if not word.startswith("-")), None)
        asks_help = args and args[0] in ("--help", "-h", "--version")
        if not asks_help and (first is None or first not in _COMMANDS):
            args = ["explore", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _command(name: str) -> click.Command:
    module = importlib.import_module(f"tui.cli.{name}")
    command: click.Command = module.command
    return command


_ALLOCATIONS = 100_000
"""Objects made between two looks for garbage: reports of thousands of checkpoints are kept and hold no cycles."""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="",
    subcommand_metavar="[PATH…] | COMMAND …",
)
@click.version_option(__version__, prog_name="ckptriage")
def ckptriage() -> None:
    """Will this checkpoint load, and if not, why, and what mends it.

    With a PATH, or none for the current directory, opens the explorer; without a terminal prints what `check` prints.
    """


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of the contract; no Python traceback of ours reaches the user."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    gc.set_threshold(_ALLOCATIONS)
    quiet_background()
    try:
        code = ckptriage.main(arguments, prog_name="ckptriage", standalone_mode=False)
    except CkptriageError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _usage(error)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:  # the last seam: a defect of ours is one line, the details on request
        from tui.cli.crash import complain_of

        if debugging():
            raise
        complain_of(error)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, hint: str = "") -> None:
    click.echo(f"ckptriage: {printable(message, 2000)}", err=True)
    if hint:
        for line in hint.split("\n"):
            click.echo(f"  {printable(line, 2000)}", err=True)


def _usage(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    if isinstance(context, click.Context):
        click.echo(printable(context.get_usage(), 2000, keep_newlines=True), err=True)
    _complain(error.format_message())
