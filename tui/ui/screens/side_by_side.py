"""Two checkpoints side by side: names and shapes at once, values as they are read; escape stops, then closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.core.difference import Difference, bytes_to_read, difference
from tui.core.pace import Pace
from tui.core.text import printable
from tui.triage.reading import compare_values
from tui.ui.render.diff import rows
from tui.ui.widgets.line_view import LineView

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.worker import Worker

    from tui.core.checkpoint import Checkpoint

PACE_SECONDS = 1.0


class SideBySide(ModalScreen[None]):
    """The first checkpoint on the left, the second on the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop_or_close", "Stop, close"),
        Binding("q", "dismiss(None)", "Close"),
        Binding("n", "next_difference", "Next difference"),
    ]

    def __init__(self, first: Checkpoint, second: Checkpoint) -> None:
        super().__init__()
        self.sides = (first, second)
        self.found: Difference | None = None
        self._reading: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Title, rows, and how far the reading is."""
        with Vertical(classes="dialog reader"):
            yield Static(Text(printable(f"{self.sides[0].path} → {self.sides[1].path}"), style="bold"))
            yield LineView(id="sides")
            yield Static(id="pace")

    def on_mount(self) -> None:
        """Begin with what the headers tell."""
        self.query_one("#sides", LineView).focus()
        self._reading = self._read()

    @work(exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        self._tell("comparing names and shapes …")
        self._show(await asyncio.to_thread(difference, *self.sides))
        pace = Pace(bytes_to_read(*self.sides))
        timer = self.set_interval(PACE_SECONDS, lambda: self._tell(f"{pace.words()}; escape stops"))
        try:
            self._show(await compare_values(*self.sides, pace.add))
            self._tell("n next difference, escape closes")
        except asyncio.CancelledError:
            self._tell("stopped: values are not compared; escape closes")
            raise
        finally:
            timer.stop()

    def _show(self, found: Difference) -> None:
        self.found = found
        self.query_one("#sides", LineView).show(lambda width: rows(found, width))

    def _tell(self, words: str) -> None:
        if self.is_mounted:
            self.query_one("#pace", Static).update(Text(words, style="dim"))

    def action_stop_or_close(self) -> None:
        """Escape: end the reading, and where none is going on close."""
        if self._reading is not None and self._reading.is_running:
            self._reading.cancel()
        else:
            self.dismiss(None)

    def action_next_difference(self) -> None:
        """The next row that differs."""
        self.query_one("#sides", LineView).next_where(lambda item: item.text.startswith(("≠", "−", "+")))
