"""The bar of panes, the answer and the status line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tui.core.text import middle, printable

if TYPE_CHECKING:
    from textual import events

PANES: tuple[tuple[str, str], ...] = (
    ("tree", "Tree"),
    ("overview", "Answer"),
    ("compare", "Compare"),
    ("tensors", "Tensors"),
    ("config", "Config"),
    ("tokenizer", "Tokenizer"),
    ("findings", "Findings"),
    ("memory", "Memory"),
    ("log", "Log"),
)
"""Panes by id and name, in the order of their number keys."""

VIEWS = ("overview", "compare", "tensors", "config", "tokenizer", "findings")
"""The panes that share the place on the right."""


class PaneBar(Widget):
    """`1 Tree  2 Answer  3 Compare …`; a click goes to the pane."""

    @dataclass
    class Picked(Message):
        """A pane was clicked."""

        pane: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._current = "overview"
        self._badges: dict[str, str] = {}
        self._spans: list[tuple[int, int, str]] = []

    def mark(self, pane: str, badges: dict[str, str]) -> None:
        """Show which pane is current, and counts beside names."""
        self._current, self._badges = pane, badges
        self.refresh()

    def render(self) -> Text:
        """The names; short ones where the bar is narrow."""
        out = Text(no_wrap=True, overflow="ellipsis")
        self._spans = []
        wide = self.size.width >= 96
        for number, (pane, name) in enumerate(PANES, 1):
            start = len(out)
            badge = self._badges.get(pane, "")
            short = name if self.size.width >= 74 else name[:4]
            words = f"{number} {name}{f' {badge}' if badge else ''}" if wide else f"{number}{short}"
            out.append(words, "bold reverse" if pane == self._current else "")
            self._spans.append((start, len(out), pane))
            out.append("  " if wide else " ")
        return out

    def on_click(self, event: events.Click) -> None:
        """Go to the pane under the pointer."""
        for start, end, pane in self._spans:
            if start <= event.x < end:
                self.post_message(self.Picked(pane))


class StatusLine(Static):
    """What is going on, and in which environment."""

    def tell(self, left: str, right: str) -> None:
        """Two ends of one row; the right end gives way."""
        width = max(self.size.width, 20)
        first = middle(printable(left, 400), max(width - 2, 10))
        room = width - len(first) - 2
        second = middle(printable(right, 400), room) if room > 8 else ""
        gap = " " * max(width - len(first) - len(second), 1)
        text = Text(no_wrap=True)
        text.append(first)
        text.append(gap)
        text.append(second, "dim")
        self.update(text)
