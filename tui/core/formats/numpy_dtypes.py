"""numpy's dtype descriptors by the names used here (`numpy/lib/_format_impl.py` 2.4, `descr_to_dtype`)."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from tui.core.text import printable

_CODES = {"f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64", "c16": "C128", "b1": "BOOL", "?": "BOOL"}
_PLAIN = re.compile(r"^[<>|=]?(?P<kind>[biufcSUVmM?])(?P<size>\d{0,9})(\[.*\])?$")


class BadHeader(Exception):
    """The header is none; the message is the sentence that says why."""


def dtype_of(descr: Any) -> tuple[str, int | None]:
    """Name here and bytes of an element from a `descr`; `None` bytes where it holds objects."""
    if isinstance(descr, str):
        return _plain_dtype(descr)
    if isinstance(descr, list) and descr:
        return _record_dtype(descr, 0)
    raise BadHeader(f"descr is not a valid dtype descriptor: {printable(str(descr), 80)}")


def _plain_dtype(descr: str) -> tuple[str, int | None]:
    if descr.lstrip("<>|=") in ("O", "O4", "O8", "object", "object_"):
        return "object", None
    match = _PLAIN.match(descr)
    if match is None:
        raise BadHeader(f"descr is not a valid dtype descriptor: {printable(descr, 80)}")
    kind, size = match["kind"], int(match["size"] or 0)
    if kind in "mM":
        return descr.lstrip("<>|="), 8
    if kind == "U":
        return f"U{size}", 4 * size
    if kind in "SV":
        return f"{kind}{size}", size
    name = _CODES.get(f"{kind}{size or ''}")
    if name is None and kind in "iu" and size in (1, 2, 4, 8):
        name = f"{kind.upper()}{size * 8}"
    if name is None and kind in "fc" and size in (10, 12, 16, 20, 24, 32):
        name = f"{kind}{size}"
    if name is None:
        raise BadHeader(f"descr is not a valid dtype descriptor: {printable(descr, 80)}")
    return name, size or 1


def _record_dtype(fields: list[Any], depth: int) -> tuple[str, int | None]:
    """A structured dtype: the sum of its fields; objects anywhere make it a pickle."""
    total = 0
    pickled = False
    for entry in fields:
        if not (isinstance(entry, tuple) and 2 <= len(entry) <= 3) or depth > 16:
            raise BadHeader(f"descr is not a valid dtype descriptor: {printable(str(fields), 80)}")
        inner = entry[1]
        _, size = _record_dtype(inner, depth + 1) if isinstance(inner, list) else _plain_dtype(str(inner))
        repeat = entry[2] if len(entry) == 3 else ()
        sizes = repeat if isinstance(repeat, tuple) else (repeat,)
        if not all(type(item) is int and item >= 0 for item in sizes):
            raise BadHeader(f"descr is not a valid dtype descriptor: {printable(str(fields), 80)}")
        pickled = pickled or size is None
        total += prod(sizes) * (size or 0)
    return "record", None if pickled else total
