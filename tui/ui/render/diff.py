"""Two checkpoints side by side, as rows of two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.difference import summary
from tui.core.text import middle, printable, shape_text
from tui.ui.render.lines import BLANK, Lazy, Line, line, span, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.core.difference import Difference, Match
    from tui.core.relatives.entries import Entry


def rows(found: Difference, width: int) -> Sequence[Line]:
    """Summary, config, tokenizer, then tensors: those that differ first. They are made as they are looked at."""
    column = max((width - 5) // 2, 12)
    head = wrapped(summary(found), width, "head")
    for note in found.notes:
        head += wrapped(note, width, "dim")
    for title, pairs in (("config", found.config), ("tokenizer", found.tokenizer)):
        for key, pair in pairs.items():
            head.append(line(span(f"≠ {title} {key}", "warn"), copy=f"{key}: {pair[0]} → {pair[1]}"))
            head.append(_columns("  ", str(pair[0]), str(pair[1]), column, ("bad", "good")))
    if not found.any:
        head.append(line(span("nothing differs", "good")))
    matches = sorted(found.matches, key=_rank)
    lost = [("−", name, "") for name in found.only_first] + [("+", "", name) for name in found.only_second]
    head.append(BLANK)

    def make(index: int) -> Line:
        if index < len(head):
            return head[index]
        index -= len(head)
        if index < len(lost):
            symbol, one, other = lost[index]
            return _columns(f"{symbol} ", one or "—", other or "—", column, ("bad", "good"), one or other)
        return _match(matches[index - len(lost)], column)

    return Lazy(len(head) + len(lost) + len(matches), make)


def _rank(match: Match) -> int:
    """Differing, not compared, equal."""
    if match.differs:
        return 0
    return 1 if match.values is not None and match.values.equal is None else 2


def _match(match: Match, column: int) -> Line:
    """One pair: names with dtype and shape on both sides, and how far the values are apart."""
    style = "warn" if match.differs else "dim"
    symbol = "≠ " if match.differs else ("? " if _rank(match) == 1 else "= ")
    first, second = match.pair.first, match.pair.second
    largest = match.values.largest if match.values is not None and match.values.equal is False else None
    apart = "" if largest is None else f"Δ {largest:.3g} "
    left, right = _side(first, column), _side(second, column - len(apart), apart)
    copy = f"{match.name} {match.other}" if match.name != match.other else match.name
    return _columns(symbol, left, right, column, (style, style), copy)


def _side(entry: Entry, column: int, lead: str = "") -> str:
    """`Δ 0.5 model.…q_proj.weight F32 [64, 64]`, the name folded to fit."""
    kind = f" {entry.tensor.dtype} {shape_text(entry.shape)}"
    return f"{lead}{middle(printable(entry.tensor.name), max(column - len(kind), 8))}{kind}"


def _columns(symbol: str, one: str, other: str, column: int, styles: tuple[str, str], copy: str = "") -> Line:
    left, right = (middle(printable(text), column) for text in (one, other))
    return line(span(symbol, styles[0]), span(f"{left:<{column}}", styles[0]), " │ ", span(right, styles[1]), copy=copy)
