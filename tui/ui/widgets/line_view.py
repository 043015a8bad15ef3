"""A list of styled rows of which only the visible ones are rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.ui.render.lines import STYLES, Line

if TYPE_CHECKING:
    from rich.style import Style
    from textual import events

Build = Callable[[int], Sequence[Line]]
"""Rows for a width in cells."""


class LineView(ScrollView, can_focus=True):
    """Rows with a cursor; arrows and hjkl move it, Enter opens a row, `y` copies it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{name}" for name in STYLES} | {"line--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "Top", show=False),
        Binding("end,G", "edge(1)", "Bottom", show=False),
        Binding("left,h", "sideways(-8)", "Left", show=False),
        Binding("right,l", "sideways(8)", "Right", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=True)

    @dataclass
    class Opened(Message):
        """Enter was pressed on a row that can be opened."""

        view: LineView
        target: Any

        @property
        def control(self) -> LineView:
            """The view that sent it."""
            return self.view

    def __init__(self, *, name_of_pane: str = "", follow: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._build: Build = lambda width: []
        self._lines: Sequence[Line] = []
        self._width = 0
        self._follow = follow
        self._styles: dict[str, Style] = {}
        if name_of_pane:
            self.border_title = name_of_pane

    def show(self, build: Build, *, top: bool = False) -> None:
        """Show what `build` makes, keeping the cursor unless `top`."""
        self._build = build
        self._rebuild()
        if top:
            self.cursor = 0
            self.scroll_to(0, 0, animate=False)
        elif self._follow:
            self.cursor = max(len(self._lines) - 1, 0)
            self.scroll_end(animate=False)

    def show_changed(self, build: Build) -> None:
        """Show what `build` makes only where it says something else than what is shown."""
        made = build(max(self.scrollable_content_region.width, 20))
        if [item.text for item in made] != [item.text for item in self._lines]:
            self.show(build)

    def _rebuild(self) -> None:
        self._width = max(self.scrollable_content_region.width, 20)
        self._lines = self._build(self._width)
        widest = max((len(item.text) for item in self._lines[:2000]), default=0)
        self.virtual_size = Size(max(widest + 1, 1), len(self._lines))
        self.cursor = min(self.cursor, max(len(self._lines) - 1, 0))
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Make the rows again where the width changed."""
        if max(self.scrollable_content_region.width, 20) != self._width:
            self._rebuild()

    def notify_style_update(self) -> None:
        """Forget colours when the theme changes."""
        super().notify_style_update()
        self._styles.clear()

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self.get_component_rich_style(f"line--{name}", partial=True)
        return style

    def render_line(self, y: int) -> Strip:
        """One visible row."""
        scroll_x, scroll_y = self.scroll_offset
        index = y + scroll_y
        width = self.size.width
        base = self.rich_style
        if not 0 <= index < len(self._lines):
            return Strip.blank(width, base)
        row = self._lines[index]
        strip = Strip([Segment(item.text, base + self._style(item.style)) for item in row.spans if item.text])
        strip = strip.crop_extend(scroll_x, scroll_x + width, base)
        if index == self.cursor and self.has_focus:
            strip = strip.apply_style(self._style("cursor"))
        return strip

    @property
    def current(self) -> Line | None:
        """The row under the cursor."""
        return self._lines[self.cursor] if 0 <= self.cursor < len(self._lines) else None

    @property
    def text(self) -> str:
        """All rows without styles, for tests and for copying."""
        return "\n".join(item.text for item in self._lines)

    def widest(self) -> int:
        """Cells of the widest of the first rows."""
        return max((cell_len(item.text) for item in self._lines[:2000]), default=0)

    def action_move(self, step: int) -> None:
        """Move the cursor by rows."""
        self._go(self.cursor + step)

    def action_page(self, direction: int) -> None:
        """Move by a page."""
        self._go(self.cursor + direction * max(self.size.height - 1, 1))

    def action_edge(self, direction: int) -> None:
        """Move to the top or the bottom."""
        self._go(0 if direction < 0 else len(self._lines) - 1)

    def action_sideways(self, step: int) -> None:
        """Scroll left or right."""
        self.scroll_to(x=max(self.scroll_offset.x + step, 0), animate=False)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        row = self.current
        if row is not None and row.target is not None:
            self.post_message(self.Opened(self, row.target))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the cursor's row it opens."""
        index = event.y + self.scroll_offset.y
        again = index == self.cursor
        self._go(index)
        if again:
            self.action_open()

    def next_where(self, test: Callable[[Line], bool]) -> bool:
        """Move to the next row for which `test` holds, from the top again after the last."""
        count = len(self._lines)
        for step in range(1, count + 1):
            index = (self.cursor + step) % count
            if test(self._lines[index]):
                self._go(index)
                return True
        return False

    def _go(self, index: int) -> None:
        self.cursor = min(max(index, 0), max(len(self._lines) - 1, 0))
        self.scroll_to_region(Region(self.scroll_offset.x, self.cursor, 1, 1), animate=False)
