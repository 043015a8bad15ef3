"""A defect of ours: one plain line for the user, and a report in a file for whoever mends it."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tui import __version__
from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return bool(os.environ.get("CKPTRIAGE_DEBUG"))


def quiet_background() -> None:
    """Threads and finalizers print tracebacks by themselves; theirs are one line too."""
    if debugging():
        return
    sys.unraisablehook = lambda unraisable: None
    threading.excepthook = _of_thread


def quiet_tasks() -> None:
    """asyncio logs tracebacks of tasks that nobody waits for; not here, where what matters is waited for."""
    import logging

    if not debugging():
        logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)


def run_async(task: Coroutine[Any, Any, T]) -> T:
    """The task to its end. What needs no event loop does not come here, and so does not wait for asyncio's import."""
    import asyncio

    quiet_tasks()
    return asyncio.run(task)  # noqa: TID251 (the one place)


def _of_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
        complain_of(arguments.exc_value)


def complain_of(error: BaseException) -> None:
    """Say on stderr what went wrong, in one line, and where the report of it lies."""
    place = write_report(error)
    where = f"the details are in {place}" if place else "set CKPTRIAGE_DEBUG=1 to see where"
    words = printable(f"internal error: {type(error).__name__}: {error}", 500)
    click.echo(f"ckptriage: {words}; {printable(where, 1000)}", err=True)


def write_report(error: BaseException) -> str | None:
    """A new file in the temporary directory with the traceback, without any local values; `None` where it cannot be."""
    import platform
    import tempfile
    import traceback

    lines = [f"ckptriage {__version__}, Python {platform.python_version()}, {platform.platform()}", ""]
    parts = traceback.format_exception(type(error), error, error.__traceback__)
    lines += [line for part in parts for line in part.splitlines()]
    text = "\n".join(printable(line, 2000) for line in lines) + "\n"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ckptriage-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
            return file.name
    except OSError:
        return None
