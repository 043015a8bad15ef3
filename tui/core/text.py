"""Text from files, libraries and children, made safe to print.

Every string that did not come from our own source passes `printable` before it reaches a terminal, a
report or a log: a tensor may be called `\\x1b]52;c;…` and would otherwise write the user's clipboard.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

MAX_SHOWN = 512
"""Characters shown of a name unless the caller asks for more."""

_SUSPECT = re.compile("[^\x20-\x7e]")
_MAX_COMBINING = 3


def printable(text: str, limit: int | None = MAX_SHOWN, *, keep_newlines: bool = False) -> str:
    """`text` with everything a terminal could act on made visible, at most `limit` characters.

    C0, C1, DEL, surrogates, format (bidi, zero width), private and unassigned characters become `\\xNN` or
    `\\uNNNN`; more than three combining marks in a row are cut. `keep_newlines` leaves `\\n` alone.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    if keep_newlines:
        return "\n".join(_visible(line) for line in text.split("\n"))
    return _visible(text)


def _visible(text: str) -> str:
    """`text` with each suspect character replaced by its escape."""
    out: list[str] = []
    combining = 0
    for char in text:
        if " " <= char <= "~":
            combining = 0
            out.append(char)
            continue
        category = unicodedata.category(char)
        if category[0] == "M":
            combining += 1
            if combining <= _MAX_COMBINING and len(out) > 0:
                out.append(char)
            continue
        combining = 0
        out.append(_escape(char) if category[0] == "C" or category in ("Zl", "Zp") else char)
    return "".join(out)


def _escape(char: str) -> str:
    """The visible form of one control character."""
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def middle(text: str, width: int) -> str:
    """`text` folded in the middle so that it has at most `width` characters."""
    if len(text) <= width:
        return text
    if width < 5:
        return text[: max(width, 0)]
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def short_key(name: str, width: int) -> str:
    """A tensor's name in at most `width` characters: its first number and its end say which one it is."""
    parts = name.split(".")
    number = next((index for index, part in enumerate(parts) if part[:1].isdigit() or part[:1] == "{"), None)
    head = ".".join(parts[max(number - 1, 0) : number + 1]) if number is not None else ""
    room = width - len(head) - 1
    if len(name) <= width or not head or room < 6:
        return middle(name, width)
    tail = ""
    for part in reversed(parts[(number or 0) + 1 :]):
        if len(part) + len(tail) > room:
            break
        tail = f".{part}{tail}"
    tail = tail.removeprefix(".") or parts[-1][-room:]
    return f"{head}…{tail}"


def shell(*words: str) -> str:
    """A command line that a user can paste, each word quoted where it must be."""
    return " ".join(word if _plain(word) else shlex.quote(word) for word in words)


def _plain(word: str) -> bool:
    """Whether the shell reads `word` as itself."""
    return re.fullmatch(r"[\w@%+=:,./~-]+", word, re.ASCII) is not None


def is_suspect(text: str) -> bool:
    """Whether `text` holds anything but printable ASCII."""
    return _SUSPECT.search(text) is not None


def bytes_size(count: int | None) -> str:
    """`count` bytes in binary multiples, or `unknown`."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024 or unit == "PiB":
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def count_of(number: int, noun: str, plural: str = "") -> str:
    """`3 tensors`, `1 tensor`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shape_text(shape: tuple[int, ...] | list[int] | None) -> str:
    """`[9, 768]`, or `?` where it is unknown."""
    return "?" if shape is None else f"[{', '.join(str(size) for size in shape)}]"


def listing(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first few of `names`, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
