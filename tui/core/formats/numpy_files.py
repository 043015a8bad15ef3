"""numpy's `.npy` (one array or several in a row) and `.npz`: headers alone; object arrays go to the pickle reader.

Mirrors `numpy/lib/_format_impl.py` 2.4 (`_read_array_header`, `read_array`). The header is a Python literal; it is
bounded as numpy bounds it, and its nesting is checked before it is given to `ast.literal_eval`.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport, PickleReport
from tui.core.files import FileProblem
from tui.core.formats.cursor import Cursor, CutShort
from tui.core.formats.extents import overlap_words, trailing_problems
from tui.core.formats.numpy_dtypes import BadHeader, dtype_of
from tui.core.formats.pickles.judge import judge
from tui.core.formats.pickles.machine import Machine
from tui.core.formats.pickles.trace import PickleBroken, Source, Trace
from tui.core.formats.pickles.walk import Found
from tui.core.formats.zip_directory import (
    Member,
    ZipBroken,
    archive_end,
    data_offset,
    overlaps,
    read_member,
    read_start,
)
from tui.core.problems import Problem
from tui.core.record import Record
from tui.core.tensors import Tensor
from tui.core.text import bytes_size, count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
"""numpy's own limit (`_MAX_HEADER_SIZE`)."""

MAX_ARRAYS = 200_000
MAX_OBJECTS = 64 << 20
"""Bytes of a compressed object array that are inflated to be read."""

_UNARY = re.compile(r"[-+~!]\s*[-+~!]")
_NOT_BRACKETS = re.compile(r"[^(\[{)\]}]+")
_PYTHON2_LONG = re.compile(r"(?<=\d)L\b")


class Header(Record, frozen=True):
    """What precedes one array's bytes."""

    descr: Any
    dtype: str
    itemsize: int | None
    """Bytes of one element, `None` for objects."""

    shape: tuple[int, ...]
    fortran: bool
    start: int
    """Offset of the first byte after the header."""

    @property
    def nbytes(self) -> int | None:
        """Bytes of the array, `None` for objects, which are a pickle."""
        return None if self.itemsize is None else prod(self.shape) * self.itemsize

    @property
    def stride(self) -> tuple[int, ...] | None:
        """Elements between neighbours where the array is stored column by column."""
        if not self.fortran or len(self.shape) < 2:
            return None
        return tuple(prod(self.shape[:index]) for index in range(len(self.shape)))


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file begins as an array does."""
    return head[:6] == MAGIC


def read(file: RegularFile) -> FileReport:
    """Every array of an `.npy` file, one after another."""
    report = _Report(file)
    position = 0
    while position < file.size and len(report.tensors) < MAX_ARRAYS:
        cursor = Cursor(file, position)
        if position and file.read(position, min(6, file.size - position)) != MAGIC:
            words = f"{count_of(file.size - position, 'byte')} after the array ends at {position:,}"
            report.problems.append(Problem("numpy-trailing-bytes", words, file.name, position, fatal=False))
            break
        number = len(report.tensors)
        try:
            header = parse_header(cursor)
        except (BadHeader, CutShort) as bad:
            report.bad_header(bad, position)
            break
        if header.itemsize is None:
            position = report.objects(header, "array" if number == 0 else f"array.{number}", Source(file), header.start)
            continue
        end = header.start + (header.nbytes or 0)
        report.array(header, "array" if number == 0 else f"array.{number}", header.start)
        if end > file.size:
            report.cut(header, file.size - header.start)
            break
        position = end
    if len(report.tensors) >= MAX_ARRAYS and position < file.size:
        words = f"arrays beyond the first {MAX_ARRAYS:,} are not read"
        report.problems.append(Problem("numpy-trailing-bytes", words, file.name, position, fatal=False))
    return report.finish("npy")


def read_zip(file: RegularFile, members: list[Member]) -> FileReport:
    """The arrays of an `.npz`, named as `numpy.load` names them."""
    report = _Report(file)
    for member in members[:MAX_ARRAYS]:
        name = member.name.removesuffix(".npy")
        try:
            _member(report, file, member, name)
        except (BadHeader, CutShort) as bad:
            report.bad_header(bad, member.header, member.name)
        except (ZipBroken, FileProblem) as broken:
            error = ("BadZipFile", f"Bad CRC-32 for file '{printable(member.name, 80)}'")
            report.problems.append(
                Problem("zip-record-corrupt", str(broken), file.name, member.header, loader_error=error)
            )
    if len({member.name for member in members}) < len(members):
        words = "two members of the archive share a name"
        report.problems.append(Problem("zip-duplicate-member", words, file.name, fatal=False))
    over = overlaps(members)
    if over:
        words = overlap_words(over, "member")
        error = ("BadZipFile", f"Overlapped entries: {printable(over[0][2], 80)!r} (possible zip bomb)")
        report.problems.append(Problem("zip-record-corrupt", words, file.name, over[0][0], loader_error=error))
    report.problems += trailing_problems(file.name, file.size, archive_end(file))
    return report.finish("npz")


def _member(report: _Report, file: RegularFile, member: Member, name: str) -> None:
    """One array of an archive: its header, and for objects their pickle."""
    start = read_start(file, member, MAX_HEADER + 16, named=True)
    if start[:6] != MAGIC:
        raise BadHeader("does not begin as an array does")
    header = parse_header(Cursor(None, data=start))
    if header.itemsize is None:
        data = read_member(file, member, MAX_OBJECTS)
        report.objects(header, name, Source(None, data), header.start)
        return
    place = data_offset(file, member) + header.start if member.method == 0 else None
    report.array(header, name, place)
    held = member.size - header.start
    if held < (header.nbytes or 0):
        report.cut(header, held, member.name)


class _Report:
    """Arrays, problems and pickles as they are met."""

    def __init__(self, file: RegularFile) -> None:
        self.file = file
        self.tensors: list[Tensor] = []
        self.problems: list[Problem] = []
        self.traces: list[Trace] = []
        self.broken = ""
        self.pickled: list[str] = []
        self.metadata: dict[str, Any] = {}

    def array(self, header: Header, name: str, place: int | None) -> None:
        """A plain array."""
        self.tensors.append(
            Tensor(name, header.dtype, header.shape, header.nbytes or 0, self.file.name, place, "", header.stride)
        )
        if isinstance(header.descr, list) or header.dtype != header.descr.lstrip("<>|=") or header.descr[:1] == ">":
            self.metadata.setdefault("descr", {})[name] = str(header.descr)[:200]

    def objects(self, header: Header, name: str, source: Source, start: int) -> int:
        """An array of Python objects: its pickle, judged; returns where it ends."""
        self.pickled.append(name)
        machine = Machine(source, start)
        try:
            trace = machine.run()
        except PickleBroken as error:
            machine.trace.refuse("")
            self.traces.append(machine.trace)
            self.broken = f"the pickle of {printable(name, 80)} breaks at byte {error.offset:,}: {error}"
            return source.end
        self.traces.append(trace)
        return trace.end

    def bad_header(self, bad: Exception, position: int, member: str = "") -> None:
        """A header that numpy refuses."""
        where = f"{printable(member, 80)}: " if member else ""
        error = ("ValueError", str(bad) if isinstance(bad, BadHeader) else "EOF: reading array header")
        code = "numpy-truncated" if isinstance(bad, CutShort) else "numpy-invalid-header"
        self.problems.append(Problem(code, f"{where}{bad}", self.file.name, position, loader_error=error))

    def cut(self, header: Header, held: int, member: str = "") -> None:
        """An array with fewer bytes than its header says."""
        needed = header.nbytes or 0
        where = f"{printable(member, 80)}: " if member else ""
        words = f"{where}the array needs {needed:,} bytes, {held:,} are there: {bytes_size(needed - held)} are missing"
        have = held // header.itemsize if header.itemsize else 0
        said = (
            f"Failed to read all data for array. Expected {header.shape} = {prod(header.shape)} elements, could only "
        )
        error = ("ValueError", f"{said}read {have} elements. (file seems not fully written?)")
        if member:
            error = ("ValueError", f"EOF: reading array data, expected {needed} bytes got {held}")
        self.problems.append(Problem("numpy-truncated", words, self.file.name, self.file.size, loader_error=error))

    def finish(self, kind: str) -> FileReport:
        """All of it as a file's report."""
        pickle: PickleReport | None = None
        if self.pickled:
            pickle = judge(self.traces, Found(root="numpy.ndarray"), self.broken)
            error = ("ValueError", "Object arrays cannot be loaded when allow_pickle=False")
            words = (
                f"{count_of(len(self.pickled), 'array')} of Python objects, stored as pickles: {listing(self.pickled)}"
            )
            self.problems.append(Problem("numpy-object-array", words, self.file.name, loader_error=error))
            self.metadata["object_arrays"] = self.pickled[:50]
        file = self.file
        return FileReport(
            file.name,
            kind,
            file.size,
            tuple(self.tensors),
            self.metadata,
            tuple(self.problems),
            pickle,
            file.modified,
            file.blocks,
        )


def parse_header(cursor: Cursor) -> Header:
    """The header at the cursor, which is left after it; `BadHeader` where numpy refuses it."""
    start = cursor.take(8)
    if start[:6] != MAGIC:
        raise BadHeader("the magic string is not correct")
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise BadHeader(f"we only support format version (1,0), (2,0), and (3,0), not {version}")
    length = int(cursor.number("H" if version == (1, 0) else "I"))
    if length > MAX_HEADER:
        raise BadHeader(f"Header info length ({length}) is large and may not be safe to load securely.")
    text = cursor.take(length).decode("utf-8" if version == (3, 0) else "latin-1", "replace")
    fields = _literal(text if version >= (3, 0) else _PYTHON2_LONG.sub("", text))
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise BadHeader("Header does not contain the correct keys")
    shape, fortran, descr = fields["shape"], fields["fortran_order"], fields["descr"]
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadHeader(f"shape is not valid: {str(shape)[:80]}")
    if not isinstance(fortran, bool):
        raise BadHeader(f"fortran_order is not a valid bool: {str(fortran)[:80]}")
    dtype, itemsize = dtype_of(descr)
    return Header(descr, dtype, itemsize, shape, fortran, cursor.position)


@lru_cache(maxsize=64)
def _literal(text: str) -> Any:
    """The literal, refused before parsing where it is nested deeper than any dtype."""
    depth = deepest = 0
    for char in _NOT_BRACKETS.sub("", text):
        depth += 1 if char in "([{" else -1
        deepest = max(deepest, depth)
    if deepest > 32 or _UNARY.search(text):
        raise BadHeader("Cannot parse header: nested too deeply")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError) as error:
        raise BadHeader(f"Cannot parse header: {type(error).__name__}") from None
