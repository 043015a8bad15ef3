"""What several commands share: options, output, progress."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.core.json_text import dumps
from tui.core.pace import Pace
from tui.core.text import bytes_size, printable
from tui.errors import UsageError
from tui.triage.paths import checkpoints, existing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint


class Call(click.ParamType[Any]):
    """A call as the user describes it: dtypes and sizes in dicts and lists."""

    name = "call"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Dicts, lists and leaves from text."""
        from tui.core.diagnosis import given_call

        try:
            return given_call.read(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else there.")
python_option = click.option("--python", metavar="EXE", help="The Python environment to ask; the app's own by default.")
class_option = click.option("--class", "model_class", metavar="NAME", help="The transformers class to load.")
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a config value (JSON, dotted keys); repeatable.",
)


call_option = click.option(
    "--call",
    type=Call(),
    metavar="JSON",
    help="A call of a TensorFlow model, held against what it expects: "
    """'{"text": "string[1]"}', '["int32[1,8]", …]'; after a load it is made.""",
)


def one_checkpoint(path: str) -> Checkpoint:
    """The checkpoint at a path; a directory of several takes the directory itself."""
    place = existing(path)
    found = checkpoints([path])
    exact = [item for item in found if Path(item.path) == Path(path) or item.root == place]
    if len(found) == 1:
        return found[0]
    if len(exact) == 1:
        return exact[0]
    names = ", ".join(printable(item.path, 80) for item in found[:5])
    raise UsageError(f"{printable(path)} holds {len(found)} checkpoints", f"name one of them: {names}")


def write_json(value: Any, output: Path | None = None) -> None:
    """JSON to stdout or to a file."""
    write_text(dumps(value) + "\n", output)


def write_text(text: str, output: Path | None = None) -> None:
    """Text to stdout or to a file."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8", "backslashreplace")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}") from None


class BytesLine(Pace):
    """Bytes read, their rate and the time left, on stderr where that is a terminal; told from a reading thread."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """So many more bytes were read."""
        super().add(count)
        now = time.monotonic()
        if self._terminal and (now - self._shown >= 0.5 or self.done >= self.total):
            self._shown = now
            click.echo(f"\r\x1b[K{self.words() if self.done < self.total else ''}", nl=False, err=True)

    def skip(self, count: int) -> None:
        """So many bytes were read by an earlier run that was interrupted."""
        super().skip(count)
        if count:
            words = f"goes on where an earlier run stopped: {bytes_size(count)} are not read again"
            click.echo(f"\r\x1b[K{words}" if self._terminal else words, err=True)


def progress_line() -> Callable[[int, int], None] | None:
    """A counter on stderr where that is a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        click.echo(f"\r{done} of {total} checkpoints", nl=False, err=True)
        if end:
            click.echo("\r\x1b[K", nl=False, err=True)

    return show
