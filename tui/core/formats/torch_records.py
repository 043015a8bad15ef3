"""The small records of torch's zip: version, byte order, alignment; what torch makes of their values.

Mirrors `caffe2/serialize/inline_container.cc` (`std::stoull` on the version) and `_load` of `torch/serialization.py`
2.13. Their checksums are not looked at there, so that a wrong one refuses nothing.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from tui.core.formats.zip_directory import Member, ZipBroken, read_start
from tui.core.problems import Problem
from tui.core.text import bytes_size, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

NEWEST_VERSION = 10
"""`kMaxSupportedFileFormatVersion` of torch 2.13."""

_KEPT = 4096
"""Bytes of a record that are looked at."""

_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_SHOWN = ("version", ".format_version", "byteorder")
_READ = ("version", ".data/version", ".format_version", "byteorder", ".storage_alignment")


def read_records(
    file: RegularFile, records: dict[str, Member], root: str
) -> tuple[dict[str, str], dict[str, bytes], list[str]]:
    """What the archive says about itself, the records as they are, and those whose CRC does not match."""
    out = {"archive": root}
    raw: dict[str, bytes] = {}
    changed: list[str] = []
    for record in _READ:
        member = records.get(record)
        if member is None:
            continue
        try:
            data = read_start(file, member, _KEPT)
        except ZipBroken:
            continue
        raw[record] = data
        if record in _SHOWN and member.size < 64:
            out[record.lstrip(".")] = data.decode("ascii", "replace").strip()
            if zlib.crc32(data) != member.crc:
                changed.append(record)
    stored = sum(member.size for name, member in records.items() if name.startswith("data/"))
    out["stored"] = bytes_size(stored)
    return out, raw, changed


def record_problems(file: RegularFile, raw: dict[str, bytes], changed: list[str]) -> list[Problem]:
    """Records whose value torch refuses, the version first as torch looks at it first, and changed ones."""
    problems: list[Problem] = []
    version = raw.get(".data/version", raw.get("version"))
    refused = _version_error(version) if version is not None else None
    if refused is not None and version is not None:
        words = f"its version is {_shown(version)}; torch 2.13 reads 1 to {NEWEST_VERSION}"
        problems.append(Problem("torch-zip-version", words, file.name, loader_error=refused))
    order = raw.get("byteorder")
    if order is not None and order not in (b"little", b"big"):
        words = f"its byte order is {_shown(order)}, neither little nor big"
        refused = _undecodable(order) or ("ValueError", f"Unknown endianness type: {order.decode()}")
        problems.append(Problem("torch-zip-version", words, file.name, loader_error=refused))
    alignment = raw.get(".storage_alignment")
    if alignment is not None and not _is_int(alignment):
        words = f"its storage alignment is {_shown(alignment)}, no number"
        refused = ("ValueError", f"invalid literal for int() with base 10: {alignment[:64]!r}")
        problems.append(Problem("torch-zip-version", words, file.name, loader_error=refused))
    if changed:
        words = f"the CRC-32 of {listing(changed)} does not match"
        problems.append(Problem("zip-crc", words, file.name, fatal=False))
    return problems


def _shown(data: bytes) -> str:
    return repr(printable(data.decode("utf-8", "replace"), 20))


def _version_error(data: bytes) -> tuple[str, str] | None:
    """What torch raises over a version, `None` where it accepts it: digits after blanks and a sign, the rest unread."""
    found = _NUMBER.match(data)
    if found is None:
        text = data.decode("utf-8", "replace")
        return _undecodable(data, 71) or ("RuntimeError", f"Couldn't parse the version {text} as Long Long.")
    digits = found[2].lstrip(b"0") or b"0"
    if len(digits) > 20 or int(digits) >= 1 << 64:
        return ("IndexError", "stoull")
    number = int(digits) if found[1] != b"-" else -int(digits)
    number = (number + (1 << 63)) % (1 << 64) - (1 << 63)
    if 1 <= number <= NEWEST_VERSION:
        return None
    side, limit = ("minimum", 1) if number < 1 else ("maximum", NEWEST_VERSION)
    said = f"Attempted to read a PyTorch file with version {number}, but the {side} supported version for "
    return ("RuntimeError", f"{said}reading is {limit}.")


def _undecodable(data: bytes, before: int = 0) -> tuple[str, str] | None:
    """Python's words where a message that quotes `data` after `before` bytes is no UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"in position {before + error.start}"
        return ("UnicodeDecodeError", f"'utf-8' codec can't decode byte {data[error.start]:#04x} {where}")
    return None


def _is_int(data: bytes) -> bool:
    """Whether Python's `int()` reads the bytes."""
    try:
        int(data)
    except ValueError:
        return False
    return True
