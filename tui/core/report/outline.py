"""A file's metadata as lines for reading: what is nested is indented, what repeats is cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITEMS = 12
_DEPTH = 6
_SCALARS = (str, int, float, bool, bytes, type(None))


def outline(metadata: dict[str, Any], most: int = 80) -> list[str]:
    """At most so many lines, and how many were left out."""
    lines = list(_children(metadata, 0, most + 1))
    return lines if len(lines) <= most else [*lines[:most], "…"]


def _children(value: dict[str, Any], depth: int, most: int) -> Iterator[str]:
    for number, (key, item) in enumerate(value.items()):
        if number >= most:
            yield "  " * depth + "…"
            return
        yield from _entry(printable(str(key), 60), item, depth)


def _entry(label: str, value: Any, depth: int) -> Iterator[str]:
    """One key and what it holds."""
    short = _in_a_line(value, depth)
    if short is not None:
        yield f"{'  ' * depth}{label}: {short}"
        return
    yield f"{'  ' * depth}{label}:"
    if isinstance(value, dict):
        yield from _children(value, depth + 1, _ITEMS * 2)
        return
    for number, item in enumerate(value[:_ITEMS], 1):
        yield from _entry(str(number), item, depth + 1)
    if len(value) > _ITEMS:
        yield f"{'  ' * (depth + 1)}and {len(value) - _ITEMS:,} more"


def _in_a_line(value: Any, depth: int) -> str | None:
    """What needs no lines of its own: a scalar, a list or dict of them, a dtype with its shape."""
    if isinstance(value, _SCALARS):
        return printable(str(value), 160)
    if isinstance(value, dict) and value.keys() >= {"dtype", "shape"} and isinstance(value["shape"], list | type(None)):
        return _tensor(value)
    if depth >= _DEPTH or not value:
        return printable(str(value), 160) if value else "none"
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list | tuple):
        return printable(str(value), 160)
    if not all(isinstance(item, _SCALARS) for item in items[:200]):
        return None
    if isinstance(value, dict):
        pairs = [f"{printable(str(key), 40)} {printable(str(item), 80)}" for key, item in list(value.items())[:5]]
        return ", ".join(pairs) if len(value) <= 4 else None
    shown = ", ".join(printable(str(item), 80) for item in items[:_ITEMS])
    return shown + (f" and {len(items) - _ITEMS:,} more" if len(items) > _ITEMS else "")


def _tensor(value: dict[str, Any]) -> str:
    """`x: float32[?, 3]`."""
    shape = value["shape"]
    sizes = "[…]" if shape is None else f"[{', '.join('?' if size is None else str(size) for size in shape[:16])}]"
    name = f"{printable(str(value['name']), 80)}: " if value.get("name") else ""
    return f"{name}{printable(str(value['dtype']), 40)}{sizes}"
