"""JSON in and out: bounded reading of files that may be hostile, and output that no terminal acts on."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tui.core.record import Record

MAX_JSON_BYTES = 64 << 20
"""A `tokenizer.json` of 30 MB is real; nothing that we parse whole is larger."""


class _NotFinite:
    """Notes that a file held NaN or Infinity."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, text: str) -> float:
        self.found.append(text)
        return float(text.replace("Infinity", "inf").replace("NaN", "nan"))


class JsonError(Record, frozen=True):
    """Why a text is not JSON: the message of Python's own parser, and where."""

    message: str
    line: int = 0
    column: int = 0
    offset: int = 0


class JsonDocument(Record, frozen=True):
    """A parsed JSON file, or the reason it could not be parsed."""

    value: Any = None
    error: JsonError | None = None
    not_finite: tuple[str, ...] = ()


def parse(data: bytes) -> JsonDocument:
    """`data` as JSON the way `json.load` reads it, never raising; at most `MAX_JSON_BYTES`.

    msgspec is asked first: it is three times as fast, and what it accepts it reads as `json` does.
    """
    if len(data) > MAX_JSON_BYTES:
        return JsonDocument(error=JsonError(f"larger than {MAX_JSON_BYTES >> 20} MiB: not read"))
    try:
        return JsonDocument(value=msgspec.json.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        return _parse_slowly(data)


def _parse_slowly(data: bytes) -> JsonDocument:
    """The same by `json` itself, which also reads NaN, infinities and half surrogate pairs, and says what is wrong."""
    constants = _NotFinite()
    try:
        text = data.decode("utf-8")
        odd = b"NaN" in data or b"Infinity" in data
        value = json.loads(text, parse_constant=constants) if odd else json.loads(text)
    except UnicodeDecodeError as error:
        return JsonDocument(error=JsonError(f"not UTF-8: {error.reason} at byte {error.start}", offset=error.start))
    except json.JSONDecodeError as error:
        return JsonDocument(error=JsonError(error.msg, error.lineno, error.colno, error.pos))
    except RecursionError:
        return JsonDocument(error=JsonError("nested too deeply"))
    except ValueError as error:
        return JsonDocument(error=JsonError(str(error)[:200]))
    return JsonDocument(value=value, not_finite=tuple(constants.found[:8]))


def dumps(value: Any, *, indent: int | None = 1) -> str:
    """`value` as JSON in which every control, C1, bidi, surrogate and other non-ASCII character is `\\uXXXX`."""
    text = _ascii(value)
    if indent is None:
        return text
    try:
        return msgspec.json.format(text, indent=indent)
    except msgspec.DecodeError:  # a lone surrogate, which Python writes and reads and msgspec does not
        text = json.dumps(value, ensure_ascii=True, default=_plain, allow_nan=False, indent=indent)
        return text.replace("\x7f", "\\u007f")


def _ascii(value: Any) -> str:
    """JSON in ASCII: by the fast encoder where that gives ASCII anyway, else by Python's, which escapes the rest."""
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        data = b"\x7f"
    if data.isascii() and b"\x7f" not in data:
        return data.decode("ascii")
    return json.dumps(value, ensure_ascii=True, default=_plain, allow_nan=False).replace("\x7f", "\\u007f")


def _plain(value: Any) -> Any:
    """Structs are objects, tuples and sets are lists; anything else is its text."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def finite(value: Any) -> Any:
    """`value` with NaN and Infinity as the strings that Python's parser reads back."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
