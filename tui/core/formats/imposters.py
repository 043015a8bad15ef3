"""What lies under a weight file's name and is no weight file: git-lfs pointers, HTML pages, zeros, nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.problems import Problem
from tui.core.text import bytes_size, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_NO_GRAPH = (
    "Importing a SavedModel with `tf.saved_model.load` requires a `tags=` argument if there is more than one "
    "MetaGraph. Got `tags=None`, but there are 0 MetaGraphs in the SavedModel with tag sets: []. Pass a `tags=` "
    "argument to load this SavedModel."
)
_POINTER = b"version https://git-lfs"
_OID = re.compile(rb"oid sha256:([0-9a-f]{64})")
_SIZE = re.compile(rb"^size (\d{1,15})$", re.MULTILINE)
_TITLE = re.compile(rb"<title[^>]*>([^<]{0,120})", re.IGNORECASE)


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the content is none of any weight format, and known for what it is."""
    return size == 0 or head.startswith(_POINTER) or _is_html(head) or (len(head) >= 64 and not head.strip(b"\0"))


def _is_html(head: bytes) -> bool:
    start = head.lstrip()[:64].lower()
    return start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))


def read(file: RegularFile) -> FileReport:
    """The file under its true name, with the loader's misleading words beside it."""
    head = file.head(4096)
    if file.size == 0:
        return _report(
            file, "empty", Problem("file-empty-file", "is empty (0 bytes)", file.name, 0, True, _words(file, head))
        )
    if head.startswith(_POINTER):
        return _pointer(file, head)
    if _is_html(head):
        title = _TITLE.search(head)
        shown = f", titled “{printable(title[1].decode('utf-8', 'replace').strip(), 80)}”" if title else ""
        message = f"is an HTML page of {file.size:,} bytes{shown}, not weights"
        return _report(file, "html", Problem("html-weights", message, file.name, 0, True, _words(file, head)))
    message = f"begins with {len(head):,} zero bytes: nothing was written, or the disk was full"
    return _report(file, "zeros", Problem("file-zero-filled", message, file.name, 0, True, _words(file, head)))


def _report(file: RegularFile, kind: str, problem: Problem) -> FileReport:
    return FileReport(file.name, kind, file.size, problems=(problem,), modified=file.modified, allocated=file.blocks)


def _pointer(file: RegularFile, head: bytes) -> FileReport:
    size, oid = _SIZE.search(head), _OID.search(head)
    promised = bytes_size(int(size[1])) if size else "of unknown size"
    suffix = file.name.rpartition(".")[2]
    code = {"safetensors": "lfs-pointer-safetensors", "json": "lfs-pointer-json"}.get(suffix, "lfs-pointer-pickle")
    message = f"is a git-lfs pointer of {file.size} bytes; the real file has {promised}"
    detail = (f"sha256 {oid[1].decode()}",) if oid else ()
    problem = Problem(code, message, file.name, 0, True, _words(file, head), detail)
    report = _report(file, "lfs_pointer", problem)
    if size and oid:
        report.metadata.update({"oid": oid[1].decode(), "size": int(size[1])})
    return report


def _words(file: RegularFile, head: bytes) -> tuple[str, str] | None:
    """What the loader that the name asks for says of these bytes."""
    if file.name.endswith(".safetensors"):
        if file.size < 8:
            return ("SafetensorError", "Error while deserializing header: header too small")
        length = int.from_bytes(head[:8], "little")
        words = "header too large" if length > 100_000_000 else "invalid JSON in header"
        return ("SafetensorError", f"Error while deserializing header: {words}")
    if file.name.endswith((".bin", ".pt", ".pth", ".ckpt")):
        if file.size == 0:
            return ("EOFError", "")
        return ("UnpicklingError", f"Weights only load failed. … Unsupported operand {head[0]}")
    if file.name.endswith("saved_model.pb"):
        return ("ValueError", _NO_GRAPH) if file.size == 0 else ("OSError", "… Wire format was corrupt.")
    return None
