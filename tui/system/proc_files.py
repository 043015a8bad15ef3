"""Small files of the kernel: text and numbers, absent or unreadable ones empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 1 << 20


def text_of(path: Path) -> str:
    """The file's text, empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST)
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The whole number that the file holds, `None` for anything else (`max`, absent)."""
    text = text_of(path).strip()
    return int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 24 else None
