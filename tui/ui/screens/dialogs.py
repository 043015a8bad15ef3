"""Small dialogs: a line of text, a choice from a list, a text to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.core.text import printable
from tui.ui.widgets.line_view import LineView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult

    from tui.ui.render.lines import Line


PREVIEW_SECONDS = 0.15


class AskText(ModalScreen[str | None]):
    """One line of text; Escape gives `None`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(
        self, title: str, value: str = "", hint: str = "", preview: Callable[[str], Awaitable[str]] | None = None
    ) -> None:
        """`preview` says, while the text is typed, what it would lead to."""
        super().__init__()
        self._title, self._value, self._hint = title, value, hint
        self._preview = preview

    def compose(self) -> ComposeResult:
        """Title, input, hint."""
        with Vertical(classes="dialog"):
            yield Static(Text(printable(self._title), style="bold"))
            yield Input(printable(self._value, None))
            if self._preview is not None:
                yield Static(id="preview")
            yield Static(Text(printable(self._hint or "enter accepts, escape cancels", 400), style="dim"))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._preview is not None:
            self.run_worker(self._say(event.value), exclusive=True, exit_on_error=False)

    async def _say(self, text: str) -> None:
        """The consequence of what is typed; a later key replaces the question."""
        await asyncio.sleep(PREVIEW_SECONDS)
        if self._preview is not None:
            self.query_one("#preview", Static).update(Text(printable(await self._preview(text), 300)))

    @on(Input.Submitted)
    def _accept(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class Choose(ModalScreen[int | None]):
    """A choice from a list; gives the index, or `None` on Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Cancel"),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, options: Sequence[str]) -> None:
        super().__init__()
        self._title, self._options = title, options

    def compose(self) -> ComposeResult:
        """Title and options."""
        with Vertical(classes="dialog tall"):
            yield Static(Text(printable(self._title), style="bold"))
            yield OptionList(*(Option(Text(printable(item, 200))) for item in self._options))
            yield Static(Text("enter picks, escape cancels", style="dim"))

    @on(OptionList.OptionSelected)
    def _pick(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)

    def action_down(self) -> None:
        """Next option."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """Previous option."""
        self.query_one(OptionList).action_cursor_up()


class Read(ModalScreen[None]):
    """Text to read: help, a log, a difference."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss(None)", "Close")]

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """Title and rows."""
        with Vertical(classes="dialog reader"):
            yield Static(Text(printable(self._title), style="bold"))
            yield LineView(id="reader")
            yield Static(Text("escape closes", style="dim"))

    def on_mount(self) -> None:
        """Show the rows."""
        view = self.query_one("#reader", LineView)
        view.show(lambda width: self._lines)
        view.focus()
