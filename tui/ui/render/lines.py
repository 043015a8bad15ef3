"""Lines of styled text, the one currency between core data and widgets."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.core.text import printable

STYLES = ("good", "bad", "warn", "dim", "head", "key", "plain")
"""Names of the styles that a span may have; the widget gives them colours."""


@dataclass(frozen=True)
class Span:
    """A piece of text in one style; its text is printable once made by `span`."""

    text: str
    style: str = "plain"


def span(text: str, style: str = "plain", limit: int | None = 4000) -> Span:
    """A span whose text can do nothing to a terminal."""
    return Span(printable(text, limit), style)


@dataclass(frozen=True)
class Line:
    """One row of a list."""

    spans: tuple[Span, ...] = ()
    target: Any = None
    """What Enter opens, folds or unfolds; `None` for a row that does nothing."""

    copy: str = field(default="", compare=False)
    """What `y` copies; the text of the row where empty."""

    @property
    def text(self) -> str:
        """The row without styles."""
        return "".join(item.text for item in self.spans)


def line(*parts: Span | str, target: Any = None, copy: str = "") -> Line:
    """A row from spans and plain words of our own."""
    return Line(tuple(part if isinstance(part, Span) else Span(part) for part in parts), target, copy)


BLANK = Line()


def wrapped(text: str, width: int, style: str = "plain", first: str = "", rest: str = "", copy: str = "") -> list[Line]:
    """`text` broken to `width` cells, with a prefix for the first row and one for the others."""
    room = max(width - len(first) - 1, 16)
    pieces = textwrap.wrap(printable(text, 8000), room, break_long_words=True, break_on_hyphens=False) or [""]
    return [
        Line((Span(first if index == 0 else rest), Span(piece, style)), copy=copy) for index, piece in enumerate(pieces)
    ]


def program(text: str, width: int, first: str, rest: str) -> list[Line]:
    """A command or a program of several lines, its own line breaks and indentation kept; copied whole."""
    rows: list[Line] = []
    for number, part in enumerate(text.split("\n")):
        body = part.lstrip(" ")
        indent = " " * min(len(part) - len(body), 24)
        lead = first if number == 0 else rest
        rows += wrapped(body, width, "key", lead + indent, rest + indent, copy=text)
    return rows


class Lazy(Sequence[Line]):
    """Rows that are made when they are looked at: a list of 50,000 tensors costs nothing until it is scrolled."""

    def __init__(self, count: int, make: Callable[[int], Line]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._make(number) for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._make(index)
