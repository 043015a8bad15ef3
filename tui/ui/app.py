"""The application: one screen, one session, and a terminal that is given back as it was."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.worker import WorkerFailed

from tui.triage.session import Session
from tui.ui.screens.explorer import Explorer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.screen import Screen

    from tui.triage.options import Options

_COMMANDS = (
    ("Load", "Run a real load attempt on the selected checkpoint", "load"),
    ("Class", "Choose the model class", "choose_class"),
    ("Edit", "Edit a config value", "edit"),
    ("Set field", "Set the config field that explains the differences", "apply_field"),
    ("Undo", "Take the last edit back", "undo"),
    ("Save config", "Write the edited config elsewhere", "save_config"),
    ("Filter", "Filter rows by a part of a name", "filter"),
    ("Next difference", "Go to the next row that differs", "next_difference"),
    ("All bytes", "Read every byte: checksums, CRCs, NaN and Inf, holes", "verify"),
    ("Diff", "Compare with another checkpoint", "diff"),
    ("Environment", "Pick the Python environment that is asked", "pick_python"),
    ("Export", "Write the report to a file", "export"),
    ("Copy", "Copy the fix or the row under the cursor", "copy"),
    ("Zoom", "Maximise the pane, and back", "maximise"),
    ("Help", "Keys and meanings", "help"),
)


class CkptriageApp(App[int]):
    """Explores checkpoints; imports no ML framework and unpickles nothing."""

    CSS_PATH = "styles/app.tcss"
    TITLE = "ckptriage"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding("ctrl+c", "hint_quit", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.defect: Exception | None = None
        """What no handler caught; the app ends with it."""

        if os.environ.get("SSH_CONNECTION"):
            self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the explorer; leave in order when the terminal or the system says so."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, self._leave, 128 + number)
            except (NotImplementedError, RuntimeError, ValueError):
                continue
        self.push_screen(Explorer(self.session))

    def _leave(self, code: int) -> None:
        self.exit(code, return_code=code)

    def _handle_exception(self, error: Exception) -> None:
        """Leave, and let `explore` raise what happened; Textual would print it with the values of all variables."""
        self.defect = self.defect or (_cause(error) if isinstance(error, WorkerFailed) else error)
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    async def action_quit(self) -> None:
        """End the attempt that runs, then leave."""
        for item in self.screen_stack:
            if isinstance(item, Explorer) and item.attempt is not None:
                item.attempt.cancel()
        self.exit(0)

    async def on_unmount(self) -> None:
        """End the worker."""
        await self.session.close()

    def action_hint_quit(self) -> None:
        """Ctrl+C cancels a running attempt, else says how to leave."""
        for item in self.screen_stack:
            if isinstance(item, Explorer) and item.attempt is not None:
                item.attempt.cancel()
                return
        self.notify("q quits", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every deed of the explorer by name."""
        if isinstance(screen, Explorer):
            for title, words, action in _COMMANDS:
                yield SystemCommand(title, words, lambda name=action: screen.run_deed(name))
        yield SystemCommand("Quit", "Leave ckptriage", self.action_quit)


def _cause(error: WorkerFailed) -> Exception:
    """What went wrong in a task of the screen."""
    return error.error if isinstance(error.error, Exception) else error


def explore(paths: list[str], options: Options) -> int:
    """Run the explorer until it is left; returns the exit code, or raises what ended it."""
    app = CkptriageApp(Session(paths, options))
    result = app.run()
    if app.defect is not None:
        raise app.defect
    return app.return_code or (result if isinstance(result, int) else 0)
