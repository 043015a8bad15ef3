"""Compressed streams: gzip, zlib, bzip2, xz, lzma, and joblib's `ZF`; inflated within a budget, then read.

joblib, pandas and `pickle` over `gzip.open` write pickles so; a scan of the compressed bytes would see nothing.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport, PickleReport
from tui.core.formats import tar_files, torch_legacy
from tui.core.formats.pickles.trace import Source
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.text import bytes_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.files import RegularFile

MAX_INFLATED = 64 << 20
_CHUNK = 1 << 20
_ZF = b"ZF"
_ZF_LENGTH = 20
"""The prefix and the hexadecimal length, which begins with `0x`, in the shortest form that joblib has written."""

_HOW: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "zlib": zlib.decompressobj,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=256 << 20),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=256 << 20),
}


@dataclass
class Inflated:
    """What came out of a stream."""

    data: bytes
    whole: bool
    """Whether the stream was read to its end."""

    error: str = ""


def kind_of(head: bytes) -> tuple[str, int]:
    """(compression, offset of its first byte), empty where the bytes are none of these."""
    for magic, kind in ((b"\x1f\x8b\x08", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x5d\0\0", "lzma")):
        if head.startswith(magic):
            return kind, 0
    if head.startswith(_ZF):
        start = head.find(b"\x78", _ZF_LENGTH, 40)
        return ("zlib", start) if start > 0 else ("", 0)
    if len(head) > 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib", 0
    return "", 0


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the bytes are one of these streams; the short magics of lzma and zlib must also inflate."""
    kind, start = kind_of(head)
    if kind in ("zlib", "lzma"):
        return bool(inflate(kind, head[start:], 64).data)
    return bool(kind)


def inflate(kind: str, data: bytes, limit: int) -> Inflated:
    """At most `limit` bytes of what `data` holds; streams may follow one another."""
    return _pump(kind, iter([data]), limit)


def _pump(kind: str, chunks: Any, limit: int) -> Inflated:
    """Feed the chunks through one decompressor after another until the limit or the end."""
    out = bytearray()
    engine, rest, finished = _HOW[kind](), b"", False
    for chunk in chunks:
        rest += chunk
        while rest:
            if finished:
                engine, finished = _HOW[kind](), False
            try:
                out += engine.decompress(rest, limit + 1 - len(out))
            except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as error:
                return Inflated(bytes(out), bool(out) and finished, f"{type(error).__name__}: {error}")
            finished = engine.eof
            rest = engine.unused_data if finished else getattr(engine, "unconsumed_tail", b"")
            if len(out) > limit:
                return Inflated(bytes(out[:limit]), False, f"inflates past {bytes_size(limit)}: not read further")
            if not finished and not getattr(engine, "unconsumed_tail", b""):
                rest = b""
    if not finished:
        return Inflated(bytes(out), False, "ends before the end of the stream")
    return Inflated(bytes(out), True)


def read(file: RegularFile) -> FileReport:
    """What the stream holds: pickles and tar archives are read, anything else is named."""
    kind, start = kind_of(file.head(512))
    inflated = _pump(kind, _chunks(file, start), MAX_INFLATED)
    label = "joblib_zlib" if file.head(2) == _ZF else kind
    report = FileReport(file.name, label, file.size, modified=file.modified, allocated=file.blocks)
    head = inflated.data[:512]
    if torch_legacy.matches(head, "inner.pkl", len(inflated.data)):
        report = torch_legacy.read_source(replace(report, format="pickle"), Source(None, inflated.data))
    elif tar_files.matches(head, file.name, len(inflated.data)):
        report = tar_files.read_bytes(report, inflated.data)
    report.metadata["compression"] = label
    report.metadata["inflated_bytes"] = len(inflated.data) if inflated.whole else None
    if inflated.whole:
        return report
    return _unfinished(report, inflated)


def _chunks(file: RegularFile, start: int) -> Any:
    for offset in range(start, file.size, _CHUNK):
        yield file.read(offset, min(_CHUNK, file.size - offset))


def _unfinished(report: FileReport, inflated: Inflated) -> FileReport:
    """A stream that was not read to its end: what was not seen is not judged."""
    past = inflated.error.startswith("inflates past")
    pickle = report.pickle or PickleReport("tensors_only")
    if report.pickle is not None or past:
        level = "not_verified" if pickle.level in ("tensors_only", "needs_code", "suspicious") else pickle.level
        report = replace(report, pickle=replace(pickle, level=level, reasons=(*pickle.reasons, inflated.error)))
    if past:
        kept = tuple(item for item in report.problems if item.code not in ("pickle-broken", "torch-legacy-truncated"))
        return replace(report, problems=kept)
    words = f"the {report.metadata['compression']} stream is damaged or cut off: {inflated.error}"
    error = ("EOFError", "Compressed file ended before the end-of-stream marker was reached")
    problem = Problem("pickle-broken", words, report.name, report.size, loader_error=error)
    return replace(report, problems=(problem,))
